"""Pretrained VQ models: a `VQModel` of diffusers, from the Hub or a folder, as our VQVAE is called.

Needs the extra [pretrained]: diffusers is imported when a model is loaded, not before.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import torch
from huggingface_hub import errors
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.checkpoint import CheckpointError
from models.codes.vqvae import VQVAE
from models.torchvision_ops import declare_missing_operators

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
INDEX = WEIGHTS + ".index.json"  # of weights in several files
FP16 = "diffusion_pytorch_model.fp16.safetensors"
FP16_INDEX = "diffusion_pytorch_model.safetensors.index.fp16.json"
VARIANTS = {WEIGHTS: None, INDEX: None, FP16: "fp16", FP16_INDEX: "fp16"}  # file -> `variant`
SUBFOLDERS = ("", "vqvae", "vqmodel", "movq", "vae", "vqgan")  # where a pipeline keeps its VQ model
CHUNK_CELLS = 4096  # cells compared with the codebook at a time: 128 MiB for 8,192 codes


@dataclass(frozen=True)
class PretrainedConfig:
    """The part of a VQVAEConfig that the Codes tab reads.

    The network takes images of any size that is a multiple of `cell_size`.
    """

    num_codes: int
    """Codebook size K."""
    code_dim: int
    """Dimension D of a codebook vector."""
    cell_size: int
    """Side of the image patch under one code, px."""
    image_size: int = 256
    """Height and width of an image in the Codes tab, px."""
    channels: int = 3
    """Channels of an image."""
    class_names: tuple[str, ...] = ()
    """Classes: there are none."""

    @property
    def grid_size(self) -> int:
        """Cells a side of the code grid of an image of `image_size`."""
        return self.image_size // self.cell_size


class PretrainedVQ(nn.Module):
    """A VQModel with the methods of `models.codes.vqvae.VQVAE`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        settings = network.config
        if {settings.in_channels, settings.out_channels} != {3}:
            raise CheckpointError(
                f"it has {settings.in_channels} input and {settings.out_channels} output channels: "
                "use a model of colour images, with 3 and 3"
            )
        if settings.norm_type not in ("group", "spatial"):
            raise CheckpointError(
                f"its norm_type is {settings.norm_type!r}: use a model with 'group' or 'spatial'"
            )
        self.network = network.float().eval().requires_grad_(False)
        self.config = PretrainedConfig(
            *self.codebook.shape, 2 ** (len(settings.block_out_channels) - 1)
        )
        # aMUSEd's models, which alone set lookup_from_codebook, take pixels in [0, 1], not [-1, 1]
        self.pixel_min = 0.0 if settings.lookup_from_codebook else -1.0

    @property
    def codebook(self) -> Float[Tensor, "k d"]:
        """The K codebook vectors."""
        return self.network.quantize.embedding.weight

    @property
    def code_counts(self) -> Int64[Tensor, " k"]:
        """Occurrences of each code in training images: unknown, so all are 0."""
        return torch.zeros(self.config.num_codes, dtype=torch.long)

    @property
    def background(self) -> int:
        """The most frequent code of a plain grey image."""
        side = 4 * self.config.cell_size
        return int(self.encode(torch.full((1, 3, side, side), 0.5)).flatten().mode().values)

    def encode_latents(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        """Encoder output of images in [0, 1], before quantization."""
        x = images * (1 - self.pixel_min) + self.pixel_min
        return self.network.quant_conv(self.network.encoder(x))

    def quantize(self, z_e: Float[Tensor, "b d gh gw"]) -> Int64[Tensor, "b gh gw"]:
        """Codes: the index of the nearest codebook vector of each cell (Euclidean distance)."""
        b, d, h, w = z_e.shape
        cells = z_e.permute(0, 2, 3, 1).reshape(-1, d)
        codes = [torch.cdist(part, self.codebook).argmin(1) for part in cells.split(CHUNK_CELLS)]
        return torch.cat(codes).view(b, h, w)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Int64[Tensor, "b gh gw"]:
        """Codes of images (b, 3, h, w) in [0, 1]; ValueError for others."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.numel():
            raise ValueError(f"images must be (b, 3, height, width), not {tuple(images.shape)}")
        h, w, cell = *images.shape[2:], self.config.cell_size
        if h % cell or w % cell:
            raise ValueError(f"height and width must be multiples of {cell} px, not {h} x {w}")
        if not images.is_floating_point() or not ((images >= 0) & (images <= 1)).all():
            raise ValueError("images must be floats in [0, 1] without NaN: divide bytes by 255")
        return self.quantize(self.encode_latents(images.float()))

    lookup, decode = VQVAE.lookup, VQVAE.decode  # need the codebook and `decode_latents` only

    @torch.inference_mode()
    def decode_latents(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        """Images in [0, 1] of any vectors, whether or not they are in the codebook."""
        condition = z if self.network.config.norm_type == "spatial" else None
        pixels = self.network.decoder(self.network.post_quant_conv(z), condition)
        return ((pixels - self.pixel_min) / (1 - self.pixel_min)).clamp(0, 1)


def load(source: str | Path, revision: str | None = None) -> PretrainedVQ:
    """The VQ model of a Hub repository, such as "amused/amused-512", or of a folder (a Path).

    Float32, eval mode. CheckpointError, in one sentence, where it cannot be loaded.
    """
    try:
        declare_missing_operators()  # diffusers imports torchvision where it is installed
        from diffusers import VQModel
    except ImportError as error:
        raise CheckpointError(
            "a pretrained VQ model needs diffusers: pip install 'latent-studio[pretrained]'"
        ) from error
    except RuntimeError as error:  # from an optional dependency of it, such as torchvision
        raise CheckpointError(
            f"diffusers cannot be imported ({_first_line(error.__cause__ or error)}): "
            "repair or remove the package that fails"
        ) from error
    folder = source if isinstance(source, Path) else _download(source, revision)
    try:
        return PretrainedVQ(_network(VQModel, _vqmodel_folder(folder)))
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error


def _download(source: str, revision: str | None) -> Path:
    """The local folder of a Hub repository's config and weights, without its other files."""
    names = (CONFIG, "*.safetensors", "*.index*.json")
    wanted = [str(Path(sub, name)) for sub in SUBFOLDERS for name in names]
    try:
        folder = huggingface_hub.snapshot_download(source, revision=revision, allow_patterns=wanted)
    except errors.HFValidationError as error:
        raise CheckpointError(
            f"{source[:80]!r} is not a Hub id: give owner/name, or a folder as a pathlib.Path"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        at = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"the Hub has no {source}{at} for this user: check the name, or log in with "
            "`hf auth login`"
        ) from error
    except Exception as error:  # without a connection, of many types
        raise CheckpointError(
            f"cannot download {source} from the Hub ({type(error).__name__}), and no copy is "
            "cached: check the connection, or give a folder as a pathlib.Path"
        ) from error
    return Path(folder)


def _vqmodel_folder(folder: Path) -> Path:
    """The folder itself, or the subfolder of a pipeline, that holds a VQModel."""
    classes = []
    for inner in (folder / sub for sub in SUBFOLDERS):
        try:
            settings = json.loads((inner / CONFIG).read_bytes())
            name = settings.get("_class_name") if isinstance(settings, dict) else None
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{CONFIG} cannot be read: {_first_line(error)}") from error
        if name == "VQModel":
            return inner
        classes.append(str(name or "no class name"))
    if classes:
        if "AutoencoderKL" in classes:
            raise CheckpointError(
                "it holds an AutoencoderKL, whose latents are continuous and have no codebook: "
                "give a model of the class VQModel of diffusers"
            )
        raise CheckpointError(
            f"it holds {', '.join(classes)}: give a model of the class VQModel of diffusers"
        )
    raise CheckpointError(
        f"there is no {CONFIG} in it, nor in {', '.join(SUBFOLDERS[1:])}: give the folder of a "
        "VQModel or of a pipeline"
    )


def _network(cls: type[nn.Module], folder: Path) -> nn.Module:
    """The network, all weights from safetensors: none is unpickled, none keeps its random value."""
    weights = next((name for name in VARIANTS if (folder / name).is_file()), None)
    if weights is None:
        raise CheckpointError(
            f"there is no {WEIGHTS}: pickled weights (.bin) can run any code and are not loaded; "
            "ask its author for safetensors"
        )
    if weights in (INDEX, FP16_INDEX):
        _check_parts(folder, weights)
    try:
        with torch.random.fork_rng(devices=[]):
            network, report = cls.from_pretrained(
                folder,
                use_safetensors=True,
                variant=VARIANTS[weights],
                local_files_only=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
            )
    except Exception as error:  # a wrong value may fail anywhere in the network
        raise CheckpointError(f"diffusers cannot load it: {_first_line(error)}") from error
    keys = [*report["missing_keys"], *report["unexpected_keys"]]
    if keys:
        raise CheckpointError(
            f"{weights} does not fit {CONFIG}: {min(keys)} ({len(keys)} tensors differ)"
        )
    if not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
        raise CheckpointError(f"{weights} has values that are not finite: download it again")
    return network


def _check_parts(folder: Path, index: str) -> None:
    """CheckpointError where a file that the index names is missing, or lies elsewhere."""
    try:
        named = set(json.loads((folder / index).read_bytes())["weight_map"].values())
        missing = sorted(n for n in named if Path(n).name != n or not (folder / n).is_file())
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} cannot be read: {_first_line(error)}") from error
    if missing:
        raise CheckpointError(
            f"{missing[0]} is missing ({len(missing)} of {len(named)} files of weights): download "
            "all of them"
        )


def _first_line(error: Exception) -> str:
    """The first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
