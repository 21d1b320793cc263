"""Attribute directions of a trained face model: ridge regression on encoded training faces."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch import Tensor

from models.distributions import DiagonalGaussian
from models.faces.base import FaceModel
from models.faces.latents import AttributeDirections
from models.images import to_rgb
from training.data.celeba import Faces

ENCODE_BATCH = 64
CALIBRATED = 48  # faces on which gains are measured
CALIBRATION = 2.0  # standard deviations, as a slider may ask for
MIN_GAIN = 0.3
RIDGE = 30.0  # beside the sum of squares of standardised latents


@torch.no_grad()
def encode_all(model: FaceModel, faces: Faces, *, mirror: bool = False) -> DiagonalGaussian:
    """The posteriors of all faces."""
    parts = []
    for start in range(0, len(faces.images), ENCODE_BATCH):
        x = to_rgb(faces.images[start : start + ENCODE_BATCH], model.config.image_size)
        x = (x.flip(3) if mirror else x).to(model.device, memory_format=torch.channels_last)
        parts.append(model.posterior(x))
    return DiagonalGaussian(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def fit(
    directions: AttributeDirections,
    train: tuple[Float[Tensor, "n d"], Bool[Tensor, "n k"]],
    valid: tuple[Float[Tensor, "m d"], Bool[Tensor, "m k"]],
) -> None:
    """Fill `directions` from latents and labels of training faces; AUCs of validation faces.

    Both classes of an attribute weigh the same, however rare it is.
    """
    z, labels = train[0].double(), train[1]
    mean, std = z.mean(0), z.std(0).clamp(min=1e-6)
    unit, k, d = (z - mean) / std, labels.shape[1], z.shape[1]
    for i in range(k):
        on = labels[:, i].double()
        share = on.mean().clamp(1e-6, 1 - 1e-6)
        weight = on / share + (1 - on) / (1 - share)
        target, total = 2 * on - 1, weight.sum()
        centred = unit - (weight[:, None] * unit).sum(0) / total
        target = target - (weight * target).sum() / total
        gram = (centred * weight[:, None]).T @ centred + RIDGE * torch.eye(d, dtype=z.dtype)
        w = torch.linalg.solve(gram, centred.T @ (weight * target)) / std
        score = z @ w
        middle = (weight * score).sum() / total
        scale = ((weight * (score - middle) ** 2).sum() / total).sqrt().clamp(min=1e-6)
        directions.weights[i] = w / scale
        directions.offsets[i] = -middle / scale
        directions.aucs[i] = auc(valid[0].double() @ w, valid[1][:, i])
        score = (score - middle) / scale
        for column, chosen in enumerate((~labels[:, i], labels[:, i])):
            directions.class_means[i, column] = score[chosen].mean() if chosen.any() else 0.0
    directions.spreads.copy_(directions.weights.double().cpu() @ torch.cov(z.T))


@torch.no_grad()
def calibrate(model: FaceModel, faces: Faces) -> None:
    """Fill the gains: by how much of a move the score of the picture changes, encoded again.

    An average of the two directions of a slider, over the first `CALIBRATED` faces.
    """
    images = to_rgb(faces.images[:CALIBRATED], model.config.image_size).to(model.device)
    z = model.encode(images)
    before = model.directions.scores(model.encode(model.decode(z)))
    for i, name in enumerate(model.directions.names):
        slopes = []
        for amount in (-CALIBRATION, CALIBRATION):
            moved = model.decode(z + model.directions.move({name: amount}))
            change = model.directions.scores(model.encode(moved)) - before
            slopes.append(change[:, i].mean() / amount)
        model.directions.gains[i] = torch.stack(slopes).mean().clamp(MIN_GAIN, 1.0)


def auc(scores: Float[Tensor, " n"], positive: Bool[Tensor, " n"]) -> float:
    """Probability that a positive scores above a negative (Mann-Whitney); 0.5 without either."""
    chosen, ranks = positive.numpy(), rankdata(scores.numpy())
    ones, zeros = int(chosen.sum()), int((~chosen).sum())
    if not ones or not zeros:
        return 0.5
    return float((ranks[chosen].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def labels_of(faces: Faces) -> Bool[Tensor, "n k"]:
    """All attributes of all faces."""
    return torch.from_numpy(np.ascontiguousarray(faces.attributes))
