"""Full-resolution refinement of the core network's fill, which has half the size."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import FilmBlock, ResBlock, init_as_nearest, init_convolutions


class RefinerContext(NamedTuple):
    """`input_features` at full size in blocks of 2x2, and features at 1/4 of it."""

    blocks: Float[Tensor, "b 24 h2 w2"]
    features: Float[Tensor, "b d h4 w4"]


class FaceContext(NamedTuple):
    """Encoded masked face: refiner's context, input at half size, features at 1/8, 1/16, 1/32."""

    full: RefinerContext
    half: Float[Tensor, "b 6 h2 w2"]
    fine: Float[Tensor, "b c1 h8 w8"]
    middle: Float[Tensor, "b c2 h16 w16"]
    coarse: Float[Tensor, "b c3 h32 w32"]

    def expand(self, count: int) -> "FaceContext":
        """The context of one face repeated for `count` fills; of `count` faces as it is."""
        full, *rest = self
        expanded = [part.expand(count, -1, -1, -1) for part in (*full, *rest)]
        return FaceContext(RefinerContext(*expanded[:2]), *expanded[2:])


class Refiner(nn.Module):
    """Adds a full-resolution residual to the core's logits; initialised to add zero."""

    def __init__(self, channels: int, core: int, condition: int, head: int):
        super().__init__()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(96, channels, 1), ResBlock(channels)
        )
        self.down = nn.Conv2d(channels, core, 3, 2, 1)
        self.up = nn.Conv2d(core, 4 * channels, 1)
        self.blocks = nn.ModuleList(FilmBlock(channels, condition) for _ in range(2))
        self.out = nn.Conv2d(channels, 4 * head, 1)
        self.head = nn.Sequential(
            nn.Conv2d(head + 24, 2 * head, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * head, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        init_convolutions(self)
        for shuffled in (self.up, self.out):
            init_as_nearest(shuffled)
        for last in (self.down, self.head[2]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def encode(self, pixels: Float[Tensor, "b 6 h w"]) -> RefinerContext:
        """Encode the `input_features` of full size."""
        blocks = F.pixel_unshuffle(pixels, 2)
        return RefinerContext(blocks, self.stem(blocks))

    def forward(
        self,
        half: Float[Tensor, "b 3 h2 w2"],
        core: Float[Tensor, "b c h8 w8"],
        context: RefinerContext,
        condition: Float[Tensor, "b d"],
    ) -> Float[Tensor, "b 3 h w"]:
        """Logits of full size, from those of half the size and the core's last features."""
        h = F.pixel_shuffle(self.up(F.silu(core)), 2) + context.features
        for block in self.blocks:
            h = block(h, condition)
        h = F.pixel_shuffle(self.out(F.silu(h)), 2)
        residual = self.head(torch.cat([h, context.blocks.to(h)], 1)).float()
        upsampled = F.interpolate(
            half.float(), scale_factor=2, mode="bilinear", align_corners=False
        )
        return upsampled + residual


def input_features(
    image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 6 h w"]:
    """The network's input: colour - 0.5 (0 in the hole), mask, row and column in [-1, 1]."""
    b, _, h, w = image.shape
    rows, columns = (torch.linspace(-1, 1, n, device=image.device).to(image) for n in (h, w))
    rows, columns = rows[:, None].expand(b, 1, h, w), columns.expand(b, 1, h, w)
    return torch.cat([(image - 0.5) * (1 - mask), mask, rows, columns], 1)


def downsample2(
    image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> tuple[Float[Tensor, "b 3 h2 w2"], Float[Tensor, "b 1 h2 w2"]]:
    """Both at half the size; a pixel is in the hole where any of its four is."""
    return F.avg_pool2d(image, 2), F.max_pool2d(mask, 2)
