"""How the inpainter learns to read a face: what is true of it, and where its glasses are."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.inpaint.attributes import GLASSES
from models.inpaint.model import Inpainter
from training.data.augment import augment, color_jitter, random_shift
from training.inpaint.dataset import FaceBatch
from training.inpaint.synthetic_glasses import SEEN, spectacles

SMOOTHED = 0.06  # of the truth of an attribute: labels are not always right
BLANK = 0.25  # of the faces that attributes are read off lack what is under the hole
PAINTED = 12  # faces of a batch that get glasses painted on, if they wear none
BARE = 0.15  # of these stay as they are
DULL = 0.5  # of these batches lose what is finer than 2 px
GLASSES_COUNT = 3.0  # times as much as all other pixels do: they are few


def read_loss(network: Inpainter, batch: FaceBatch, rng: np.random.Generator) -> Tensor:
    """Cross-entropy of what is read off whole faces, some of them blank where the hole is."""
    size = (len(batch.image), 1, 1, 1)
    blank = torch.from_numpy(rng.uniform(size=size) < BLANK).to(batch.mask) * batch.mask
    colour = torch.from_numpy(rng.integers(3, size=size) / 2).to(batch.image)
    logits = network.read(augment(torch.lerp(batch.image, colour, blank), rng), batch.mask)
    truth = batch.true.float() * (1 - SMOOTHED) + SMOOTHED / 2
    return F.binary_cross_entropy_with_logits(logits, truth)


def find_loss(network: Inpainter, batch: FaceBatch, rng: np.random.Generator) -> Tensor:
    """Cross-entropy of every pixel's being glasses, and 1 - Dice of each face, on painted ones."""
    worn = batch.true[:, network.config.attributes.index(GLASSES)] > 0
    face = batch.image[~worn][:PAINTED]
    if not len(face):
        return batch.image.new_zeros(())
    painted = [spectacles(rng, face.shape[-1]) for _ in face]
    colour, cover = torch.from_numpy(np.stack(painted)).to(face).split((3, 1), 1)
    cover = cover * torch.from_numpy(rng.uniform(size=(len(face), 1, 1, 1)) > BARE).to(face)
    shown = random_shift(torch.cat([torch.lerp(face, colour, cover), cover], 1), rng)
    face, truth = color_jitter(shown[:, :3], rng), (shown[:, 3:] > SEEN).float()
    if rng.uniform() < DULL:
        face = F.interpolate(F.avg_pool2d(face, 2), scale_factor=2, mode="bilinear")
    logits = network.finder(face)
    weight = logits.new_tensor(GLASSES_COUNT)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)
    chance, seen = logits.sigmoid(), truth.sum((1, 2, 3))
    both, some = (chance * truth).sum((1, 2, 3)), chance.sum((1, 2, 3))
    dice = (2 * both + 20) / (some + seen + 20)
    return entropy + 0.3 * (1 - dice).mean()
