"""VQ-VAE: an image as a grid of discrete codes (van den Oord et al. 2017, arXiv 1711.00937).

The encoder maps an image to a grid of vectors z_e; each is replaced by the nearest of K codebook
vectors e_k, and k is its code. The decoder sees the codebook vectors alone:

    codes[i, j] = argmin_k ||z_e[i, j] - e_k||,   z_q[i, j] = e_codes[i, j]
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions


@dataclass(frozen=True)
class VQVAEConfig:
    """Rebuilds the network; saved beside the weights."""

    image_size: int = 28
    """Height and width of an image, px."""
    channels: int = 1
    """Channels of an image: 1 for ink or grey, 3 for colour."""
    widths: tuple[int, ...] = (32, 64)
    """Feature channels after each halving; the grid's side is image_size / 2 ** len(widths)."""
    blocks: int = 2
    """Residual blocks at the grid's resolution, in the encoder and in the decoder."""
    encoder_kernel_size: int = 1
    """Kernel of the encoder's residual blocks: 1 or 3; those of the decoder have 1."""
    num_codes: int = 64
    """Codebook size K."""
    code_dim: int = 16
    """Dimension D of a codebook vector."""
    class_names: tuple[str, ...] = ()
    """Classes of the training images, in the order of their labels; empty without labels."""

    def __post_init__(self):
        if not self.widths or self.image_size % 2 ** len(self.widths):
            raise ValueError(
                f"image_size {self.image_size} must be a multiple of 2 ** {len(self.widths)}"
            )
        if self.channels not in (1, 3) or self.encoder_kernel_size not in (1, 3):
            raise ValueError(
                f"channels must be 1 or 3, and encoder_kernel_size 1 or 3, not {self.channels} "
                f"and {self.encoder_kernel_size}"
            )
        if min(self.num_codes, self.code_dim) < 1:
            raise ValueError(
                f"num_codes and code_dim must be positive, not {self.num_codes} and {self.code_dim}"
            )

    @property
    def grid_size(self) -> int:
        """Cells a side of an image's code grid."""
        return self.image_size // self.cell_size

    @property
    def cell_size(self) -> int:
        """Side of the image patch under one code, px."""
        return 2 ** len(self.widths)


class VQVAEOutput(NamedTuple):
    """Pixel logits, encoder output z_e, its quantized z_q, and their codes."""

    logits: Float[Tensor, "b c h w"]
    z_e: Float[Tensor, "b d gh gw"]
    z_q: Float[Tensor, "b d gh gw"]
    codes: Int64[Tensor, "b gh gw"]


class VQVAE(nn.Module):
    """Convolutional VQ-VAE whose decoder blocks look at one cell each, so that codes are local."""

    config_class = VQVAEConfig

    def __init__(self, config: VQVAEConfig | None = None):
        super().__init__()
        self.config = config = config or VQVAEConfig()
        last = config.widths[-1]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        before = config.channels
        for width in config.widths:
            down += [nn.Conv2d(before, width, 4, 2, 1), nn.SiLU()]
            before = width
        self.encoder = nn.Sequential(
            *down[:-1],
            *(ResBlock(last, config.encoder_kernel_size) for _ in range(config.blocks)),
            nn.SiLU(),
            nn.Conv2d(last, config.code_dim, 1),
        )
        for width in (*config.widths[-2::-1], config.channels):
            up += [nn.SiLU(), nn.Conv2d(before, 4 * width, 3, padding=1), nn.PixelShuffle(2)]
            before = width
        self.decoder = nn.Sequential(
            nn.Conv2d(config.code_dim, last, 3, padding=1),
            *(ResBlock(last, 1) for _ in range(config.blocks)),
            *up,
        )
        init_convolutions(self)
        self.codebook = nn.Parameter(torch.randn(config.num_codes, config.code_dim))
        self.code_counts: Tensor  # occurrences of each code in training images, (K,)
        self.register_buffer("code_counts", torch.zeros(config.num_codes, dtype=torch.long))

    @property
    def background(self) -> int:
        """The most frequent code of the training images."""
        return int(self.code_counts.argmax())

    def encode_latents(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d gh gw"]:
        """Encoder output z_e of images in [0, 1], before quantization."""
        return self.encoder(images * 2 - 1).float()

    def quantize(self, z_e: Float[Tensor, "b d gh gw"]) -> Int64[Tensor, "b gh gw"]:
        """Codes: the index of the nearest codebook vector of each cell (Euclidean distance)."""
        b, d, h, w = z_e.shape
        cells = z_e.permute(0, 2, 3, 1).reshape(-1, d)
        # |z|^2 is the same for every code
        distance = self.codebook.square().sum(1) - 2 * cells @ self.codebook.T
        return distance.argmin(1).view(b, h, w)

    def lookup(self, codes: Int64[Tensor, "b gh gw"]) -> Float[Tensor, "b d gh gw"]:
        """Codebook vectors z_q of codes."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    def forward(self, images: Float[Tensor, "b c h w"]) -> VQVAEOutput:
        """Training pass; the straight-through estimator hands the decoder's gradient to z_e."""
        z_e = self.encode_latents(images)
        codes = self.quantize(z_e)
        z_q = self.lookup(codes)
        return VQVAEOutput(self.decoder(z_e + (z_q - z_e).detach()).float(), z_e, z_q, codes)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Int64[Tensor, "b gh gw"]:
        """Codes of images (b, c, image_size, image_size) in [0, 1]; ValueError for others."""
        c, size = self.config.channels, self.config.image_size
        if images.ndim != 4 or tuple(images.shape[1:]) != (c, size, size):
            raise ValueError(f"images must be (b, {c}, {size}, {size}), not {tuple(images.shape)}")
        if not images.is_floating_point() or not ((images >= 0) & (images <= 1)).all():
            raise ValueError("images must be floats in [0, 1] without NaN: divide bytes by 255")
        return self.quantize(self.encode_latents(images))

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Float[Tensor, "b c h w"]:
        """Images in [0, 1] of code grids (b, gh, gw) of any size; ValueError for other codes."""
        if codes.ndim != 3 or codes.is_floating_point() or not codes.numel():
            raise ValueError(
                f"codes must be integers (b, rows, columns), not {codes.dtype} {tuple(codes.shape)}"
            )
        if codes.min() < 0 or codes.max() >= self.config.num_codes:
            raise ValueError(
                f"codes must be 0 to {self.config.num_codes - 1}, not {int(codes.min())} to "
                f"{int(codes.max())}"
            )
        return self.decode_latents(self.lookup(codes.long()))

    @torch.inference_mode()
    def decode_latents(self, z: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b c h w"]:
        """Images in [0, 1] of any vectors, whether or not they are in the codebook."""
        return self.decoder(z).float().sigmoid()


MODELS = (VQVAE,)
