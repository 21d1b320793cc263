"""Training examples of face inpainting: faces, holes in them, and what may be asked of the fill."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from models.images import to_rgb
from models.inpaint_wishes import GLASSES, OFF, UNKNOWN, erased
from models.regions import REGIONS, UNITS, Region
from training.data.celeba import RARE, Faces
from training.data.holes import SMALL, fill, holes, jittered, rectangle
from training.data.spectacles import spectacles

CORES = {"Smiling": Region(49, 23, 60, 41), "Eyeglasses": Region(28, 13, 39, 51)}
COVERED = 0.7  # of the core of an attribute: the fill can decide it from there on
DROPPED = 0.3  # of the attributes are not told
PAINTED = 0.85  # of the faces without glasses that are among them are shown with painted ones
TWICE = 0.2  # of the faces whose glasses are to go lack something else too


class FaceBatch(NamedTuple):
    """Faces (b, 3, h, w) in [0, 1], holes (b, 1, h, w), and for each attribute (b, k) whether it is
    true, what the network is told, and whether the hole covers its place.

    Then the faces as they are shown, with painted glasses on some, which part of them is unseen,
    and for each row (b,) whether it is there for its glasses to go, and whether for its own.
    """

    image: Tensor
    mask: Tensor
    shown: Tensor
    unseen: Tensor
    true: Tensor
    told: Tensor
    covered: Tensor
    bare: Tensor
    worn: Tensor

    def to(self, device: torch.device) -> "FaceBatch":
        """On a device, pictures channels last."""
        pictures = (p.to(device, memory_format=torch.channels_last) for p in self[:4])
        return FaceBatch(*pictures, *(part.to(device) for part in self[4:]))


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
    bare: int = 0
    """Rows at the end whose glasses are to go: half wear some, half get some painted on."""
    bare_from: int = 0
    """The first batch with such rows."""

    def __getitem__(self, i: int) -> FaceBatch:
        rng = np.random.default_rng((self.seed, i))
        pick = self.faces.pick(rng, self.batch)
        bare = torch.arange(self.batch) >= self.batch - self.bare * (i >= self.bare_from)
        rows = np.flatnonzero(bare)
        worn, painted = np.array_split(rows, 2)
        column = self.faces.column(RARE).astype(bool)
        for some, wanted in ((worn, column), (painted, ~column)):
            if wanted.any():
                pick[some] = rng.choice(np.flatnonzero(wanted), len(some))
        image = to_rgb(self.faces.images[pick], self.size)
        mirrored = torch.from_numpy(rng.uniform(size=self.batch) < 0.5)
        image = torch.where(mirrored[:, None, None, None], image.flip(3), image)
        mask, shown = holes(rng, self.batch, self.size), image.clone()
        for row in rows:
            mask[row] = fill(jittered(rng, REGIONS["glasses"]), self.size)
            if rng.uniform() < TWICE:
                mask[row] |= fill(rectangle(rng, SMALL), self.size)
        for row in painted[rng.uniform(size=len(painted)) < PAINTED]:
            glasses = torch.from_numpy(spectacles(rng, self.size))
            shown[row] = torch.lerp(
                image[row], glasses[:3], glasses[3] * torch.from_numpy(mask[row])
            )
        true = np.stack([self.faces.column(name)[pick] for name in self.attributes], 1)
        told = np.where(rng.uniform(size=true.shape) < DROPPED, UNKNOWN, true)
        if len(rows):
            told[rows, self.attributes.index(GLASSES)] = OFF
        over = np.stack([covered(mask, name) for name in self.attributes], 1)
        hole, asked = torch.from_numpy(mask)[:, None].float(), torch.from_numpy(told)
        unseen = torch.where(
            bare[:, None, None, None], erased(shown, hole, asked, self.attributes), hole
        )
        return FaceBatch(
            *(image, hole, shown, unseen, torch.from_numpy(true), asked, torch.from_numpy(over)),
            *(bare, bare & torch.from_numpy(column[pick])),
        )

    def from_step(self, step: int, steps: int) -> Iterator[FaceBatch]:
        """Batches number `step` to `steps`."""
        for i in range(step, steps):
            yield self[i]
