"""Batches of MNIST for the digit models, the same for any number of processes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

BINARIZE_SEED = 2016  # of the fixed binary test set


class Noise:
    """Random tensors of a whole batch, of which this process keeps its rows.

    Drawn on the CPU from (seed, step), so they depend neither on the device nor on the number of
    processes, and a resumed run draws the same.
    """

    def __init__(self, seed: int, step: int, count: int, rows: slice, device: torch.device):
        state = int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])
        self.generator = torch.Generator().manual_seed(state)
        self.count, self.rows, self.device = count, rows, device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal (b, *shape)."""
        return self._own(torch.randn(self.count, *shape, generator=self.generator))

    def uniform(self, *shape: int) -> Tensor:
        """Uniform on [0, 1), (b, *shape)."""
        return self._own(torch.rand(self.count, *shape, generator=self.generator))

    def integers(self, high: int) -> Int64[Tensor, " b"]:
        """Uniform on 0 .. high - 1, (b,)."""
        return self._own(torch.randint(high, (self.count,), generator=self.generator))

    def _own(self, whole: Tensor) -> Tensor:
        return whole[self.rows].to(self.device)


@dataclass(frozen=True)
class Batch:
    """Pictures in [0, 1], their classes, and the noise of the step."""

    x: Float[Tensor, "b 1 28 28"]
    labels: Int64[Tensor, " b"]
    noise: Noise


class DigitDataset:
    """MNIST in a new order each epoch; a batch depends on the seed and the step only."""

    def __init__(
        self, images: UInt8[np.ndarray, "n 28 28"], labels: Int64[np.ndarray, " n"], seed: int
    ):
        self.images, self.labels, self.seed = images, labels, seed
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def batch(
        self, step: int, size: int, device: torch.device, process: int = 0, processes: int = 1
    ) -> Batch:
        """The rows of this process of batch number `step`, `size` pictures over all processes."""
        pick = np.array([self._index(i) for i in range(step * size, (step + 1) * size)])
        rows = slice(process * size // processes, (process + 1) * size // processes)
        x = torch.from_numpy(self.images[pick[rows], None]).float() / 255
        x = x.to(device, memory_format=torch.channels_last)
        labels = torch.from_numpy(self.labels[pick[rows]]).to(device)
        return Batch(x, labels, Noise(self.seed, step, size, rows, device))

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, len(self.images))
        if epoch != self._epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.images))
            self._epoch, self._order = epoch, order
        return int(self._order[place])


def to_images(pixels: UInt8[np.ndarray, "n 28 28"]) -> Float[Tensor, "n 1 28 28"]:
    """Bytes as floats in [0, 1]."""
    return torch.from_numpy(pixels[:, None]).float() / 255


def statically_binarized(
    images: Float[Tensor, "n 1 28 28"], seed: int = BINARIZE_SEED
) -> Float[Tensor, "n 1 28 28"]:
    """One Bernoulli draw a pixel with the grey value as its probability, fixed by `seed`.

    The protocol of Salakhutdinov and Murray 2008. Larochelle's published files are one such draw;
    they are not part of MNIST, so this is another draw from the same distribution.
    """
    uniform = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed))
    return (uniform < images).float()
