"""The interface that all models of faces share, and what it accepts.

Pictures are (b, 3, s, s) floats in [0, 1]. Noise is drawn on the CPU from an explicit seed, row by
row: sample i depends on the seed and i, never on `count`.
"""

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.distributions import DiagonalGaussian
from models.faces.latents import AttributeDirections

MAX_COUNT = 256  # samples of one call
MAX_SEED = 2**32 - 1
MAX_TEMPERATURE = 10.0
MAX_CHANGE = 10.0  # standard deviations of an attribute's score
MIN_AUC = 0.85  # of a direction on held-out faces, below which no slider is offered


class VAEOutput(NamedTuple):
    """A picture decoded from a posterior sample, and q(z | x)."""

    image: Float[Tensor, "b 3 s s"]
    posterior: DiagonalGaussian


class FaceModel(nn.Module):
    """Checks arguments, then calls `posterior` and `_decode` of the family.

    Each public method raises ValueError, in one sentence, for arguments that it cannot take.
    """

    directions: AttributeDirections

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes that can be changed: those told apart on held-out faces."""
        aucs = self.directions.aucs.tolist()
        return tuple(
            n for n, auc in zip(self.directions.names, aucs, strict=True) if auc >= MIN_AUC
        )

    def posterior(self, x: Float[Tensor, "b 3 s s"]) -> DiagonalGaussian:
        """q(z | x)."""
        raise NotImplementedError

    def _decode(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 s s"]:
        raise NotImplementedError

    def forward(
        self, x: Float[Tensor, "b 3 s s"], noise: Float[Tensor, "b d"] | None = None
    ) -> VAEOutput:
        """Training pass: encode, draw one z (of this standard normal noise, if given), decode."""
        posterior = self.posterior(x)
        return VAEOutput(self._decode(posterior.sample(noise)), posterior)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Float[Tensor, "b d"]:
        """The posterior means of faces (b, 3, s, s), s being `config.image_size`."""
        self.validate_images(images)
        return self.posterior(images.to(self.device)).mu

    @torch.no_grad()
    def decode(self, z: Tensor) -> Float[Tensor, "b 3 s s"]:
        """Faces in [0, 1] of latent vectors (b, latent_dim)."""
        self.validate_latents(z)
        return self._decode(z.to(self.device).float()).float().clamp(0, 1)

    def reconstruct(self, images: Tensor) -> Float[Tensor, "b 3 s s"]:
        """Encoded and decoded."""
        return self.decode(self.encode(images))

    @torch.no_grad()
    def sample_latents(
        self,
        count: int = 16,
        attributes: Mapping[str, bool] | None = None,
        temperature: float | int = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n d"]:
        """Latent vectors of `count` new faces; see `sample`."""
        attributes = attributes or {}
        if not is_integer(count) or not 1 <= count <= MAX_COUNT:
            raise ValueError(f"count must be an integer from 1 to {MAX_COUNT}, not {count!r}")
        if not is_number(temperature) or not 0 <= temperature <= MAX_TEMPERATURE:
            raise ValueError(
                f"temperature must be a number from 0 to {MAX_TEMPERATURE:g}, not {temperature!r}"
            )
        if not is_integer(seed) or not 0 <= seed <= MAX_SEED:
            raise ValueError(f"seed must be an integer from 0 to {MAX_SEED}, not {seed!r}")
        self.validate_names(attributes, self.directions.names)
        for name, value in attributes.items():
            if not isinstance(value, bool):
                raise ValueError(f"attribute {name} must be True or False, not {value!r}")
        generator = torch.Generator().manual_seed(seed)
        shape = (self.config.latent_dim,)
        noise = torch.stack([torch.randn(shape, generator=generator) for _ in range(count)])
        return self._sample_latents(noise.to(self.device), dict(attributes), float(temperature))

    @torch.no_grad()
    def sample(
        self,
        count: int = 16,
        attributes: Mapping[str, bool] | None = None,
        temperature: float | int = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n 3 s s"]:
        """`count` new faces with (True) and without (False) the attributes that are named.

        At temperature 0 all noise is zero; 1 is the model's own distribution.
        """
        return self.decode(self.sample_latents(count, attributes, temperature, seed))

    @torch.no_grad()
    def edit(
        self, images: Tensor, changes: Mapping[str, float], keep: Collection[str] = ()
    ) -> Float[Tensor, "b 3 s s"]:
        """Reconstructions with attributes changed, in standard deviations of their scores.

        The scores are those of the changed pictures, encoded again, on average.

        The scores of the attributes in `keep`, any of CelebA's, stay as they are.
        """
        return self.decode(self.move(self.encode(images), changes, keep))

    @torch.no_grad()
    def move(
        self, z: Tensor, changes: Mapping[str, float], keep: Collection[str] = ()
    ) -> Float[Tensor, "b d"]:
        """Latent vectors moved as `edit` does."""
        self.validate_latents(z)
        self.validate_names(changes, self.attributes)
        self.validate_names(keep, self.directions.names)
        for name, value in changes.items():
            if not is_number(value) or abs(value) > MAX_CHANGE:
                raise ValueError(
                    f"the change of {name} must be a number from -{MAX_CHANGE:g} to "
                    f"{MAX_CHANGE:g}, not {value!r}"
                )
        z = z.to(self.device).float()
        if not changes:
            return z
        gains = dict(zip(self.directions.names, self.directions.gains.tolist(), strict=True))
        amounts = {name: value / gains[name] for name, value in changes.items()}
        return z + self.directions.move(amounts, keep)

    def _sample_latents(
        self, noise: Float[Tensor, "n d"], attributes: dict[str, bool], temperature: float
    ) -> Float[Tensor, "n d"]:
        """From N(0, I), moved to the mean score of the faces that have the attributes or not."""
        z = temperature * noise
        if not attributes:
            return z
        directions, scores = self.directions, self.directions.scores(z)
        changes = {}
        for name, on in attributes.items():
            i = directions.names.index(name)
            changes[name] = directions.class_means[i, int(on)] - scores[:, i]
        return z + directions.move(changes)

    def validate_names(self, names: Collection[str], known: Collection[str]) -> None:
        """ValueError for the name of an attribute that is not among the known ones."""
        for name in names:
            if name not in known:
                choice = ", ".join(known) or "none (train its directions first)"
                raise ValueError(f"there is no attribute {name!r}: choose among {choice}")

    def validate_images(self, images: Tensor) -> None:
        """ValueError for what is no batch of faces of the model's size with values in [0, 1]."""
        side = self.config.image_size
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        if not isinstance(images, Tensor) or images.ndim != 4 or shape[1:] != (3, side, side):
            raise ValueError(f"images must be a tensor (b, 3, {side}, {side}), not {shape}")
        if not len(images) or not images.is_floating_point() or not images.isfinite().all():
            raise ValueError("images must be at least one picture of finite floats")
        if images.min() < 0 or images.max() > 1:
            raise ValueError(
                f"images must hold values in [0, 1], not {images.min():g} to {images.max():g}"
            )

    def validate_latents(self, z: Tensor) -> None:
        """ValueError for what is no batch of finite latent vectors."""
        shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        width = self.config.latent_dim
        if not isinstance(z, Tensor) or z.ndim != 2 or shape[1] != width or not len(z):
            raise ValueError(f"z must be a tensor (b, {width}), not {shape}")
        if not z.is_floating_point() or not z.isfinite().all():
            raise ValueError("z must hold finite floats: it has values that are not")


def is_integer(value: object) -> bool:
    """Whether this is a whole number and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether this is a finite number and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
