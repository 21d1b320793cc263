"""Anyone's VQ model: a `VQModel` of diffusers, from the Hub or a folder, with our VQVAE's calls.

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

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
SUBFOLDERS = ("", "vqvae", "vqmodel", "movq")  # where a pipeline keeps its VQ model
PLACES = 4096  # compared with the codebook at a time: 128 MiB for 8,192 codes


@dataclass(frozen=True)
class PretrainedConfig:
    """What an edit or a tab must know; pictures may have any size that is a multiple of `cell`."""

    codes: int
    """K, the size of the codebook."""
    dim: int
    """D, of its vectors."""
    cell: int
    """Px a side of what one code stands for."""
    image_size: int = 256
    """Px a side of the pictures on the page."""
    channels: int = 3
    names: tuple[str, ...] = ()

    @property
    def grid(self) -> int:
        """Cells a side of such a picture."""
        return self.image_size // self.cell


class PretrainedVQ(nn.Module):
    """A VQModel behind the calls of `models.codes.vqvae.VQVAE`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        told = network.config
        channels = {told.in_channels, told.out_channels}
        if channels != {3}:
            raise CheckpointError(
                f"it takes {told.in_channels} channels and gives {told.out_channels}: only models "
                "of colour pictures, 3 and 3, can be edited"
            )
        if told.norm_type not in ("group", "spatial"):
            raise CheckpointError(
                f"its norm_type is {told.norm_type!r}: only 'group' and 'spatial' are known"
            )
        self.network = network.float().eval().requires_grad_(False)
        self.config = PretrainedConfig(
            *self.codebook.shape, 2 ** (len(told.block_out_channels) - 1)
        )
        # only aMUSEd and its kin are looked up in the codebook; they take pictures as they are
        self.low = 0.0 if told.lookup_from_codebook else -1.0

    @property
    def codebook(self) -> Float[Tensor, "k d"]:
        """Its K vectors."""
        return self.network.quantize.embedding.weight

    @property
    def uses(self) -> Int64[Tensor, " k"]:
        """How often each code served in training: nobody has counted."""
        return torch.zeros(self.config.codes, dtype=torch.long)

    @property
    def background(self) -> int:
        """The code of plain grey."""
        side = 4 * self.config.cell
        return int(self.encode(torch.full((1, 3, side, side), 0.5)).flatten().mode().values)

    def embed(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d gh gw"]:
        """The encoder's vectors of pictures in [0, 1]."""
        x = images * (1 - self.low) + self.low
        return self.network.quant_conv(self.network.encoder(x))

    def nearest(self, z_e: Float[Tensor, "b d gh gw"]) -> Int64[Tensor, "b gh gw"]:
        """The number of the codebook's nearest vector at each place (Euclidean distance)."""
        b, d, h, w = z_e.shape
        places = z_e.permute(0, 2, 3, 1).reshape(-1, d)
        found = [torch.cdist(some, self.codebook).argmin(1) for some in places.split(PLACES)]
        return torch.cat(found).view(b, h, w)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Int64[Tensor, "b gh gw"]:
        """Pictures (b, 3, h, w) in [0, 1] to codes; ValueError for others."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.numel():
            raise ValueError(f"images must be (b, 3, height, width): {tuple(images.shape)}")
        h, w, cell = *images.shape[2:], self.config.cell
        if h % cell or w % cell:
            raise ValueError(f"height and width must be multiples of {cell} px: {h} x {w}")
        if not images.is_floating_point() or not ((images >= 0) & (images <= 1)).all():
            raise ValueError("images must hold floats in [0, 1], no NaN")
        return self.nearest(self.embed(images.float()))

    vectors, decode = VQVAE.vectors, VQVAE.decode  # both need only the codebook and `draw`

    @torch.inference_mode()
    def draw(self, vectors: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b 3 h w"]:
        """Any vectors, of the codebook or not, to pictures in [0, 1]."""
        told = vectors if self.network.config.norm_type == "spatial" else None
        drawn = self.network.decoder(self.network.post_quant_conv(vectors), told)
        return ((drawn - self.low) / (1 - self.low)).clamp(0, 1)


def load(source: str | Path, revision: str | None = None) -> PretrainedVQ:
    """The VQ model of a Hub repository, such as "amused/amused-512", or of a folder (a Path).

    Float32, eval mode. CheckpointError says in one sentence why there is none.
    """
    try:
        from diffusers import VQModel
    except ImportError as error:
        raise CheckpointError(
            "a pretrained VQ model needs diffusers: pip install 'latent-studio[pretrained]'"
        ) from error
    except RuntimeError as error:  # a package that it uses where there is one, such as torchvision
        raise CheckpointError(
            f"diffusers cannot be imported ({_line(error.__cause__ or error)}): "
            "repair or remove the package that fails"
        ) from error
    folder = source if isinstance(source, Path) else _fetched(source, revision)
    try:
        return PretrainedVQ(_network(VQModel, _inner(folder)))
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error


def _fetched(source: str, revision: str | None) -> Path:
    """The folder that the Hub's files are in after a download of no more than is needed."""
    wanted = [str(Path(sub, name)) for sub in SUBFOLDERS for name in (CONFIG, WEIGHTS)]
    try:
        folder = huggingface_hub.snapshot_download(source, revision=revision, allow_patterns=wanted)
    except errors.HFValidationError as error:
        raise CheckpointError(
            f"{source[:80]!r} is no Hub id: give owner/name, or a folder as a pathlib.Path"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        at = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"the Hub has no {source}{at} for you: look at the name, or log in with `hf auth login`"
        ) from error
    except Exception as error:  # without a connection, of many kinds
        raise CheckpointError(
            f"cannot fetch {source} from the Hub ({type(error).__name__}), and no copy is here: "
            "look at the connection, or give a folder as a pathlib.Path"
        ) from error
    return Path(folder)


def _inner(folder: Path) -> Path:
    """The folder itself, or the part of a pipeline, that holds a VQModel."""
    found = {}
    for inner in (folder / sub for sub in SUBFOLDERS):
        try:
            told = json.loads((inner / CONFIG).read_bytes())
            name = told.get("_class_name") if isinstance(told, dict) else None
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{CONFIG} cannot be read: {_line(error)}") from error
        if name == "VQModel":
            return inner
        found[inner.name] = name
    if found:
        raise CheckpointError(
            f"it is no VQModel of diffusers, but {', '.join(map(str, found.values()))}"
        )
    raise CheckpointError(
        f"there is no {CONFIG} of a VQModel, neither at its top nor in {', '.join(SUBFOLDERS[1:])}"
    )


def _network(cls: type[nn.Module], folder: Path) -> nn.Module:
    """The network with all its weights, from safetensors; nothing is unpickled or left random."""
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(
            f"there is no {WEIGHTS}: pickled weights (.bin) can run any code and are not read; "
            "ask its author to save it as safetensors"
        )
    try:
        with torch.random.fork_rng(devices=[]):
            network, report = cls.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
            )
    except Exception as error:  # a wrong value may fail anywhere in the network
        raise CheckpointError(f"diffusers cannot load it: {_line(error)}") from error
    strays = [name for kind in ("missing", "unexpected") for name in report[f"{kind}_keys"]]
    if strays:
        raise CheckpointError(
            f"{WEIGHTS} does not fit {CONFIG}: {min(strays)} ({len(strays)} tensors differ)"
        )
    if not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
        raise CheckpointError(f"{WEIGHTS} has values that are not finite")
    return network


def _line(error: Exception) -> str:
    """An error's first line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
