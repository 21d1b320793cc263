"""The interface that all models of digits share, and what it accepts.

Pictures are (b, 1, 28, 28) floats in [0, 1], white on black as in MNIST. All noise is drawn on the
CPU from an explicit seed, row by row: sample i depends on the seed and i, never on `count`.
"""

import math
from numbers import Real

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

SIDE = 28  # px
CLASSES = 10
MAX_COUNT = 256  # samples of one call
MAX_TEMPERATURE = 10.0
MAX_SEED = 2**32 - 1
LABEL_STREAM, NOISE_STREAM = 1_000_000, 1_000_001  # of random labels, of `add_noise`


class DigitModel(nn.Module):
    """Checks arguments, then calls the family's own `_sample`, `_reconstruct` and so on.

    Each public method raises ValueError, in one sentence, for arguments that it cannot take.
    """

    uses_labels = True
    """Whether the model is conditional on the class, so that label None draws one a sample."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @torch.no_grad()
    def sample(
        self,
        count: int = 16,
        label: int | None = None,
        temperature: float | int = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n 1 28 28"]:
        """`count` new digits of class `label`, or of any class where it is None.

        At temperature 0 all noise is zero; 1 is the model's own distribution.
        """
        validate_sampling(count, label, temperature, seed)
        labels = self._labels(count, label, seed)
        return self._sample(labels, count, temperature, seed).clamp(0, 1)

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Float[Tensor, "b 1 28 28"]:
        """The nearest pictures that the model can express: encoded and decoded, or fitted."""
        validate_images(images)
        return self._reconstruct(images.to(self.device)).clamp(0, 1)

    @torch.no_grad()
    def denoise(
        self, images: Tensor, sigma: float | int = 0.5, seed: int = 0
    ) -> Float[Tensor, "b 1 28 28"]:
        """Estimates of clean digits from `images` = clean + `sigma` * standard normal noise.

        The noisy values may lie outside [0, 1]; `add_noise` makes such pictures.
        """
        validate_images(images, bounded=False)
        validate_sigma(sigma)
        validate_seed(seed)
        return self._denoise(images.to(self.device), float(sigma), seed).clamp(0, 1)

    @torch.no_grad()
    def inpaint(self, images: Tensor, mask: Tensor, seed: int = 0) -> Float[Tensor, "b 1 28 28"]:
        """Pictures filled in where `mask` (28, 28) is 1; the other pixels stay as they are.

        What `images` hold inside the hole is not read.
        """
        validate_images(images)
        hole = validate_mask(mask).to(self.device)
        validate_seed(seed)
        images = images.to(self.device)
        filled = self._inpaint(images.masked_fill(hole, 0.0), hole, seed)
        return torch.where(hole, filled.clamp(0, 1), images)

    def _labels(self, count: int, label: int | None, seed: int) -> Int64[Tensor, " n"] | None:
        """The class of each sample; None for an unconditional model without a label."""
        if label is not None:
            return torch.full((count,), label, device=self.device)
        if not self.uses_labels:
            return None
        return random_labels(count, seed).to(self.device)

    def _sample(
        self, labels: Int64[Tensor, " n"] | None, count: int, temperature: float | int, seed: int
    ) -> Tensor:
        raise NotImplementedError

    def _reconstruct(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def _denoise(self, images: Tensor, sigma: float | int, seed: int) -> Tensor:
        raise NotImplementedError

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        raise NotImplementedError


def standard_normal(count: int, *shape: int, seed: int, stream: int = 0) -> Tensor:
    """Noise (count, *shape) on the CPU; `stream` numbers independent draws of one seed."""
    generator = seeded_generator(seed, stream)
    return torch.stack([torch.randn(shape, generator=generator) for _ in range(count)])


def random_labels(count: int, seed: int) -> Int64[Tensor, " n"]:
    """A uniformly drawn class for each sample."""
    return torch.randint(CLASSES, (count,), generator=seeded_generator(seed, LABEL_STREAM))


def seeded_generator(seed: int, stream: int) -> torch.Generator:
    """A generator on the CPU for one of the independent streams of a seed.

    The two are hashed: torch's generator reads no more than 32 bits of what it is seeded with.
    """
    state = np.random.SeedSequence((seed, stream)).generate_state(1)
    return torch.Generator().manual_seed(int(state[0]))


def add_noise(
    images: Float[Tensor, "b 1 28 28"], sigma: float | int, seed: int = 0
) -> Float[Tensor, "b 1 28 28"]:
    """images + sigma * standard normal noise, not clipped: what `denoise` takes."""
    validate_images(images)
    validate_sigma(sigma)
    validate_seed(seed)
    noise = standard_normal(len(images), 1, SIDE, SIDE, seed=seed, stream=NOISE_STREAM)
    return images + sigma * noise.to(images.device)


def validate_sampling(count: int, label: int | None, temperature: float | int, seed: int) -> None:
    """ValueError for arguments of `sample` that are out of range."""
    if not is_integer(count) or not 1 <= count <= MAX_COUNT:
        raise ValueError(f"count must be an integer from 1 to {MAX_COUNT}, not {count!r}")
    if label is not None and (not is_integer(label) or not 0 <= label < CLASSES):
        raise ValueError(f"label must be None or an integer from 0 to 9, not {label!r}")
    if not is_number(temperature) or not 0 <= temperature <= MAX_TEMPERATURE:
        raise ValueError(
            f"temperature must be a number from 0 to {MAX_TEMPERATURE:g}, not {temperature!r}"
        )
    validate_seed(seed)


def validate_seed(seed: int) -> None:
    """ValueError for a seed that is no integer from 0 to 2**32 - 1."""
    if not is_integer(seed) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must be an integer from 0 to {MAX_SEED}, not {seed!r}")


def validate_sigma(sigma: float | int) -> None:
    """ValueError for a noise level that is no number in (0, 10]."""
    if not is_number(sigma) or not 0 < sigma <= 10:
        raise ValueError(f"sigma must be a number above 0 and at most 10, not {sigma!r}")


def validate_images(images: Tensor, *, bounded: bool = True) -> None:
    """ValueError for what is no batch of digits: finite floats, in [0, 1] where `bounded`."""
    shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
    if not isinstance(images, Tensor) or images.ndim != 4 or shape[1:] != (1, SIDE, SIDE):
        raise ValueError(f"images must be a tensor (b, 1, {SIDE}, {SIDE}), not {shape}")
    if not len(images) or not images.is_floating_point() or not images.isfinite().all():
        raise ValueError(
            f"images must be at least one picture of finite floats, not {len(images)} of "
            f"{str(images.dtype).removeprefix('torch.')} "
            f"with {int((~images.isfinite()).sum())} values that are not finite"
        )
    if bounded and (images.min() < 0 or images.max() > 1):
        raise ValueError(
            f"images must hold values in [0, 1], not {images.min():g} to {images.max():g}"
        )


def validate_labels(labels: Tensor, count: int) -> None:
    """ValueError for what is not one class from 0 to 9 a picture."""
    shape = tuple(labels.shape) if isinstance(labels, Tensor) else type(labels).__name__
    if shape != (count,) or labels.is_floating_point():
        raise ValueError(f"labels must be {count} integers, one a picture, not {shape}")
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise ValueError(
            f"labels must be from 0 to 9, not {int(labels.min())} to {int(labels.max())}"
        )


def validate_latents(z: Tensor, latent_dim: int) -> None:
    """ValueError for what is no batch of finite latent vectors."""
    shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
    if not isinstance(z, Tensor) or z.ndim != 2 or shape[1] != latent_dim or not len(z):
        raise ValueError(f"z must be a tensor (b, {latent_dim}), not {shape}")
    if not z.is_floating_point() or not z.isfinite().all():
        raise ValueError("z must hold finite floats: it has values that are not")


def validate_mask(mask: Tensor) -> Bool[Tensor, "28 28"]:
    """The hole as booleans; ValueError for what is no (28, 28) mask of zeros and ones."""
    shape = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
    if shape != (SIDE, SIDE):
        raise ValueError(f"mask must be a tensor ({SIDE}, {SIDE}), 1 in the hole, not {shape}")
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError("mask must hold only 0 (keep) and 1 (hole): it has other values")
    return mask == 1


def validate_binary(images: Tensor) -> None:
    """ValueError for pictures that are not binarised: see `binarize`."""
    if not ((images == 0) | (images == 1)).all():
        raise ValueError("images must hold only 0 and 1 here: binarise them first")


def validate_samples(samples: int) -> None:
    """ValueError for a number of importance samples out of 1 to 100,000."""
    if not is_integer(samples) or not 1 <= samples <= 100_000:
        raise ValueError(f"samples must be an integer from 1 to 100000, not {samples!r}")


def is_integer(value: object) -> bool:
    """Whether this is a whole number and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether this is a finite number and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
