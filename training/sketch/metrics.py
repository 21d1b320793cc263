"""What the results table is made of."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from models.images import downsample, draw_strokes, to_ink
from models.sketch.cvae import SketchCVAE
from models.sketch.model import SketchCompleter
from models.sketch.tokens import ANY, Points, to_strokes
from training.likelihoods import bernoulli_nll
from training.sketch.losses import points_nll


def diversity(samples: Float[Tensor, "n h w"], partial: Float[Tensor, "h w"]) -> float:
    """Mean pairwise 1 - IoU of the added ink at 0.5; two that add nothing count as alike (0)."""
    added = ((samples > 0.5) & (partial <= 0.5)).flatten(1).float()
    both = added @ added.T
    size = added.sum(1)
    either = size[:, None] + size[None] - both
    distance = torch.where(either > 0, 1 - both / either.clamp(min=1), torch.zeros_like(both))
    n = len(samples)
    return float(distance.sum() / (n * (n - 1)))


def uncertain_share(samples: Float[Tensor, "*b h w"]) -> float:
    """Crispness: the share of pixels with a probability in 0.1..0.9 (0 is crisp)."""
    return float(((samples > 0.1) & (samples < 0.9)).float().mean())


def nearest_training(
    partial: UInt8[np.ndarray, "n 64 64"],
    train_partial: UInt8[np.ndarray, "m 64 64"],
    allowed: Int64[np.ndarray, " n"] | None,
    train_label: Int64[np.ndarray, " m"],
) -> Int64[np.ndarray, " n"]:
    """The sceptic's baseline: which training drawing has the nearest half (squared pixel distance).

    `allowed` gives the class to look in, a drawing; None looks in all.
    """
    out = np.zeros(len(partial), np.int64)
    groups = [None] if allowed is None else list(np.unique(allowed))
    for group in groups:
        rows = np.arange(len(partial)) if group is None else np.flatnonzero(allowed == group)
        pool = np.arange(len(train_label))
        if group is not None:
            pool = np.flatnonzero(train_label == group)
        best = torch.full((len(rows),), math.inf)
        query = to_ink(partial[rows]).flatten(1)
        for start in range(0, len(pool), 8192):
            chunk = pool[start : start + 8192]
            keys = to_ink(train_partial[chunk]).flatten(1)
            distance = (keys**2).sum(1) - 2 * query @ keys.T
            value, index = distance.min(1)
            better = (value < best).numpy()
            best = torch.minimum(best, value)
            out[rows[better]] = chunk[index.numpy()[better]]
    return out


@torch.inference_mode()
def cvae_bound(
    model: SketchCVAE,
    x: Float[Tensor, "b 1 h w"],
    partial: Float[Tensor, "b 1 h w"],
    samples: int = 64,
) -> Float[Tensor, " b"]:
    """IWAE bound on log p(x|y), Bernoulli pixels, nats/image (Burda et al. 2016)."""
    posterior, prior = model.encode(x, partial), model.prior(partial)
    terms = []
    for _ in range(samples):
        z = posterior.sample()
        nll = bernoulli_nll(model.decode(z, partial), x)
        terms.append(prior.log_prob(z) - posterior.log_prob(z) - nll)
    return torch.stack(terms).logsumexp(0) - math.log(samples)


@torch.inference_mode()
def stroke_bound(
    model: SketchCompleter,
    x: UInt8[np.ndarray, "64 64"],
    partial: UInt8[np.ndarray, "64 64"],
    points: Int64[np.ndarray, "n 3"],
    label: str,
    slack: float = 0.01,
) -> float:
    """A lower bound on log p(x|y, label), Bernoulli pixels, nats/image.

    p(x|y) sums p(strokes|y) p(x|strokes, y) over all strokes; the term of the strokes that really
    were drawn bounds it from below (an IWAE with one sample from a posterior that knows them).
    p(x|strokes, y) is the rasterised ink, kept `slack` away from 0 and 1. For "any" the labels are
    summed over.
    """
    y = to_ink(partial)[None, None]
    labels = range(len(model.labels)) if label == ANY else [model.label_index(label)]
    repeated = torch.from_numpy(points).expand(len(labels), -1, -1)
    columns = Points(*repeated.unbind(-1))
    logits = model.prior(columns, y, torch.tensor(list(labels)))
    likelihood = -points_nll(logits, columns)
    if label == ANY:
        likelihood = (logits.label[0].log_softmax(-1) + likelihood).logsumexp(0)
    drawn = to_ink(downsample(draw_strokes(to_strokes(points)))).maximum(y[0, 0])
    p = drawn.clamp(slack, 1 - slack)
    nll = F.binary_cross_entropy(p, to_ink(x), reduction="sum")
    return float(likelihood.sum() - nll)
