"""The discriminator of the adversarial stage: real faces against filled ones."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import init_convolutions

GRID = 32  # cells a side of the first feature map, as of the classifier's


class DiscriminatorOutput(NamedTuple):
    """Logits of being real, per patch (1/8 of the width) and for the whole face."""

    patch_logits: Float[Tensor, "b 1 8 8"]
    global_logits: Float[Tensor, " b"]

    def pool(self, mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
        """The global logit plus the mean logit of the patches in or next to the hole."""
        near = F.adaptive_max_pool2d(mask, self.patch_logits.shape[-2:])
        near = F.max_pool2d(near, 3, 1, 1)
        patches = (self.patch_logits * near).sum((1, 2, 3)) / near.sum((1, 2, 3)).clamp(min=1)
        return self.global_logits + patches


class Discriminator(nn.Module):
    """Convolutions without normalisation, kept smooth by R1 and R2 (Mescheder et al. 2018).

    Besides the pixels and the mask it gets the feature maps of a frozen face classifier, one per
    stage (projected GANs, Sauer et al. 2021).
    """

    def __init__(
        self, size: int, map_channels: tuple[int, int, int], channels: tuple[int, int, int]
    ):
        super().__init__()
        c_in, step = 4 * (size // GRID) ** 2, size // GRID
        self.unshuffle, self.stages = nn.PixelUnshuffle(step), nn.ModuleList()
        for i, (c_map, c_out) in enumerate(zip(map_channels, channels, strict=True)):
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(c_in + c_map, c_out, 3, 1, 1),
                    nn.LeakyReLU(0.2),
                    nn.Conv2d(c_out, c_out, 3, 2 if i < len(channels) - 1 else 1, 1),
                    nn.LeakyReLU(0.2),
                )
            )
            c_in = c_out
        self.patch_head = nn.Conv2d(c_in, 1, 1)
        self.global_conv = nn.Sequential(nn.Conv2d(c_in, c_in, 3, 2, 1), nn.LeakyReLU(0.2))
        self.global_head = nn.Linear(c_in, 1)
        init_convolutions(self)

    def forward(
        self,
        face: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        feature_maps: Sequence[Tensor],
    ) -> DiscriminatorOutput:
        """Logits of faces in [0, 1], real or with the hole (mask 1) filled."""
        h = self.unshuffle(torch.cat([face * 2 - 1, mask], 1))
        for stage, features in zip(self.stages, feature_maps, strict=True):
            rms = features.float().square().mean(1, keepdim=True).sqrt() + 1e-3
            h = stage(torch.cat([h, (features / rms).to(h)], 1))
        global_logits = self.global_head(self.global_conv(h).mean((2, 3)))[:, 0]
        return DiscriminatorOutput(self.patch_head(h).float(), global_logits.float())
