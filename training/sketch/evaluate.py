"""Measure a checkpoint on the test split: `python training/evaluate.py sketch --data-dir DIR`.

Writes the results into the checkpoint's metrics.json and docs/results.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from models import checkpoint
from models.classifiers import DrawingClassifier
from models.images import to_ink
from models.sketch.cvae import SketchCVAE
from models.sketch.model import SketchCompleter
from models.sketch.tokens import ANY
from training.data import quickdraw
from training.metrics.frechet import frechet_distance
from training.release import results_table
from training.sketch import metrics
from training.sketch.dataset import missing_points


@dataclass(frozen=True)
class Config:
    """What is measured on what."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    checkpoint_dir: Path = Path("checkpoints/sketch")
    paper_dir: Path = Path("runs/sketch-paper/checkpoint")
    """The paper's configuration, trained by `train_sketch.py --architecture paper`."""
    remark: str = ""
    """A sentence under the table: how long each was trained, say."""
    classifier: Path = Path("checkpoints/sketch-classifier")
    """Written by `train_classifier.py`."""
    split: Literal["valid", "test"] = "test"
    bound_drawings: int = 200
    """Drawings on which the bound is taken; 0 leaves it out."""
    diversity_drawings: int = 240
    seed: int = 0


class Judged:
    """Judge many finished pictures at once: top-1, and the distance to real drawings."""

    def __init__(self, classifier: DrawingClassifier, real: UInt8[np.ndarray, "n 64 64"]):
        self.classifier, self.real = classifier, classifier.predict(real)[1]

    def __call__(
        self, pictures: UInt8[np.ndarray, "n 64 64"], label: Int64[np.ndarray, " n"]
    ) -> dict[str, float]:
        """Top-1 accuracy in [0, 1], and the Frechet distance."""
        logits, features = self.classifier.predict(pictures)
        return {
            "top1": float((logits.argmax(1) == label).mean()),
            "frechet": frechet_distance(features, self.real),
        }


def finished(
    model: SketchCompleter | SketchCVAE,
    half: UInt8[np.ndarray, "n 64 64"],
    names: list[str],
    seed: int,
) -> UInt8[np.ndarray, "n 64 64"]:
    """One completion a drawing, binarised at 0.5, the visitor's ink in it; 0 or 255."""
    torch.manual_seed(seed)
    parts = []
    for i in range(0, len(half), 128):
        y, some = to_ink(half[i : i + 128]), names[i : i + 128]
        if isinstance(model, SketchCompleter):
            ink = model.draw(y, some, len(y), seed=seed + i)
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
                metrics.cvae_bound(model, x[i : i + 40], y[i : i + 40])
                for i in range(0, len(pick), 40)
            ]
            values[name] = float(torch.cat(parts).mean())
            continue
        points = missing_points(cfg.data_dir / "quickdraw", cfg.split, model.config.max_points)
        for kind in ("any", "label"):
            each = [
                metrics.stroke_bound(
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


def spread(
    model: SketchCompleter | SketchCVAE,
    half: UInt8[np.ndarray, "n 64 64"],
    names: list[str],
    temperature: float,
) -> dict[str, float]:
    """Diversity of 16 completions a drawing and the share of undecided pixels, means."""
    apart, undecided = [], []
    for y, name in zip(half, names, strict=True):
        label = {"label": name} if isinstance(model, SketchCompleter) else {}
        samples = model.complete(to_ink(y), count=16, temperature=temperature, **label)
        apart.append(metrics.diversity(samples, to_ink(y)))
        undecided.append(metrics.uncertain_share(samples))
    return {"diversity": float(np.mean(apart)), "uncertain_share": float(np.mean(undecided))}


def evaluate_sketch(cfg: Config) -> dict[str, Any]:
    """Every row of the table that needs no stop-watch (those are in benchmarks/)."""
    folder = cfg.data_dir / "quickdraw"
    ours = checkpoint.load(cfg.checkpoint_dir)
    paper = checkpoint.load(cfg.paper_dir) if cfg.paper_dir.exists() else None
    classifier = checkpoint.load(cfg.classifier)
    full, half, label = quickdraw.rasterize_split(folder, cfg.split)
    train_full, train_half, train_label = quickdraw.rasterize_split(folder, "train")
    names = [quickdraw.CLASSES[i] for i in label]

    judged = Judged(classifier, train_full)
    rows = {"real": judged(full, label), "halves": judged(half, label)}
    for name, allowed in (("nearest_label", label), ("nearest_any", None)):
        found = metrics.nearest_training(half, train_half, allowed, train_label)
        rows[name] = judged(np.maximum(train_full[found], half), label)
    rows["ours_label"] = judged(finished(ours, half, names, cfg.seed), label)
    rows["ours_any"] = judged(finished(ours, half, [ANY] * len(half), cfg.seed), label)
    pick = np.random.default_rng(cfg.seed).permutation(len(full))[: cfg.diversity_drawings]
    some = half[pick], [names[i] for i in pick]
    models: dict[str, SketchCompleter | SketchCVAE] = {"ours": ours}
    if paper is not None:
        models["paper"] = paper
        rows["paper"] = judged(finished(paper, half, names, cfg.seed), label)
    result = {
        "split": cfg.split,
        "remark": cfg.remark,
        "drawings": len(full),
        "judged": rows,
        "spread": {name: spread(model, *some, 1.0) for name, model in models.items()},
        "spread_at_temperature_0": {"ours": spread(ours, *some, 0.0)},
    }
    if cfg.bound_drawings:
        result["bound_nats"] = bounds(cfg, models, full, half, label)
    return result


def main(cfg: Config) -> None:
    """Evaluate, merge into metrics.json, print."""
    results_table.record(cfg.checkpoint_dir, evaluate_sketch(cfg))
