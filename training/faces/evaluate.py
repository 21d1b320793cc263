"""Measure the face models on CelebA's test split: `python training/evaluate.py faces`.

Writes metrics.json into the folder of each checkpoint. The features are those of the face
classifier, which had no part in any of them.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from models import checkpoint
from models.classifiers import AttributeClassifier
from models.faces.base import FaceModel
from models.faces.model import TwoStageVAE
from models.images import to_rgb
from training.data import celeba
from training.data.celeba import Faces
from training.faces import losses
from training.faces.config import RELEASED
from training.faces.directions import auc
from training.metrics.frechet import frechet_distance
from training.metrics.image import psnr, relative_sharpness, ssim
from training.metrics.precision_recall import precision_recall
from training.release import results_table

SIDE = 64  # px at which all models are compared
CHUNK = 50  # faces at a time
RIDGE = 30.0  # of the detector
SLIDERS = ("Smiling", "Eyeglasses")
KEPT = ("Male", "Young")


@dataclass(frozen=True)
class Config:
    """What is measured on what."""

    names: tuple[str, ...] = tuple(RELEASED)
    """Checkpoints."""
    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    checkpoints: Path = Path("checkpoints")
    classifier: Path = Path("checkpoints/face-classifier")
    samples: int = 5_000
    """For the Frechet distance; precision and recall use as many as there are test faces."""
    edited: int = 300
    """Test faces whose attributes are changed."""

    def __post_init__(self):
        if min(self.samples, self.edited) < 1:
            raise ValueError(f"samples and edited must be positive: {self}")


class Judge:
    """Features and answers of the classifier, at 64 px."""

    def __init__(self, classifier: AttributeClassifier):
        self.classifier = classifier

    @torch.inference_mode()
    def features(self, x: Float[Tensor, "n 3 64 64"]) -> Float[Tensor, "n d"]:
        """The penultimate layer's."""
        return torch.cat([self.classifier(part).features for part in x.split(CHUNK)])

    @torch.inference_mode()
    def statistics(self, x: Float[Tensor, "n 3 64 64"]) -> Float[Tensor, "n d"]:
        """Means and spreads of all feature maps: what a detector of samples gets."""
        parts = []
        for part in x.split(CHUNK):
            maps = self.classifier(part).feature_maps
            parts.append(
                torch.cat([torch.cat([m.mean((2, 3)), m.std((2, 3))], 1) for m in maps], 1)
            )
        return torch.cat(parts)

    @torch.inference_mode()
    def answers(self, x: Float[Tensor, "n 3 64 64"], name: str) -> Tensor:
        """Whether each face has the attribute."""
        i = self.classifier.config.attributes.index(name)
        return torch.cat([self.classifier(part).logits[:, i] for part in x.split(CHUNK)]) > 0


def small(images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 3 64 64"]:
    """At 64 px."""
    return F.avg_pool2d(images, images.shape[-1] // SIDE)


def detector_auc(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"]) -> float:
    """AUC of a ridge regression that tells samples from photographs, on the half it never saw."""
    count = min(len(real), len(fake))
    half = count // 2
    train, test = (
        torch.cat([real[part], fake[part]]).double()
        for part in (slice(0, half), slice(half, count))
    )
    mean, std = train.mean(0), train.std(0).clamp(min=1e-6)
    train, test = (train - mean) / std, (test - mean) / std
    target = torch.cat([torch.ones(half), -torch.ones(half)]).double()
    gram = train.T @ train + RIDGE * torch.eye(train.shape[1], dtype=train.dtype)
    w = torch.linalg.solve(gram, train.T @ target)
    is_real = torch.arange(len(test)) < count - half
    return auc(test @ w, is_real)


def sample(model: FaceModel, count: int) -> Float[Tensor, "n 3 64 64"]:
    """New faces at 64 px."""
    seeds = range(-(-count // CHUNK))
    return torch.cat([small(model.sample(CHUNK, seed=seed)) for seed in seeds])[:count]


def sample_quality(
    judge: Judge,
    fake: Float[Tensor, "n 3 64 64"],
    real: Float[Tensor, "m 3 64 64"],
    train: Float[Tensor, "k 3 64 64"],
) -> dict[str, Any]:
    """Distances of samples from test faces, and from the nearest training faces."""
    features = {"fake": judge.features(fake), "real": judge.features(real)}
    same = min(len(fake), len(real))
    precision, recall = precision_recall(features["real"][:same], features["fake"][:same])
    known = judge.features(train)
    nearest = {
        name: torch.cdist(part, known).amin(1).quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
        for name, part in features.items()
    }
    return {
        "count": len(fake),
        "frechet": frechet_distance(features["fake"].numpy(), features["real"].numpy()),
        "precision": precision,
        "recall": recall,
        "detector_auc": detector_auc(judge.statistics(real), judge.statistics(fake)),
        "nearest_training_face": {"samples": nearest["fake"], "test faces": nearest["real"]},
    }


def reconstruction(model: FaceModel, x: Float[Tensor, "n 3 s s"]) -> dict[str, float]:
    """Of test faces, at 64 px: PSNR in dB, SSIM, sharpness over the photographs'."""
    out = small(torch.cat([model.reconstruct(part) for part in x.split(CHUNK)]))
    target = small(x)
    return {
        "psnr": psnr(out, target),
        "ssim": ssim(out, target),
        "sharpness": relative_sharpness(out, target),
    }


@torch.no_grad()
def published_loss(model: FaceModel, x: Float[Tensor, "n 3 64 64"]) -> dict[str, float]:
    """Half the squared error plus KL, as published; one draw of z a face."""
    generator = torch.Generator().manual_seed(0)
    sums: dict[str, float] = {}
    for part in x.split(CHUNK):
        noise = torch.randn(len(part), model.config.latent_dim, generator=generator)
        for name, value in losses.published_elbo(model(part, noise), part, 1.0).items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(part) / len(x)
    return sums


def follow_rates(judge: Judge, model: FaceModel, x: Float[Tensor, "n 3 s s"]) -> dict[str, Any]:
    """How often the classifier's answer follows a slider from -2 to +2, and others stay."""
    found = {}
    for name in SLIDERS:
        if name not in model.attributes:
            continue
        ends = {}
        for amount in (-2.0, 2.0):
            parts = [model.edit(part, {name: amount}, KEPT) for part in x.split(CHUNK)]
            ends[amount] = small(torch.cat(parts))
        low, high = (judge.answers(ends[amount], name) for amount in (-2.0, 2.0))
        found[name] = {"follows": float((high & ~low).float().mean())}
        found[name] |= {"on_at_plus_2": float(high.float().mean())}
        found[name] |= {"off_at_minus_2": float((~low).float().mean())}
        for kept in KEPT:
            same = judge.answers(ends[-2.0], kept) == judge.answers(ends[2.0], kept)
            found[name][f"{kept}_kept"] = float(same.float().mean())
    return found


def median_ms(function: Any, repeats: int = 7) -> float:
    """Median milliseconds of a call, after two that do not count."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        function()
        times.append(1_000 * (time.perf_counter() - began))
    return float(np.median(times[2:]))


def evaluate(cfg: Config, name: str, train: Faces, test: Faces) -> dict[str, Any]:
    """All figures of one checkpoint."""
    folder = cfg.checkpoints / name
    model, judge = checkpoint.load(folder), Judge(checkpoint.load(cfg.classifier))
    x = to_rgb(test.images, model.config.image_size)
    real, known = small(x), to_rgb(train.images, SIDE)
    z = model.encode(x[:1])
    found: dict[str, Any] = {
        "split": "test",
        "faces": len(x),
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": (folder / "model.safetensors").stat().st_size,
        "sample_16_ms": median_ms(lambda: model.sample(16)),
        "slider_ms": median_ms(lambda: model.decode(model.move(z, {model.attributes[0]: 1.0}))),
        "threads": torch.get_num_threads(),
        "training_seconds": json.loads((folder / "training.json").read_bytes())["seconds"],
        "reconstruction": reconstruction(model, x),
        "samples": sample_quality(judge, sample(model, cfg.samples), real, known),
    }
    floor = judge.features(known)[: len(real)]
    found["real_train_frechet"] = frechet_distance(floor.numpy(), judge.features(real).numpy())
    if isinstance(model, TwoStageVAE):
        found["sliders"] = follow_rates(judge, model, x[: cfg.edited])
    else:
        found["published_loss"] = published_loss(model, x)
    return found


def main(cfg: Config) -> None:
    """Measure each checkpoint and write its metrics.json."""
    cache = cfg.cache_dir.expanduser()
    train, test = (celeba.load(cfg.data_dir / "celeba", s, cache) for s in ("train", "test"))
    for name in cfg.names:
        results_table.record(cfg.checkpoints / name, evaluate(cfg, name, train, test))
