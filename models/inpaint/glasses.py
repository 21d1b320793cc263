"""Segmentation of glasses, and the mask that removes them and leaves the eyes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions
from models.face_alignment import UNITS, Region

EYE_BAND = Region(14, 0, 47, 64)  # only here a mask is reduced to the glasses
LOGIT_THRESHOLD = -1.0  # pixels with a higher logit count as glasses: better too many than too few
CLOSING_RADIUS_PX = 4  # of a face of 128 px: gaps up to twice that in the segmentation are closed
DILATION_PX = 3  # of a face of 128 px: margin around the segmented glasses
MIN_AREA = 0.004  # fraction of the face; a smaller segmentation counts as no glasses
MIN_OVERLAP = 0.7  # fraction of the glasses that lies in a mask drawn to remove them


class GlassesSegmenter(nn.Module):
    """A small U-Net (Ronneberger et al. 2015); sides must be multiples of 8."""

    def __init__(self, channels: tuple[int, int, int] = (16, 32, 40)):
        super().__init__()
        fine, middle, coarse = channels
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, fine, 3, 1, 1))
        self.down1 = nn.Sequential(nn.SiLU(), nn.Conv2d(fine, middle, 3, 2, 1), ResBlock(middle))
        self.down2 = nn.Sequential(nn.SiLU(), nn.Conv2d(middle, coarse, 3, 2, 1), ResBlock(coarse))
        self.up2 = nn.Conv2d(coarse, 4 * middle, 1)
        self.block = ResBlock(middle)
        self.up1 = nn.Conv2d(middle, 4 * fine, 1)
        self.out = nn.Sequential(ResBlock(fine), nn.SiLU(), nn.Conv2d(fine, 4, 3, 1, 1))
        init_convolutions(self)

    def forward(self, face: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Logits of each pixel belonging to glasses; faces in [0, 1]."""
        fine = self.stem(face - face.mean((1, 2, 3), keepdim=True))
        middle = self.down1(fine)
        h = self.down2(middle)
        h = self.block(F.pixel_shuffle(self.up2(F.silu(h)), 2) + middle)
        h = F.pixel_shuffle(self.up1(F.silu(h)), 2) + fine
        return F.pixel_shuffle(self.out(h), 2).float()


def glasses_mask(
    logits: Float[Tensor, "b 1 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """The mask (1 in the hole), reduced to the segmented glasses within the band of the eyes.

    The segmentation is closed and dilated. A mask stays as it is where no glasses are found, or
    where they do not lie in it.
    """
    size = mask.shape[-1]
    closing, dilation = (max(1, round(px * size / 128)) for px in (CLOSING_RADIUS_PX, DILATION_PX))
    glasses = _dilate((logits > LOGIT_THRESHOLD).float(), closing)
    glasses = 1 - _dilate(1 - glasses, closing)
    top, left, bottom, right = (round(side * size / UNITS) for side in EYE_BAND)
    spared = torch.zeros_like(mask)
    spared[:, :, top:bottom, left:right] = 1
    spared = spared * (1 - _dilate(glasses, dilation))
    overlap, area = (glasses * mask).sum((1, 2, 3)), glasses.sum((1, 2, 3))
    reduce = (overlap >= MIN_OVERLAP * area) & (overlap >= MIN_AREA * size**2)
    return torch.where(reduce[:, None, None, None], mask * (1 - spared), mask)


def _dilate(mask: Float[Tensor, "b 1 h w"], radius: int) -> Float[Tensor, "b 1 h w"]:
    """Dilation by a square of side 2 radius + 1."""
    return F.max_pool2d(mask, 2 * radius + 1, 1, radius)
