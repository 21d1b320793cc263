"""What the inpainter's core cannot see: the picture at its full size, where the core has half."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import FilmBlock, ResBlock, init_convolutions


class DetailContext(NamedTuple):
    """What is known at full size (`pixels_of`), in blocks of 2x2; features at 1/4 of it."""

    blocks: Float[Tensor, "b 24 h2 w2"]
    features: Float[Tensor, "b d h4 w4"]


class FaceContext(NamedTuple):
    """What is known of the face: at full size, at half of it (`pixels_of`), features of each."""

    full: DetailContext
    pixels: Float[Tensor, "b 6 h2 w2"]
    fine: Float[Tensor, "b c1 h8 w8"]
    middle: Float[Tensor, "b c2 h16 w16"]
    coarse: Float[Tensor, "b c3 h32 w32"]

    def shared(self, count: int) -> "FaceContext":
        """One face's, for `count` fills of it; those of `count` faces as they are."""
        full, *rest = self
        wide = [part.expand(count, -1, -1, -1) for part in (*full, *rest)]
        return FaceContext(DetailContext(*wide[:2]), *wide[2:])


class DetailNet(nn.Module):
    """Adds to the core's fill what is finer; starts by adding nothing."""

    def __init__(self, channels: int, core: int, condition: int, tail: int):
        super().__init__()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(96, channels, 1), ResBlock(channels)
        )
        self.down = nn.Conv2d(channels, core, 3, 2, 1)
        self.up = nn.Conv2d(core, 4 * channels, 1)
        self.blocks = nn.ModuleList(FilmBlock(channels, condition) for _ in range(2))
        self.out = nn.Conv2d(channels, 4 * tail, 1)
        self.tail = nn.Sequential(
            nn.Conv2d(tail + 24, 2 * tail, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * tail, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        init_convolutions(self)
        for last in (self.down, self.tail[2]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def context(self, pixels: Float[Tensor, "b 6 h w"]) -> DetailContext:
        """Read the face at full size."""
        blocks = F.pixel_unshuffle(pixels, 2)
        return DetailContext(blocks, self.stem(blocks))

    def forward(
        self,
        half: Float[Tensor, "b 3 h2 w2"],
        core: Float[Tensor, "b c h8 w8"],
        context: DetailContext,
        condition: Float[Tensor, "b d"],
    ) -> Float[Tensor, "b 3 h w"]:
        """Logits of full size, from those of half the size and the core's last features."""
        h = F.pixel_shuffle(self.up(F.silu(core)), 2) + context.features
        for block in self.blocks:
            h = block(h, condition)
        h = F.pixel_shuffle(self.out(F.silu(h)), 2)
        added = self.tail(torch.cat([h, context.blocks.to(h)], 1)).float()
        wide = F.interpolate(half.float(), scale_factor=2, mode="bilinear", align_corners=False)
        return wide + added


def pixels_of(
    image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 6 h w"]:
    """What is known: colour (0 in the hole), mask, row and column in [-1, 1]."""
    b, _, h, w = image.shape
    rows = torch.linspace(-1, 1, h).to(image)[:, None].expand(b, 1, h, w)
    columns = torch.linspace(-1, 1, w).to(image).expand(b, 1, h, w)
    return torch.cat([(image - 0.5) * (1 - mask), mask, rows, columns], 1)


def halved(
    image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> tuple[Float[Tensor, "b 3 h2 w2"], Float[Tensor, "b 1 h2 w2"]]:
    """At half the size; a pixel is in the hole where any of its four is."""
    return F.avg_pool2d(image, 2), F.max_pool2d(mask, 2)
