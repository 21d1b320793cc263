"""VQ-VAE: a picture as a grid of codes (van den Oord et al. 2017).

Each place of the encoder's map is replaced by the nearest of K vectors, the codebook; its number is
the code. The decoder sees these vectors alone.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions


@dataclass(frozen=True)
class CodesConfig:
    """Rebuilds the network; saved beside the weights."""

    image_size: int = 28
    channels: int = 1
    """Of the picture: 1 ink or grey, 3 colour."""
    widths: tuple[int, ...] = (32, 64)
    """Channels after each halving; the grid's side is image_size / 2 ** len(widths)."""
    blocks: int = 2
    """Residual blocks at the grid's size, in the encoder and in the decoder."""
    kernel: int = 1
    """Of the encoder's: 1 looks at a cell alone, 3 at its neighbours; the decoder's are 1."""
    codes: int = 64
    """K, the size of the codebook."""
    dim: int = 16
    """D, of its vectors."""
    names: tuple[str, ...] = ()
    """What the pictures show, where they have a class."""

    def __post_init__(self):
        if not self.widths or self.image_size % 2 ** len(self.widths):
            raise ValueError(
                f"image_size {self.image_size} must be a multiple of 2 ** {len(self.widths)}"
            )
        if self.channels not in (1, 3) or self.kernel not in (1, 3):
            raise ValueError(f"channels and kernel must be 1 or 3: {self}")
        if min(self.codes, self.dim) < 1:
            raise ValueError(f"codes and dim must be positive: {self}")

    @property
    def grid(self) -> int:
        """Cells a side."""
        return self.image_size // 2 ** len(self.widths)

    @property
    def cell(self) -> int:
        """Px a side of what one code stands for."""
        return 2 ** len(self.widths)


class CodesOutput(NamedTuple):
    """Logits of the pixels, the encoder's vectors, those of the codebook, their numbers."""

    logits: Float[Tensor, "b c h w"]
    z_e: Float[Tensor, "b d gh gw"]
    z_q: Float[Tensor, "b d gh gw"]
    codes: Int64[Tensor, "b gh gw"]


class VQVAE(nn.Module):
    """What ships, one for digits, one for sketches, one for faces."""

    config_class = CodesConfig

    def __init__(self, config: CodesConfig | None = None):
        super().__init__()
        self.config = config = config or CodesConfig()
        last = config.widths[-1]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        before = config.channels
        for width in config.widths:
            down += [nn.Conv2d(before, width, 4, 2, 1), nn.SiLU()]
            before = width
        self.encoder = nn.Sequential(
            *down[:-1],
            *(ResBlock(last, config.kernel) for _ in range(config.blocks)),
            nn.SiLU(),
            nn.Conv2d(last, config.dim, 1),
        )
        for width in (*config.widths[-2::-1], config.channels):
            up += [nn.SiLU(), nn.Conv2d(before, 4 * width, 3, padding=1), nn.PixelShuffle(2)]
            before = width
        self.decoder = nn.Sequential(
            nn.Conv2d(config.dim, last, 3, padding=1),
            *(ResBlock(last, 1) for _ in range(config.blocks)),
            *up,
        )
        init_convolutions(self)
        self.codebook = nn.Parameter(torch.randn(config.codes, config.dim))
        self.uses: Tensor  # how often each code served in training pictures, (K,)
        self.register_buffer("uses", torch.zeros(config.codes, dtype=torch.long))

    @property
    def background(self) -> int:
        """The code that served most."""
        return int(self.uses.argmax())

    def embed(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d gh gw"]:
        """The encoder's vectors z_e of pictures in [0, 1]."""
        return self.encoder(images * 2 - 1).float()

    def nearest(self, z_e: Float[Tensor, "b d gh gw"]) -> Int64[Tensor, "b gh gw"]:
        """The number of the codebook's nearest vector at each place (Euclidean distance)."""
        b, d, h, w = z_e.shape
        places = z_e.permute(0, 2, 3, 1).reshape(-1, d)
        # |z|^2 is the same for every code
        distance = self.codebook.square().sum(1) - 2 * places @ self.codebook.T
        return distance.argmin(1).view(b, h, w)

    def vectors(self, codes: Int64[Tensor, "b gh gw"]) -> Float[Tensor, "b d gh gw"]:
        """The codebook's vectors."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CodesOutput:
        """Training pass; the decoder's gradient goes straight through to the encoder."""
        z_e = self.embed(images)
        codes = self.nearest(z_e)
        z_q = self.vectors(codes)
        return CodesOutput(self.decoder(z_e + (z_q - z_e).detach()).float(), z_e, z_q, codes)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Int64[Tensor, "b gh gw"]:
        """Pictures (b, c, h, w) in [0, 1] to codes; ValueError for others."""
        c, size = self.config.channels, self.config.image_size
        if images.ndim != 4 or tuple(images.shape[1:]) != (c, size, size):
            raise ValueError(f"images must be (b, {c}, {size}, {size}): {tuple(images.shape)}")
        if not images.is_floating_point() or not ((images >= 0) & (images <= 1)).all():
            raise ValueError("images must hold floats in [0, 1], no NaN")
        return self.nearest(self.embed(images))

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Float[Tensor, "b c h w"]:
        """Codes (b, gh, gw), a grid of any size, to pictures in [0, 1]; ValueError for others."""
        if codes.ndim != 3 or codes.is_floating_point() or not codes.numel():
            raise ValueError(f"codes must be integers (b, rows, columns): {tuple(codes.shape)}")
        if codes.min() < 0 or codes.max() >= self.config.codes:
            raise ValueError(
                f"codes must be 0 to {self.config.codes - 1}: {int(codes.min())} to "
                f"{int(codes.max())}"
            )
        return self.draw(self.vectors(codes.long()))

    @torch.inference_mode()
    def draw(self, vectors: Float[Tensor, "b d gh gw"]) -> Float[Tensor, "b c h w"]:
        """Any vectors, of the codebook or not, to pictures in [0, 1]."""
        return self.decoder(vectors).float().sigmoid()


MODELS = (VQVAE,)
