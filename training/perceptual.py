"""The perceptual loss: distance of two pictures in the features of a classifier."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def perceptual_loss(maps: Sequence[Tensor], targets: Sequence[Tensor]) -> Float[Tensor, " b"]:
    """Mean over the feature maps of |a - b|, each relative to the mean |b| of its map.

    As in Johnson et al. 2016, with an L1 distance; maps are (b, c, h, w).
    """
    distances = [
        (a.float() - b.float()).abs().mean((1, 2, 3)) / b.float().abs().mean((1, 2, 3))
        for a, b in zip(maps, targets, strict=True)
    ]
    return torch.stack(distances).mean(0)
