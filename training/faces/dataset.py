"""Batches of faces and of encoded faces, the same for any number of processes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from models.distributions import DiagonalGaussian
from models.faces.model import OFF, ON, UNKNOWN
from models.images import to_rgb
from training.data.celeba import Faces


@dataclass(frozen=True)
class FaceDataset:
    """Batch number i is a pure function of (seed, i), so that a resumed run repeats nothing."""

    faces: Faces
    size: int
    """Px, the side of the pictures."""
    seed: int

    def batch(
        self, i: int, count: int, latent_dim: int, rows: slice
    ) -> tuple[Float[Tensor, "b 3 s s"], Float[Tensor, "b d"]]:
        """These rows of the `count` faces of batch `i`, half mirrored, and noise for z."""
        rng = np.random.default_rng((self.seed, i))
        pick = self.faces.sample_indices(rng, count)[rows]
        mirrored = torch.from_numpy(rng.uniform(size=count) < 0.5)[rows]
        noise = torch.from_numpy(rng.standard_normal((count, latent_dim), np.float32))[rows]
        image = to_rgb(self.faces.images[pick], self.size)
        image = torch.where(mirrored[:, None, None, None], image.flip(3), image)
        return image.contiguous(memory_format=torch.channels_last), noise


class PriorBatch:
    """What a step of flow matching needs, of encoded faces that are scaled to unit variance."""

    def __init__(
        self,
        posterior: DiagonalGaussian,
        labels: Bool[Tensor, "n k"],
        count: int,
        dropout: tuple[float, float],
        state: tuple[int, int],
    ):
        """`posterior` of all faces; `dropout` of single attributes and of all; (seed, i)."""
        rng = np.random.default_rng(state)
        pick = torch.from_numpy(rng.integers(0, len(labels), count))
        mu, logvar = posterior.mu[pick], posterior.logvar[pick]
        self.z = DiagonalGaussian(mu, logvar).sample(self._normal(rng, mu))
        self.noise = self._normal(rng, mu)
        # logit-normal: most of the path's curvature lies in the middle (Esser et al. 2024)
        self.time = torch.from_numpy(rng.standard_normal(count, np.float32)).sigmoid()
        single, every = dropout
        hidden = rng.uniform(size=(count, labels.shape[1])) < single
        hidden |= rng.uniform(size=(count, 1)) < every
        told = torch.where(labels[pick], ON, OFF)
        self.attributes: Int64[Tensor, "b k"] = told.masked_fill(torch.from_numpy(hidden), UNKNOWN)

    @staticmethod
    def _normal(rng: np.random.Generator, like: Tensor) -> Tensor:
        return torch.from_numpy(rng.standard_normal(tuple(like.shape), np.float32))
