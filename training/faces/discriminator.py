"""The discriminator of faces: small heads on frozen ImageNet features, and one on the pixels.

Projected GANs (Sauer et al. 2021), whose features are what a small data set cannot teach.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from training.data.augment import recolour
from training.imagenet_features import channels_of

STAGES = 5  # of EfficientNet-Lite0 whose maps are judged
WIDTH = 64


def spectral_conv(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    """A convolution of Lipschitz constant about 1 (Miyato et al. 2018), padded to keep the size."""
    return spectral_norm(nn.Conv2d(channels, out, kernel, stride, kernel // 2))


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


def root_mean_square(x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 1 1 1"]:
    """Of each picture's map, at least 0.001."""
    return x.float().square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-3).to(x.dtype)


def augment_pair(
    real: Float[Tensor, "b 3 h w"], fake: Float[Tensor, "b 3 h w"], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The same random shift, brightness and saturation of both (Zhao et al. 2020, DiffAugment)."""
    shift, side = [int(v) for v in torch.randint(-8, 9, (2,), generator=generator)], real.shape[-1]
    jitter = torch.rand(2, len(real), 1, 1, 1, generator=generator).to(real.device)
    level, colour = 0.2 * jitter[0] - 0.1, 0.7 + 0.6 * jitter[1]
    pictures = []
    for x in (real, fake):
        x = F.pad(recolour(x, level, colour), (8, 8, 8, 8), mode="reflect")
        y, left = 8 + shift[0], 8 + shift[1]
        pictures.append(x[:, :, y : y + side, left : left + side])
    return pictures[0], pictures[1]
