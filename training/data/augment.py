"""Random augmentation of faces: shift, contrast, brightness, saturation."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

REFERENCE_SIZE = 64  # px of the width that the shift is given for
MAX_SHIFT = 3  # px of that width
MAX_JITTER = 0.15  # of contrast (relative) and of brightness (in [0, 1])


class Augmentation(NamedTuple):
    """The random numbers of one augmentation: a shift of the whole batch, a jitter of each face."""

    shift: tuple[int, int]
    """Down and right, px of a picture of 64 px."""
    contrast: Float[Tensor, "b 1 1 1"]
    brightness: Float[Tensor, "b 1 1 1"]

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int) -> "Augmentation":
        """For a batch of `count` pictures."""
        shift = rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, 2)
        jitter = [rng.uniform(-MAX_JITTER, MAX_JITTER, (count, 1, 1, 1)) for _ in range(2)]
        return cls(tuple(map(int, shift)), *(torch.from_numpy(part).float() for part in jitter))

    def move(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Apply the shift; pixels at the border are repeated."""
        step, (h, w) = x.shape[-1] // REFERENCE_SIZE, x.shape[-2:]
        dy, dx = (step * (part + MAX_SHIFT) for part in self.shift)
        padded = F.pad(x, 4 * (step * MAX_SHIFT,), mode="replicate")
        return padded[:, :, dy : dy + h, dx : dx + w]

    def jitter(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Apply contrast and brightness to pictures in [0, 1]."""
        contrast, brightness = self.contrast.to(x), self.brightness.to(x)
        return ((x - 0.5) * (1 + contrast) + 0.5 + brightness).clamp(0, 1)

    def __call__(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Shift, then jitter."""
        return self.jitter(self.move(x))


def augment(x: Float[Tensor, "b c h w"], rng: np.random.Generator) -> Float[Tensor, "b c h w"]:
    """A random `Augmentation` of a batch."""
    return Augmentation.draw(rng, len(x))(x)


def recolour(
    x: Float[Tensor, "b 3 h w"],
    brightness: Float[Tensor, "b 1 1 1"],
    saturation: Float[Tensor, "b 1 1 1"],
) -> Float[Tensor, "b 3 h w"]:
    """Add to the brightness, multiply the saturation; not clamped, so no gradient is lost."""
    grey = x.mean(1, keepdim=True)
    return grey + saturation * (x - grey) + brightness
