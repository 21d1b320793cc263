"""Training batches of face inpainting, with all random inputs and loss weights of a step."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from models.face_alignment import UNITS, Region
from models.images import to_rgb
from models.inpaint.attributes import GLASSES, ON, PRESERVED, UNKNOWN
from training.data.augment import Augmentation
from training.data.celeba import Faces
from training.inpaint.holes import random_masks
from training.inpaint.synthetic_glasses import MIN_OPACITY, glasses_hole, synthetic_glasses

EYES = Region(28, 13, 39, 51)
ATTRIBUTE_REGIONS = {
    "Smiling": Region(49, 23, 60, 41),
    "Eyeglasses": EYES,
    "Male": EYES,
    "Young": EYES,
}
MIN_COVERAGE = 0.7  # of an attribute's region: from there on the fill can decide it
P_LABEL_DROPOUT = 0.3  # of the attributes are unknown to the network
P_GLASSES_HOLE = 0.15  # of the masks have the shape of glasses

# Attributes asked of fills from the prior.
P_UNKNOWN = 1 / 3  # are left to the network
P_POSITIVE = {"Smiling": 0.5, "Eyeglasses": 0.15}  # of the others are on
P_FLIP = {"Male": 0.1, "Young": 0.3}  # of the others are the opposite of the label

# The auxiliary tasks: attributes of whole faces, segmentation of painted glasses.
P_MASKED = 0.25  # of the faces lack what is under the mask
MAX_PAINTED = 12  # faces of a batch that glasses are painted on, if they wear none
P_NO_GLASSES = 0.15  # of these stay without
P_BLUR = 0.5  # of these batches lose details finer than 2 px


class FaceBatch(NamedTuple):
    """Faces in [0, 1], masks, and for each of k attributes: the label, what the network is given
    (OFF, ON or UNKNOWN), and whether the mask covers the attribute's region.
    """

    image: Float[Tensor, "b 3 h w"]
    mask: Float[Tensor, "b 1 h w"]
    labels: Bool[Tensor, "b k"]
    attributes: Int64[Tensor, "b k"]
    covered: Bool[Tensor, "b k"]

    @property
    def partial_holes(self) -> Bool[Tensor, " b"]:
        """Faces of which more than half is visible: only these are shown to the discriminator."""
        return self.mask.mean((1, 2, 3)) < 0.5

    def shard(self, index: int, count: int) -> "FaceBatch":
        """Every `count`-th face from `index` on."""
        return FaceBatch(*(part[index::count] for part in self))

    def to(self, device: torch.device) -> "FaceBatch":
        """On a device, pictures in channels-last format."""
        return FaceBatch(*_to(self, device))


class LossWeights(NamedTuple):
    """Weight of each face (and attribute) in each loss term; a term's weights sum to 1, or are 0.

    They depend on the whole batch, so that the parts of several processes add up to the same loss.
    """

    reconstruction: Float[Tensor, " b"]
    """Fills from the posterior."""
    prior_l1: Float[Tensor, " b"]
    """Fills from the prior that contradict no label."""
    attribute: Float[Tensor, "b k"]
    """Attributes asked of fills from the prior."""
    preservation: Float[Tensor, "b p"]
    """`PRESERVED` attributes that were not asked, and that a partial hole leaves visible."""
    adversarial: Float[Tensor, " b"]
    """Faces with partial holes."""
    segmentation: Float[Tensor, " g"]


class TrainingBatch(NamedTuple):
    """All that a training step needs, drawn for the whole batch; the last `n_prior` faces are
    filled from the prior.
    """

    faces: FaceBatch
    noise: Float[Tensor, "b z"]
    weights: LossWeights
    augmentation: Augmentation
    """Of the fills from the prior."""
    labelled_face: Float[Tensor, "b 3 h w"]
    """Input of the attribute head."""
    glasses_face: Float[Tensor, "g 3 h w"]
    """Input of the glasses segmenter."""
    glasses_target: Float[Tensor, "g 1 h w"]
    n_prior: int

    def shard(self, index: int, count: int) -> "TrainingBatch":
        """Every `count`-th row from `index` on, with weights for a mean over the `count` shards."""
        shift, *jitter = self.augmentation
        return TrainingBatch(
            self.faces.shard(index, count),
            self.noise[index::count],
            LossWeights(*(count * x[index::count] for x in self.weights)),
            Augmentation(shift, *(x[index::count] for x in jitter)),
            *(x[index::count] for x in self[4:7]),
            self.n_prior // count,
        )

    def to(self, device: torch.device) -> "TrainingBatch":
        """On a device, pictures in channels-last format."""
        shift, *jitter = self.augmentation
        return TrainingBatch(
            self.faces.to(device),
            self.noise.to(device),
            LossWeights(*_to(self.weights, device)),
            Augmentation(shift, *_to(jitter, device)),
            *_to(self[4:7], device),
            self.n_prior,
        )


@dataclass(frozen=True)
class InpaintDataset:
    """Batch number i is a pure function of (seed, i), so that a resumed run repeats nothing."""

    faces: Faces
    size: int
    """Px, the side of the pictures."""
    batch: int
    """Faces in a batch."""
    seed: int
    attributes: tuple[str, ...]

    def __getitem__(self, i: int) -> FaceBatch:
        """Batch number `i`: random faces, half of them mirrored, with random masks."""
        rng = np.random.default_rng((self.seed, i))
        indices = self.faces.sample_indices(rng, self.batch)
        image = to_rgb(self.faces.images[indices], self.size)
        mirrored = torch.from_numpy(rng.uniform(size=self.batch) < 0.5)
        image = torch.where(mirrored[:, None, None, None], image.flip(3), image)
        mask = random_masks(rng, self.batch, self.size)
        is_glasses_hole = rng.uniform(size=self.batch) < P_GLASSES_HOLE
        for row in np.flatnonzero(is_glasses_hole):
            mask[row] = glasses_hole(rng, self.size)
        labels = np.stack([self.faces.column(name)[indices] for name in self.attributes], 1)
        dropped = rng.uniform(size=labels.shape) < P_LABEL_DROPOUT
        attributes = np.where(dropped, UNKNOWN, labels)
        covered = [
            covers(mask, name) | is_glasses_hole & (ATTRIBUTE_REGIONS[name] == EYES)
            for name in self.attributes
        ]
        return FaceBatch(
            image,
            torch.from_numpy(mask)[:, None].float(),
            *map(torch.from_numpy, (labels, attributes, np.stack(covered, 1))),
        )

    def training_batch(self, i: int, n_prior: int, latent_dim: int) -> TrainingBatch:
        """Batch number `i` with the random inputs and loss weights of a training step."""
        faces = self[i]
        rng = np.random.default_rng((self.seed, i, 1))
        noise = torch.from_numpy(rng.standard_normal((self.batch, latent_dim))).float()
        asked = sample_attributes(faces, self.attributes, n_prior, rng)
        faces = faces._replace(attributes=asked)
        rng = np.random.default_rng((self.seed, i, 2))
        augmentation = Augmentation.draw(rng, n_prior) if n_prior else Augmentation.none()
        labelled_face = augmented_faces(faces, rng)
        glasses_face, glasses_target = painted_faces(faces, self.attributes, rng)
        weights = loss_weights(faces, self.attributes, n_prior, len(glasses_face))
        inputs = labelled_face, glasses_face, glasses_target
        return TrainingBatch(faces, noise, weights, augmentation, *inputs, n_prior)


def covers(mask: Bool[np.ndarray, "b s s"], attribute: str) -> Bool[np.ndarray, " b"]:
    """Whether each mask covers the region where the attribute shows."""
    region = ATTRIBUTE_REGIONS[attribute]
    top, left, bottom, right = (round(side * mask.shape[1] / UNITS) for side in region)
    return mask[:, top:bottom, left:right].mean((1, 2)) >= MIN_COVERAGE


def sample_attributes(
    batch: FaceBatch, names: tuple[str, ...], n_prior: int, rng: np.random.Generator
) -> Int64[Tensor, "b k"]:
    """The batch's attributes, for the last `n_prior` faces random where the mask covers them."""
    if not n_prior:
        return batch.attributes
    attributes = batch.attributes.clone()
    uniform = torch.from_numpy(rng.uniform(size=attributes.shape))
    unknown = torch.from_numpy(rng.uniform(size=attributes.shape) < P_UNKNOWN)
    for i, name in enumerate(names):
        on = uniform[:, i] < (P_POSITIVE | P_FLIP)[name]
        if name in P_FLIP:
            on ^= batch.labels[:, i].bool()
        asked = on.long().masked_fill(unknown[:, i], UNKNOWN)
        asked = torch.where(batch.covered[:, i], asked, attributes[:, i])
        attributes[-n_prior:, i] = asked[-n_prior:]
    return attributes


def augmented_faces(batch: FaceBatch, rng: np.random.Generator) -> Float[Tensor, "b 3 h w"]:
    """Whole faces, augmented; of some what is under the mask is black, grey or white."""
    size = (len(batch.image), 1, 1, 1)
    masked = torch.from_numpy(rng.uniform(size=size) < P_MASKED) * batch.mask
    level = torch.from_numpy(rng.integers(3, size=size) / 2).float()
    return Augmentation.draw(rng, len(batch.image))(torch.lerp(batch.image, level, masked))


def painted_faces(
    batch: FaceBatch, names: tuple[str, ...], rng: np.random.Generator
) -> tuple[Float[Tensor, "g 3 h w"], Float[Tensor, "g 1 h w"]]:
    """Faces without glasses, most with some painted on, and where these are (1)."""
    face = batch.image[~batch.labels[:, names.index(GLASSES)]][:MAX_PAINTED]
    if not len(face):
        return face, face[:, :1]
    painted = [synthetic_glasses(rng, face.shape[-1]) for _ in face]
    colour, opacity = torch.from_numpy(np.stack(painted)).split((3, 1), 1)
    opacity = opacity * torch.from_numpy(rng.uniform(size=(len(face), 1, 1, 1)) > P_NO_GLASSES)
    augmentation = Augmentation.draw(rng, len(face))
    moved = augmentation.move(torch.cat([torch.lerp(face, colour, opacity), opacity], 1))
    face, target = augmentation.jitter(moved[:, :3]), (moved[:, 3:] > MIN_OPACITY).float()
    if rng.uniform() < P_BLUR:
        face = F.interpolate(F.avg_pool2d(face, 2), scale_factor=2, mode="bilinear")
    return face, target


def loss_weights(
    batch: FaceBatch, names: tuple[str, ...], n_prior: int, n_glasses: int
) -> LossWeights:
    """See `LossWeights`; `n_glasses` faces are segmented."""
    b = len(batch.image)
    from_prior = torch.arange(b) >= b - n_prior
    asked = batch.covered & (batch.attributes != UNKNOWN) & from_prior[:, None]
    contradicts = (asked & ((batch.attributes == ON) != batch.labels)).any(1)
    preserved = (batch.partial_holes & from_prior)[:, None].repeat(1, len(PRESERVED))
    for i, name in enumerate(names):
        if name in PRESERVED:
            decided = batch.covered[:, i] if name == "Smiling" else asked[:, i]
            preserved[:, PRESERVED.index(name)] &= ~decided
    return LossWeights(
        _mean_weights(~from_prior),
        _mean_weights(from_prior & ~contradicts),
        _mean_weights(asked),
        _mean_weights(preserved),
        _mean_weights(batch.partial_holes),
        _mean_weights(torch.ones(n_glasses, dtype=torch.bool)),
    )


def _mean_weights(chosen: Bool[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Weights of the mean over the chosen elements; all 0 where there is none."""
    return chosen.float() / chosen.sum().clamp(min=1)


def _to(parts: tuple | list, device: torch.device) -> list[Tensor]:
    """On a device, pictures in channels-last format."""
    formats = (torch.channels_last if x.dim() == 4 else torch.preserve_format for x in parts)
    return [x.to(device, memory_format=f) for x, f in zip(parts, formats, strict=True)]
