"""The discriminator of fills: small heads on frozen ImageNet features, conditioned on attributes.

A projected GAN (Sauer et al. 2021), conditioned by projection (Miyato and Koyama 2018).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from models.inpaint.attributes import OFF, ON
from training.discriminator_blocks import STAGES, root_mean_square, spectral_conv
from training.imagenet_features import channels_of

WIDTH = 64
HIGH_PASS_PX = 8  # coarser colours are left to the other terms
HIGH_PASS_SCALE = 4.0
RING_CELLS = 1  # around the hole, of each map


class InpaintDiscriminator(nn.Module):
    """Judges the hole and what is next to it, from feature maps, pixels and their statistics."""

    def __init__(self, attributes: int, width: int = WIDTH):
        super().__init__()
        channels = channels_of(STAGES)
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_conv(each + 1, width, 1), nn.LeakyReLU(0.2), spectral_conv(width, width),
                nn.LeakyReLU(0.2),
            )
            for each in channels
        )  # fmt: skip
        self.pixels = nn.Sequential(
            spectral_conv(4, width // 2, 4, 2), nn.LeakyReLU(0.2),
            spectral_conv(width // 2, width, 4, 2), nn.LeakyReLU(0.2),
            spectral_conv(width, width), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.statistics = nn.Sequential(
            spectral_norm(nn.Linear(4 * sum(channels), 2 * width)), nn.LeakyReLU(0.2),
            spectral_norm(nn.Linear(2 * width, width)), nn.LeakyReLU(0.2),
        )  # fmt: skip
        judges = len(channels) + 2
        self.verdicts = nn.ModuleList(spectral_conv(width, 1, 1) for _ in range(judges))
        self.attribute_embed = nn.ModuleList(
            spectral_norm(nn.Linear(2 * attributes, width, bias=False)) for _ in range(judges)
        )

    def features(
        self, x: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"], maps: Sequence[Tensor]
    ) -> list[Float[Tensor, "b d _ _"]]:
        """What each judge sees of faces in [0, 1] and their ImageNet features."""
        coarse = F.interpolate(F.avg_pool2d(x, HIGH_PASS_PX), scale_factor=float(HIGH_PASS_PX))
        found, moments = [], []
        for head, m in zip(self.heads, maps, strict=True):
            scaled = m / root_mean_square(m)
            hole = F.adaptive_avg_pool2d(mask, m.shape[-2:]).to(scaled)
            found.append(head(torch.cat([scaled, hole], 1)))
            moments += [*masked_moments(scaled, hole), *masked_moments(scaled, ring(hole))]
        found.append(self.pixels(torch.cat([HIGH_PASS_SCALE * (x - coarse), mask], 1)))
        found.append(self.statistics(torch.cat(moments, 1))[:, :, None, None])
        return found

    def judge(
        self, features: Sequence[Tensor], attributes: Int64[Tensor, "b k"]
    ) -> list[Float[Tensor, "b 1 _ _"]]:
        """Maps of logits that the faces are real and show the attributes; unknown ones are free."""
        known = torch.stack([attributes == OFF, attributes == ON], -1).flatten(1)
        logits = []
        for h, verdict, embed in zip(features, self.verdicts, self.attribute_embed, strict=True):
            wanted = embed(known.to(h))[:, :, None, None]
            logits.append((verdict(h) + (wanted * h).sum(1, keepdim=True)).float())
        return logits


def near_hole(mask: Float[Tensor, "b 1 h w"], size: int) -> Float[Tensor, "b 1 y x"]:
    """Weights of the cells of a map of `size`: those in or next to the hole; they sum to 1.

    All are 0 where two holes are so far apart that the window between them holds none.
    """
    near = F.adaptive_max_pool2d(mask, size)
    near = F.max_pool2d(near, 2 * RING_CELLS + 1, 1, RING_CELLS)
    return near / near.sum((2, 3), keepdim=True).clamp(min=1)


def ring(hole: Float[Tensor, "b 1 y x"]) -> Float[Tensor, "b 1 y x"]:
    """The cells next to the hole."""
    return F.max_pool2d(hole, 2 * RING_CELLS + 1, 1, RING_CELLS) - hole


def masked_moments(
    m: Float[Tensor, "b c y x"], weight: Float[Tensor, "b 1 y x"]
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Mean and log standard deviation of each channel, weighted."""
    m, weight = m.float(), weight.float()
    total = weight.sum((2, 3)).clamp(min=1e-3)
    mean = (m * weight).sum((2, 3)) / total
    variance = ((m - mean[:, :, None, None]).square() * weight).sum((2, 3)) / total
    return mean, 0.5 * (variance + 1e-3).log()
