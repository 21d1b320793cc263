"""How a classifier is shown faces, lest it looks at single pixels."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SIZE = 64  # px of the width that the shifts are given for
SHIFT = 3


def shifted(x: Float[Tensor, "b c h w"], rng: np.random.Generator) -> Float[Tensor, "b c h w"]:
    """All moved by up to 3 px of 64; the border's pixels come again."""
    step, (h, w) = x.shape[-1] // SIZE, x.shape[-2:]
    dy, dx = step * (rng.integers(-SHIFT, SHIFT + 1, 2) + SHIFT)
    wide = F.pad(x, 4 * (step * SHIFT,), mode="replicate")
    return wide[:, :, dy : dy + h, dx : dx + w]


def lit(x: Float[Tensor, "b c h w"], rng: np.random.Generator) -> Float[Tensor, "b c h w"]:
    """In [0, 1], each a little brighter, darker or flatter."""
    contrast, light = (
        torch.from_numpy(rng.uniform(-0.15, 0.15, (len(x), 1, 1, 1))).to(x) for _ in range(2)
    )
    return ((x - 0.5) * (1 + contrast) + 0.5 + light).clamp(0, 1)


def jolted(x: Float[Tensor, "b c h w"], rng: np.random.Generator) -> Float[Tensor, "b c h w"]:
    """Both."""
    return lit(shifted(x, rng), rng)
