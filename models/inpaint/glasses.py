"""Where the glasses on a face are: what has to go when they are taken off, and no more."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions
from models.face_alignment import UNITS, Region

EYES = Region(14, 0, 47, 64)  # where a hole that is meant for glasses spares what is beside them
SEEN = -1.0  # a logit: what may be glasses goes, too
GAP = 4  # px of 128: smaller ones in what is found are closed
WIDER = 3  # px of 128 that goes around what is found
LEAST = 0.004  # of a face is glasses, else there are none
INSIDE = 0.7  # of the glasses lie in a hole that is meant for them


class GlassesFinder(nn.Module):
    """A small U-shaped network; sides that 8 divides."""

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 40)):
        super().__init__()
        fine, middle, coarse = widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, fine, 3, 1, 1))
        self.down1 = nn.Sequential(nn.SiLU(), nn.Conv2d(fine, middle, 3, 2, 1), ResBlock(middle))
        self.down2 = nn.Sequential(nn.SiLU(), nn.Conv2d(middle, coarse, 3, 2, 1), ResBlock(coarse))
        self.up2 = nn.Conv2d(coarse, 4 * middle, 1)
        self.block = ResBlock(middle)
        self.up1 = nn.Conv2d(middle, 4 * fine, 1)
        self.out = nn.Sequential(ResBlock(fine), nn.SiLU(), nn.Conv2d(fine, 4, 3, 1, 1))
        init_convolutions(self)

    def forward(self, face: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Logits of every pixel's being glasses, of faces in [0, 1]."""
        fine = self.stem(face - face.mean((1, 2, 3), keepdim=True))
        middle = self.down1(fine)
        h = self.down2(middle)
        h = self.block(F.pixel_shuffle(self.up2(F.silu(h)), 2) + middle)
        h = F.pixel_shuffle(self.up1(F.silu(h)), 2) + fine
        return F.pixel_shuffle(self.out(h), 2).float()


def to_go(
    logits: Float[Tensor, "b 1 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """The hole (mask 1) without what is beside the glasses in it, where eyes are.

    All of the hole where no glasses are found, or where they are not in it.
    """
    size = mask.shape[-1]
    gap, wider = (max(1, round(px * size / 128)) for px in (GAP, WIDER))
    found = F.max_pool2d((logits > SEEN).float(), 2 * gap + 1, 1, gap)
    found = 1 - F.max_pool2d(1 - found, 2 * gap + 1, 1, gap)
    top, left, bottom, right = (round(side * size / UNITS) for side in EYES)
    beside = torch.zeros_like(mask)
    beside[:, :, top:bottom, left:right] = 1
    beside = beside * (1 - F.max_pool2d(found, 2 * wider + 1, 1, wider))
    inside, area = (found * mask).sum((1, 2, 3)), found.sum((1, 2, 3))
    meant = (inside >= INSIDE * area) & (inside >= LEAST * size**2)
    return torch.where(meant[:, None, None, None], mask * (1 - beside), mask)
