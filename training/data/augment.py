"""Random augmentation of faces for training classifiers."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

REFERENCE_SIZE = 64  # px of the width that the shift is given for
MAX_SHIFT = 3  # px of that width
MAX_JITTER = 0.15  # of contrast (relative) and of brightness (in [0, 1])


def random_shift(x: Float[Tensor, "b c h w"], rng: np.random.Generator) -> Float[Tensor, "b c h w"]:
    """The batch moved by up to 3 px of 64; pixels at the border are repeated."""
    step, (h, w) = x.shape[-1] // REFERENCE_SIZE, x.shape[-2:]
    dy, dx = step * (rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, 2) + MAX_SHIFT)
    padded = F.pad(x, 4 * (step * MAX_SHIFT,), mode="replicate")
    return padded[:, :, dy : dy + h, dx : dx + w]


def color_jitter(x: Float[Tensor, "b c h w"], rng: np.random.Generator) -> Float[Tensor, "b c h w"]:
    """Contrast and brightness of each picture in [0, 1] changed at random."""
    contrast, brightness = (
        torch.from_numpy(rng.uniform(-MAX_JITTER, MAX_JITTER, (len(x), 1, 1, 1))).to(x)
        for _ in range(2)
    )
    return ((x - 0.5) * (1 + contrast) + 0.5 + brightness).clamp(0, 1)


def augment(x: Float[Tensor, "b c h w"], rng: np.random.Generator) -> Float[Tensor, "b c h w"]:
    """`random_shift`, then `color_jitter`."""
    return color_jitter(random_shift(x, rng), rng)
