"""Training batches of face inpainting, with all random inputs and loss weights of a step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from models.face_alignment import UNITS, Region
from models.images import to_rgb
from models.inpaint.attributes import GLASSES, OFF, ON, UNKNOWN
from training.data.augment import Augmentation, recolour
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

# What the discriminator and the perceptual loss look at.
WINDOW_UNITS = 48  # side of the window around the hole: three quarters of the picture
MAX_OFFSET = 4  # units between the centres of hole and window
MAX_BRIGHTNESS = 0.1
SATURATION = (0.7, 1.3)


class FaceBatch(NamedTuple):
    """Faces in [0, 1], masks, and for each of k attributes: the label, what the network is given
    (OFF, ON or UNKNOWN), and whether the mask covers the attribute's region.
    """

    image: Float[Tensor, "b 3 h w"]
    mask: Float[Tensor, "b 1 h w"]
    labels: Bool[Tensor, "b k"]
    attributes: Int64[Tensor, "b k"]
    covered: Bool[Tensor, "b k"]

    def shard(self, index: int, count: int) -> "FaceBatch":
        """Every `count`-th face from `index` on."""
        return FaceBatch(*(part[index::count] for part in self))


class LossWeights(NamedTuple):
    """Weight of each face (and attribute) in each loss term; a term's weights sum to 1, or are 0.

    They depend on the whole batch, so that the parts of several processes add up to the same loss.
    """

    reconstruction: Float[Tensor, " b"]
    """Fills from the posterior."""
    prior_l1: Float[Tensor, " b"]
    """Fills from the prior that contradict no label."""
    pairs: Float[Tensor, " p"]
    """Pairs of fills of one face, both from the prior."""
    every: Float[Tensor, " b"]
    wrong: Float[Tensor, " b"]
    """Real faces of which an attribute is known, so that it can be turned round."""
    segmentation: Float[Tensor, " g"]


class Windows(NamedTuple):
    """The square around each hole, and the colours, in which a face is shown to the judges.

    The same for fill, real face and mask (DiffAugment, Zhao et al. 2020).
    """

    top: Int64[Tensor, " b"]
    left: Int64[Tensor, " b"]
    brightness: Float[Tensor, "b 1 1 1"]
    saturation: Float[Tensor, "b 1 1 1"]

    @classmethod
    def draw(cls, rng: np.random.Generator, mask: Float[Tensor, "b 1 s s"]) -> "Windows":
        """Around each hole, as far as the picture reaches."""
        count, _, size, _ = mask.shape
        corners = [
            _window_start(mask.amax((1, dim)) > 0, size, rng.uniform(-1, 1, count))
            for dim in (3, 2)
        ]
        jitter = (
            rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS, (count, 1, 1, 1)),
            rng.uniform(*SATURATION, (count, 1, 1, 1)),
        )
        return cls(*corners, *(torch.from_numpy(part).float() for part in jitter))

    def cut(self, x: Float[Tensor, "b c s s"]) -> Float[Tensor, "b c w w"]:
        """The squares."""
        size, side = x.shape[-1], window_side(x.shape[-1])
        inside = torch.arange(side, device=x.device)
        rows, columns = self.top[:, None] + inside, self.left[:, None] + inside
        index = (rows[:, :, None] * size + columns[:, None]).flatten(1)[:, None]
        cut = x.flatten(2).gather(2, index.expand(-1, x.shape[1], -1))
        return cut.unflatten(2, (side, side))

    def show(self, x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 w w"]:
        """The squares in their colours."""
        return recolour(self.cut(x), self.brightness, self.saturation)


class TrainingBatch(NamedTuple):
    """All that a training step needs, drawn for the whole batch; the last `n_prior` faces are
    filled from the prior.
    """

    faces: FaceBatch
    real: Float[Tensor, "b 3 h w"]
    """Other people who show what the fill is asked to show; the faces themselves where the fill is
    a reconstruction."""
    wrong_attributes: Int64[Tensor, "b k"]
    """`faces.attributes` with one of the known ones turned round."""
    noise: Float[Tensor, "b z"]
    weights: LossWeights
    windows: Windows
    labelled_face: Float[Tensor, "b 3 h w"]
    """Input of the attribute head."""
    glasses_face: Float[Tensor, "g 3 h w"]
    """Input of the glasses segmenter."""
    glasses_target: Float[Tensor, "g 1 h w"]
    n_prior: int

    def shard(self, index: int, count: int) -> "TrainingBatch":
        """Every `count`-th row from `index` on, with weights for a mean over the `count` shards."""
        faces, real, wrong, noise, weights, windows, *inputs, n_prior = self
        return TrainingBatch(
            faces.shard(index, count),
            real[index::count],
            wrong[index::count],
            noise[index::count],
            LossWeights(*(count * x[index::count] for x in weights)),
            Windows(*(x[index::count] for x in windows)),
            *(x[index::count] for x in inputs),
            n_prior // count,
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
        """Batch number `i` with the random inputs and loss weights of a training step.

        The second half of the faces to be filled from the prior are the first half's once more.
        """
        faces = self[i]
        rng = np.random.default_rng((self.seed, i, 1))
        noise = torch.from_numpy(rng.standard_normal((self.batch, latent_dim))).float()
        asked = sample_attributes(faces, self.attributes, n_prior, rng)
        faces = faces._replace(attributes=asked)
        for part in faces:
            part[self.batch - n_prior // 2 :] = part[
                self.batch - n_prior : self.batch - n_prior // 2
            ]
        rng = np.random.default_rng((self.seed, i, 2))
        labelled_face = augmented_faces(faces, rng)
        glasses_face, glasses_target = painted_faces(faces, self.attributes, rng)
        rng = np.random.default_rng((self.seed, i, 3))
        real, wrong = faces.image.clone(), turned_round(faces.attributes, rng)
        real[self.batch - n_prior :] = self.matching(faces.attributes[self.batch - n_prior :], rng)
        weights = loss_weights(faces, n_prior, len(glasses_face))
        windows = Windows.draw(rng, faces.mask)
        inputs = labelled_face, glasses_face, glasses_target
        return TrainingBatch(faces, real, wrong, noise, weights, windows, *inputs, n_prior)

    def batches(
        self, steps: range, latent_dim: int, workers: int
    ) -> Iterator[tuple[int, TrainingBatch]]:
        """Number and batch of each step, half from the prior, made ahead by worker processes."""
        loader = DataLoader(
            _Batches(self, latent_dim), None, sampler=steps, num_workers=workers, prefetch_factor=2
        )
        return zip(steps, loader, strict=True)

    def matching(
        self, attributes: Int64[Tensor, "n k"], rng: np.random.Generator
    ) -> Float[Tensor, "n 3 s s"]:
        """Random faces with the attributes that are known; any face where nobody has them all."""
        columns = np.stack([self.faces.column(name) for name in self.attributes], 1)
        found = []
        for row in attributes.numpy():
            known = row != UNKNOWN
            has_them = np.flatnonzero((columns[:, known] == (row[known] == ON)).all(1))
            count = len(has_them) or len(columns)
            pick = rng.integers(count)
            found.append(has_them[pick] if len(has_them) else pick)
        image = to_rgb(self.faces.images[found], self.size)
        mirrored = torch.from_numpy(rng.uniform(size=len(found)) < 0.5)
        return torch.where(mirrored[:, None, None, None], image.flip(3), image)


@dataclass(frozen=True)
class _Batches:
    """Training batches by number, as a DataLoader's workers want them."""

    dataset: InpaintDataset
    latent_dim: int

    def __getitem__(self, i: int) -> TrainingBatch:
        return self.dataset.training_batch(i, self.dataset.batch // 2, self.latent_dim)


def turned_round(attributes: Int64[Tensor, "b k"], rng: np.random.Generator) -> Tensor:
    """One of the known attributes of each row the other way round; all unknown stays."""
    score = torch.from_numpy(rng.uniform(size=attributes.shape))
    known = attributes != UNKNOWN
    chosen = (score * known).argmax(1, keepdim=True)
    turned = torch.where(attributes == ON, OFF, ON)
    each = torch.zeros_like(known).scatter(1, chosen, True) & known
    return torch.where(each, turned, attributes)


def window_side(size: int) -> int:
    """Px of the window in pictures of `size` px."""
    return size * WINDOW_UNITS // UNITS


def _window_start(
    in_hole: Bool[Tensor, "b s"], size: int, jitter: Float[np.ndarray, " b"]
) -> Int64[Tensor, " b"]:
    """First row (or column) of windows around the hole's middle, moved at random."""
    first = in_hole.int().argmax(1)
    last = size - 1 - in_hole.flip(1).int().argmax(1)
    side, reach = window_side(size), MAX_OFFSET * size // UNITS
    start = (first + last - side) / 2 + reach * torch.from_numpy(jitter)
    return start.round().long().clamp(0, size - side)


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


def loss_weights(batch: FaceBatch, n_prior: int, n_glasses: int) -> LossWeights:
    """See `LossWeights`; `n_glasses` faces are segmented."""
    b = len(batch.image)
    from_prior = torch.arange(b) >= b - n_prior
    asked = batch.covered & (batch.attributes != UNKNOWN) & from_prior[:, None]
    contradicts = (asked & ((batch.attributes == ON) != batch.labels)).any(1)
    every = torch.ones(b, dtype=torch.bool)
    return LossWeights(
        _mean_weights(~from_prior),
        _mean_weights(from_prior & ~contradicts),
        _mean_weights(torch.ones(n_prior // 2, dtype=torch.bool)),
        _mean_weights(every),
        _mean_weights((batch.attributes != UNKNOWN).any(1)),
        _mean_weights(torch.ones(n_glasses, dtype=torch.bool)),
    )


def _mean_weights(chosen: Bool[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Weights of the mean over the chosen elements; all 0 where there is none."""
    return chosen.float() / chosen.sum().clamp(min=1)
