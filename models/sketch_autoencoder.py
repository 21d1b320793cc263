"""A drawing as an 8x8 grid of codes of what its partial version lacks, and back."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock
from models.quantize import FiniteScalarQuantizer

PATCH = 8  # px a side of what one code stands for
ANY = "any"


@dataclass(frozen=True)
class SketchConfig:
    """Rebuilds the network; saved beside the weights."""

    labels: tuple[str, ...]
    image_size: int = 64
    levels: tuple[int, ...] = (8, 5, 5, 5)
    fine_channels: int = 64
    coarse_channels: int = 128
    width: int = 192
    heads: int = 4
    code_width: int = 48
    context_layers: int = 2
    prior_layers: int = 6
    cell_layers: int = 2
    min_p: float = 0.0
    """Codes less likely than this share of the likeliest one are never sampled."""

    def __post_init__(self):
        if not self.labels or len(set(self.labels)) != len(self.labels) or ANY in self.labels:
            raise ValueError(f"labels must be different names other than 'any': {self.labels}")
        if self.image_size < 2 * PATCH or self.image_size % (2 * PATCH):
            raise ValueError(f"image_size must be a multiple of {2 * PATCH}: {self.image_size}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        if not 0 <= self.min_p < 1:
            raise ValueError(f"min_p must be in [0, 1): {self.min_p}")


class SketchOutput(NamedTuple):
    """Logits of every pixel's ink, and the encoder's vectors before quantisation."""

    logits: Float[Tensor, "b 1 h w"]
    vectors: Float[Tensor, "b gh gw D"]


class SketchAutoencoder(nn.Module):
    """x given y -> codes -> x given y."""

    def __init__(self, config: SketchConfig):
        super().__init__()
        fine, coarse, dim = config.fine_channels, config.coarse_channels, len(config.levels)
        self.quantizer = FiniteScalarQuantizer(config.levels)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(2 * 16, fine, 3, padding=1),
            ResBlock(fine),
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * fine, coarse, 1),
            ResBlock(coarse),
            ResBlock(coarse),
        )
        self.to_vectors = nn.Sequential(nn.LayerNorm(coarse), nn.Linear(coarse, dim))
        nn.init.normal_(self.to_vectors[1].weight, std=1.5 * coarse**-0.5)
        self.coarse = nn.Sequential(
            nn.Conv2d(dim + 64, coarse, 3, padding=1),
            ResBlock(coarse),
            ResBlock(coarse),
            nn.Conv2d(coarse, 4 * fine, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.fine = nn.Sequential(
            nn.Conv2d(fine + 16, fine, 3, padding=1),
            ResBlock(fine),
            nn.Conv2d(fine, 2 * fine, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.pixels = nn.Sequential(
            nn.Conv2d(fine // 2 + 4, 32, 3, padding=1),
            ResBlock(32),
            nn.SiLU(),
            nn.Conv2d(32, 4, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def vectors(
        self, x: Float[Tensor, "b 1 h w"], partial: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b gh gw D"]:
        """The encoder's answer before quantisation."""
        h = self.encoder(torch.cat([x, partial], 1)).permute(0, 2, 3, 1)
        return self.to_vectors(h).float()

    def encode(
        self, x: Float[Tensor, "b 1 h w"], partial: Float[Tensor, "b 1 h w"]
    ) -> Int64[Tensor, "b n"]:
        """The codes in reading order."""
        return self.quantizer.encode(self.vectors(x, partial)).flatten(1)

    def decode(
        self, z: Float[Tensor, "b gh gw D"], partial: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """Logits of p(x | codes, y), z the quantised vectors."""
        y8, y4, y2 = (F.pixel_unshuffle(partial, k) for k in (8, 4, 2))
        h = z.permute(0, 3, 1, 2).to(memory_format=torch.channels_last)
        h = self.coarse(torch.cat([h.to(y8.dtype), y8], 1))  # b fine 2gh 2gw
        h = self.fine(torch.cat([h, y4], 1))  # b fine/2 4gh 4gw
        return self.pixels(torch.cat([h, y2], 1)).float()

    def forward(
        self, x: Float[Tensor, "b 1 h w"], partial: Float[Tensor, "b 1 h w"]
    ) -> SketchOutput:
        """Training pass: encode, quantise straight-through, decode."""
        vectors = self.vectors(x, partial)
        return SketchOutput(self.decode(self.quantizer(vectors), partial), vectors)
