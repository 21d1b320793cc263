"""The discriminator of faces: small heads on frozen ImageNet features, and one on the pixels.

Projected GANs (Sauer et al. 2021), whose features are what a small data set cannot teach.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.augment import recolour
from training.discriminator_blocks import STAGES, root_mean_square, spectral_conv
from training.imagenet_features import channels_of

WIDTH = 64
MAX_SHIFT = 8  # px


class FaceDiscriminator(nn.Module):
    """Logits of being a photograph, a map of them from each of the feature maps and the pixels."""

    def __init__(self, width: int = WIDTH):
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_conv(channels, width, 1), nn.LeakyReLU(0.2), spectral_conv(width, width),
                nn.LeakyReLU(0.2), spectral_conv(width, 1),
            )
            for channels in channels_of(STAGES)
        )  # fmt: skip
        self.pixels = nn.Sequential(
            spectral_conv(3, width // 2, 4, 2), nn.LeakyReLU(0.2),
            spectral_conv(width // 2, width, 4, 2), nn.LeakyReLU(0.2),
            spectral_conv(width, width), nn.LeakyReLU(0.2), spectral_conv(width, 1),
        )  # fmt: skip

    def forward(
        self, x: Float[Tensor, "b 3 h w"], maps: list[Tensor]
    ) -> list[Float[Tensor, "b 1 y x"]]:
        """Of faces in [0, 1] and their ImageNet features."""
        # without the coarse colours, which the decoder's likelihood has already
        high = x - F.interpolate(F.avg_pool2d(x, 8), scale_factor=8.0)
        logits = [head(m / root_mean_square(m)) for head, m in zip(self.heads, maps, strict=True)]
        return [part.float() for part in [*logits, self.pixels(4 * high)]]


class Augmentation(NamedTuple):
    """A shift of the whole batch, brightness and saturation of each face.

    The same for real and decoded faces (DiffAugment, Zhao et al. 2020).
    """

    shift: Int64[Tensor, " 2"]
    """Down and right, px."""
    brightness: Float[Tensor, "b 1 1 1"]
    saturation: Float[Tensor, "b 1 1 1"]

    @classmethod
    def draw(cls, count: int, generator: torch.Generator) -> "Augmentation":
        """Random numbers for `count` faces."""
        shift = torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (2,), generator=generator)
        jitter = torch.rand(2, count, 1, 1, 1, generator=generator)
        return cls(shift, 0.2 * jitter[0] - 0.1, 0.7 + 0.6 * jitter[1])

    def __call__(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Recoloured and shifted, with a mirrored rim."""
        padded = F.pad(
            recolour(x, self.brightness, self.saturation), (MAX_SHIFT,) * 4, mode="reflect"
        )
        for dim, start in ((2, self.shift[0]), (3, self.shift[1])):
            inside = torch.arange(x.shape[dim], device=x.device)
            padded = padded.index_select(dim, MAX_SHIFT + start + inside)
        return padded
