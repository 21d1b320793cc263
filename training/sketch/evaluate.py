"""Measure a checkpoint on the test split: `python training/evaluate.py sketch --data-dir DIR`.

Writes the results into the checkpoint's metrics.json and docs/results.md.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from models import checkpoint
from models.classifiers import DrawingClassifier
from models.images import downsample, draw_strokes, to_ink
from models.sketch.cvae import SketchCVAE
from models.sketch.model import SketchCompleter
from models.sketch.tokens import ANY, Points, to_strokes
from training.data import quickdraw
from training.likelihoods import bernoulli_nll
from training.metrics.frechet import frechet_distance
from training.release import results_table
from training.sketch.dataset import missing_points
from training.sketch.losses import points_nll


@dataclass(frozen=True)
class Config:
    """What is evaluated, and on which data."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    checkpoint_dir: Path = Path("checkpoints/sketch")
    paper_dir: Path = Path("runs/sketch-paper/checkpoint")
    """The paper's configuration, trained by `train_sketch.py --architecture paper`."""
    remark: str = ""
    """A sentence for under the table, such as how long each was trained."""
    classifier: Path = Path("checkpoints/sketch-classifier")
    """Written by `train_classifier.py`."""
    split: Literal["valid", "test"] = "test"
    bound_drawings: int = 200
    """Drawings on which the bound is computed; 0 leaves it out."""
    diversity_drawings: int = 240
    seed: int = 0


class ClassifierMetrics:
    """Metrics of many finished drawings by a classifier and its features."""

    def __init__(self, classifier: DrawingClassifier, real: UInt8[np.ndarray, "n 64 64"]):
        self.classifier, self.real_features = classifier, classifier.predict(real)[1]

    def __call__(
        self, pictures: UInt8[np.ndarray, "n 64 64"], label: Int64[np.ndarray, " n"]
    ) -> dict[str, float]:
        """Top-1 accuracy in [0, 1], and the Frechet distance to the real drawings."""
        logits, features = self.classifier.predict(pictures)
        return {
            "top1": float((logits.argmax(1) == label).mean()),
            "frechet": frechet_distance(features, self.real_features),
        }


def diversity(samples: Float[Tensor, "n h w"], partial: Float[Tensor, "h w"]) -> float:
    """Mean pairwise 1 - IoU of the added ink at 0.5; 0 for two that add nothing."""
    added = ((samples > 0.5) & (partial <= 0.5)).flatten(1).float()
    both = added @ added.T
    size = added.sum(1)
    either = size[:, None] + size[None] - both
    distance = torch.where(either > 0, 1 - both / either.clamp(min=1), torch.zeros_like(both))
    n = len(samples)
    return float(distance.sum() / (n * (n - 1)))


def uncertain_share(samples: Float[Tensor, "*b h w"]) -> float:
    """Fraction of pixels with a probability in 0.1..0.9: 0 where all are crisp."""
    return float(((samples > 0.1) & (samples < 0.9)).float().mean())


def nearest_training(
    partial: UInt8[np.ndarray, "n 64 64"],
    train_partial: UInt8[np.ndarray, "m 64 64"],
    allowed: Int64[np.ndarray, " n"] | None,
    train_label: Int64[np.ndarray, " m"],
) -> Int64[np.ndarray, " n"]:
    """The nearest-neighbour baseline: index of the training drawing with the nearest partial one.

    Nearest by squared pixel distance; `allowed` gives the class to search for each drawing, None
    searches all.
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

    p(x|y) is a sum of p(strokes|y) p(x|strokes, y) over all strokes; the term of the real strokes
    bounds it from below (an IWAE with one sample, from a posterior that knows them).
    p(x|strokes, y) is the rasterised ink, clamped to [slack, 1 - slack]. For "any" the labels are
    summed over.
    """
    y = to_ink(partial)[None, None]
    labels = range(len(model.labels)) if label == ANY else [model.label_index(label)]
    repeated = torch.from_numpy(points).expand(len(labels), -1, -1)
    columns = Points(*repeated.unbind(-1))
    logits = model(columns, y, torch.tensor(list(labels)))
    likelihood = -points_nll(logits, columns)
    if label == ANY:
        likelihood = (logits.label[0].log_softmax(-1) + likelihood).logsumexp(0)
    drawn = to_ink(downsample(draw_strokes(to_strokes(points)))).maximum(y[0, 0])
    p = drawn.clamp(slack, 1 - slack)
    nll = F.binary_cross_entropy(p, to_ink(x), reduction="sum")
    return float(likelihood.sum() - nll)


def complete_all(
    model: SketchCompleter | SketchCVAE,
    half: UInt8[np.ndarray, "n 64 64"],
    names: list[str],
    seed: int,
) -> UInt8[np.ndarray, "n 64 64"]:
    """One completion of each partial drawing, binarised at 0.5; 0 or 255."""
    torch.manual_seed(seed)
    parts = []
    for i in range(0, len(half), 128):
        y, some = to_ink(half[i : i + 128]), names[i : i + 128]
        if isinstance(model, SketchCompleter):
            ink = model.complete_batch(y, some, len(y), seed=seed + i)
        else:
            with torch.inference_mode():
                z = model.prior(y[:, None]).sample()
                ink = model.decode(z, y[:, None]).sigmoid()[:, 0].maximum(y)
        parts.append((ink > 0.5).numpy() * np.uint8(255))
    return np.concatenate(parts)


def bounds(
    cfg: Config,
    models: dict[str, SketchCompleter | SketchCVAE],
    full: UInt8[np.ndarray, "n 64 64"],
    half: UInt8[np.ndarray, "n 64 64"],
    label: Int64[np.ndarray, " n"],
) -> dict[str, float]:
    """Mean bound on log p(x given half), nats/image: IWAE-64 for the CVAE."""
    torch.manual_seed(cfg.seed)
    pick = np.random.default_rng(cfg.seed).permutation(len(full))[: cfg.bound_drawings]
    values: dict[str, float] = {}
    for name, model in models.items():
        if isinstance(model, SketchCVAE):
            x, y = (to_ink(ink[pick])[:, None] for ink in (full, half))
            parts = [
                cvae_bound(model, x[i : i + 40], y[i : i + 40]) for i in range(0, len(pick), 40)
            ]
            values[name] = float(torch.cat(parts).mean())
            continue
        points = missing_points(cfg.data_dir / "quickdraw", cfg.split, model.config.max_points)
        for kind in ("any", "label"):
            each = [
                stroke_bound(
                    model,
                    full[i],
                    half[i],
                    points[i],
                    quickdraw.CLASSES[label[i]] if kind == "label" else ANY,
                )
                for i in pick
            ]
            values[f"{name}_{kind}"] = float(np.mean(each))
    return values


def sample_statistics(
    model: SketchCompleter | SketchCVAE,
    half: UInt8[np.ndarray, "n 64 64"],
    names: list[str],
    temperature: float,
) -> dict[str, float]:
    """Mean diversity of 16 completions of a drawing, and mean fraction of uncertain pixels."""
    diversities, uncertain = [], []
    for y, name in zip(half, names, strict=True):
        label = {"label": name} if isinstance(model, SketchCompleter) else {}
        samples = model.complete(to_ink(y), count=16, temperature=temperature, **label)
        diversities.append(diversity(samples, to_ink(y)))
        uncertain.append(uncertain_share(samples))
    return {"diversity": float(np.mean(diversities)), "uncertain_share": float(np.mean(uncertain))}


def evaluate_sketch(cfg: Config) -> dict[str, Any]:
    """All quality metrics; speed is measured in benchmarks/."""
    folder = cfg.data_dir / "quickdraw"
    ours = checkpoint.load(cfg.checkpoint_dir)
    paper = checkpoint.load(cfg.paper_dir) if cfg.paper_dir.exists() else None
    classifier = checkpoint.load(cfg.classifier)
    full, half, label = quickdraw.rasterize_split(folder, cfg.split)
    train_full, train_half, train_label = quickdraw.rasterize_split(folder, "train")
    names = [quickdraw.CLASSES[i] for i in label]

    metrics = ClassifierMetrics(classifier, train_full)
    rows = {"real": metrics(full, label), "partial": metrics(half, label)}
    for name, allowed in (("nearest_label", label), ("nearest_any", None)):
        found = nearest_training(half, train_half, allowed, train_label)
        rows[name] = metrics(np.maximum(train_full[found], half), label)
    rows["ours_label"] = metrics(complete_all(ours, half, names, cfg.seed), label)
    rows["ours_any"] = metrics(complete_all(ours, half, [ANY] * len(half), cfg.seed), label)
    pick = np.random.default_rng(cfg.seed).permutation(len(full))[: cfg.diversity_drawings]
    some = half[pick], [names[i] for i in pick]
    models: dict[str, SketchCompleter | SketchCVAE] = {"ours": ours}
    if paper is not None:
        models["paper"] = paper
        rows["paper"] = metrics(complete_all(paper, half, names, cfg.seed), label)
    result = {
        "split": cfg.split,
        "remark": cfg.remark,
        "drawings": len(full),
        "completions": rows,
        "spread": {name: sample_statistics(model, *some, 1.0) for name, model in models.items()},
        "spread_at_temperature_0": {"ours": sample_statistics(ours, *some, 0.0)},
    }
    if cfg.bound_drawings:
        result["bound_nats"] = bounds(cfg, models, full, half, label)
    return result


def main(cfg: Config) -> None:
    """Evaluate, merge into metrics.json, print."""
    results_table.record(cfg.checkpoint_dir, evaluate_sketch(cfg))
