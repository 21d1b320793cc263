"""Training examples of face inpainting: faces, holes in them, and what may be asked of the fill."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from models.face_alignment import UNITS, Region
from models.images import to_rgb
from models.inpaint.attributes import UNKNOWN
from training.data.celeba import Faces
from training.inpaint.holes import holes
from training.inpaint.synthetic_glasses import frames

EYES = Region(28, 13, 39, 51)
CORES = {"Smiling": Region(49, 23, 60, 41), "Eyeglasses": EYES, "Male": EYES, "Young": EYES}
COVERED = 0.7  # of the core of an attribute: the fill can decide it from there on
DROPPED = 0.3  # of the attributes are not told
FRAMED = 0.15  # of the holes have the shape of glasses


class FaceBatch(NamedTuple):
    """Faces (b, 3, h, w) in [0, 1], holes (b, 1, h, w), and for each attribute (b, k) whether it is
    true, what the network is told, and whether the hole covers its place.
    """

    image: Tensor
    mask: Tensor
    true: Tensor
    told: Tensor
    covered: Tensor

    def to(self, device: torch.device) -> "FaceBatch":
        """On a device, pictures channels last."""
        pictures = (p.to(device, memory_format=torch.channels_last) for p in self[:2])
        return FaceBatch(*pictures, *(part.to(device) for part in self[2:]))


def covered(mask: Bool[np.ndarray, "b s s"], attribute: str) -> Bool[np.ndarray, " b"]:
    """Whether each hole covers the place where the attribute shows."""
    top, left, bottom, right = (round(side * mask.shape[1] / UNITS) for side in CORES[attribute])
    return mask[:, top:bottom, left:right].mean((1, 2)) >= COVERED


@dataclass(frozen=True)
class Erased:
    """Batch number i is a pure function of (seed, i), so that a resumed run sees what the unbroken
    one saw.
    """

    faces: Faces
    size: int
    """Sides of the pictures."""
    batch: int
    seed: int
    attributes: tuple[str, ...]

    def __getitem__(self, i: int) -> FaceBatch:
        rng = np.random.default_rng((self.seed, i))
        pick = self.faces.sample_indices(rng, self.batch)
        image = to_rgb(self.faces.images[pick], self.size)
        mirrored = torch.from_numpy(rng.uniform(size=self.batch) < 0.5)
        image = torch.where(mirrored[:, None, None, None], image.flip(3), image)
        mask, framed = holes(rng, self.batch, self.size), rng.uniform(size=self.batch) < FRAMED
        for row in np.flatnonzero(framed):
            mask[row] = frames(rng, self.size)
        true = np.stack([self.faces.column(name)[pick] for name in self.attributes], 1)
        told = np.where(rng.uniform(size=true.shape) < DROPPED, UNKNOWN, true)
        over = [covered(mask, name) | framed & (CORES[name] == EYES) for name in self.attributes]
        return FaceBatch(
            image,
            torch.from_numpy(mask)[:, None].float(),
            *map(torch.from_numpy, (true, told, np.stack(over, 1))),
        )

    def from_step(self, step: int, steps: int) -> Iterator[FaceBatch]:
        """Batches number `step` to `steps`."""
        for i in range(step, steps):
            yield self[i]
