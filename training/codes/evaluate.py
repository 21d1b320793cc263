"""Evaluate a VQ-VAE and its prior: `python training/evaluate.py codes --kind digits`.

Reconstruction, use of the codebook, edits of codes against the same edits of pixels, likelihood and
samples of the prior, all on held-out images; written into the checkpoint's metrics.json.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from models import checkpoint
from models.classifiers import DigitClassifier, DrawingClassifier
from models.codes import edits
from models.codes.prior import MASKED, UNCONDITIONAL, CodesPrior
from models.codes.vqvae import VQVAE
from training.codes import dataset
from training.codes.codebook import perplexity
from training.codes.dataset import Kind
from training.engine.previews import save_rgb_grid
from training.metrics.frechet import frechet_distance
from training.metrics.image import psnr, ssim
from training.release import results_table

# Classifiers that take no part in training.
CLASSIFIERS: dict[Kind, str] = {"digits": "digit-classifier", "sketches": "sketch-classifier"}
Classifier = DigitClassifier | DrawingClassifier
# Edits of code grids (cell 1) and images (cell: px) alike; a splice is with the previous one.
EDITS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "shift by 1": lambda grid, cell: edits.shift(grid, x=cell),
    "shift by 2": lambda grid, cell: edits.shift(grid, x=2 * cell),
    "rotate": lambda grid, _: edits.rotate(grid),
    "flip x": lambda grid, _: edits.flip(grid, "x"),
    "flip y": lambda grid, _: edits.flip(grid, "y"),
    "splice": lambda grid, cell: edits.splice(
        grid, grid.roll(1, 0), grid.shape[-1] // cell // 2 * cell
    ),
}


@dataclass(frozen=True)
class Config:
    """What is measured, and on which images."""

    kind: Kind = "digits"
    data_dir: Path = Path("data")
    checkpoints: Path = Path("checkpoints")
    """Folder that holds codes-KIND, prior-KIND and the classifiers."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    edited: int = 1_000
    """Images on which edits are measured."""
    samples: int = 100
    """Samples of the prior for each class."""
    pythae: Path | None = None
    """Result of benchmarks/codes_pythae.py on this kind and split, as a baseline."""
    vae: Path | None = None
    """Result of its VAE, a baseline of the prior's samples."""
    remark: str = ""
    """A sentence below the table of results."""
    split: Literal["valid", "test"] = "test"
    seed: int = 0


def main(cfg: Config) -> None:
    """Evaluate, merge into metrics.json, print."""
    results_table.record(cfg.checkpoints / f"codes-{cfg.kind}", evaluate_codes(cfg))


def evaluate_codes(cfg: Config) -> dict[str, Any]:
    """All figures but times."""
    baselines = read_baselines(cfg)
    model = checkpoint.load(cfg.checkpoints / f"codes-{cfg.kind}")
    k, cache = model.config.num_codes, cfg.cache_dir.expanduser()
    size = model.config.image_size
    images, labels = dataset.load(cfg.kind, cfg.data_dir, cfg.split, size, cache)
    x = torch.from_numpy(images).float() / 255
    codes = map_batches(model.encode, x)
    counts = torch.bincount(codes.flatten(), minlength=k).double()
    p = (counts / counts.sum()).clamp(min=1e-12)
    classifier = None
    if cfg.kind in CLASSIFIERS:
        classifier = checkpoint.load(cfg.checkpoints / CLASSIFIERS[cfg.kind])
    pick = np.random.default_rng(cfg.seed).permutation(len(x))[: cfg.edited]
    result: dict[str, Any] = {
        "split": cfg.split,
        "remark": cfg.remark,
        "pictures": len(x),
        "grid": model.config.grid_size,
        "codes": k,
        "reconstruction": reconstruction(cfg.kind, x, map_batches(model.decode, codes)),
        "perplexity_over_k": perplexity(counts.float()) / k,
        "dead_share": float((counts == 0).double().mean()),
        "edits": compare_edits(model, x[pick], labels[pick], classifier),
        "nats_per_code": {"uniform": math.log(k), "unigram": float(-(p * p.log()).sum())},
    } | baselines
    if classifier is not None:
        decoded = model.decode(codes[pick])
        result["class_accuracy"] = class_accuracy(classifier, decoded, labels[pick])
    folder = cfg.checkpoints / f"prior-{cfg.kind}"
    if folder.exists():
        prior = checkpoint.load(folder)
        result["nats_per_code"]["prior"] = prior_nats(prior, codes, labels)
        if classifier is not None:
            _, features = classify(classifier, x)
            result["samples"] = evaluate_samples(
                model, prior, classifier, (features, labels), cfg.samples, cfg.seed
            )
            some = pick[:300]
            result["completion"] = evaluate_completions(
                model, prior, classifier, codes[some], labels[some], cfg.seed
            )
    return result


def read_baselines(cfg: Config) -> dict[str, Any]:
    """Results of pythae's models; ValueError for one of another kind or split."""
    rows = {}
    for name, path in (("pythae", cfg.pythae), ("vae", cfg.vae)):
        if path is not None:
            row = rows[name] = json.loads(path.read_text())
            if (row["kind"], row["split"]) != (cfg.kind, cfg.split):
                raise ValueError(
                    f"{path} was measured on {row['kind']}, {row['split']}: give one of "
                    f"{cfg.kind}, {cfg.split}"
                )
    return rows


def map_batches(compute: Callable[[Tensor], Tensor], x: Tensor, size: int = 256) -> Tensor:
    """`compute(x)` in batches of `size`."""
    return torch.cat([compute(part) for part in x.split(size)])


def classify(
    classifier: Classifier, x: Float[Tensor, "n 1 h w"]
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n 128"]]:
    """Logits and features of drawings or digits in [0, 1]."""
    ink = (x[:, 0].clamp(0, 1) * 255).round().byte().numpy()
    return classifier.predict(ink)


def class_accuracy(
    classifier: Classifier,
    x: Float[Tensor, "n 1 h w"],
    labels: Int64[np.ndarray, " n"],
) -> float:
    """Fraction of the images whose most probable class is their label."""
    return float((classify(classifier, x)[0].argmax(1) == labels).mean())


def reconstruction(
    kind: Kind, x: Float[Tensor, "n c h w"], recon: Float[Tensor, "n c h w"]
) -> dict[str, float]:
    """Mean squared error and PSNR; for sketches IoU at 0.5, for faces SSIM."""
    found = {"mse": float((x - recon).square().mean()), "psnr": psnr(x, recon)}
    if kind == "sketches":
        both, either = (x > 0.5) & (recon > 0.5), (x > 0.5) | (recon > 0.5)
        iou = both.sum((1, 2, 3)) / either.sum((1, 2, 3)).clamp(min=1)
        found["iou"] = float(iou.mean())
    if kind == "faces":
        found["ssim"] = ssim(recon, x)
    return found


def compare_edits(
    model: VQVAE,
    x: Float[Tensor, "n c h w"],
    labels: Int64[np.ndarray, " n"],
    classifier: Classifier | None,
) -> dict[str, dict[str, float]]:
    """PSNR of decode(edit(codes)) against edit(decode(codes)), and the class accuracy of both."""
    codes, found = map_batches(model.encode, x), {}
    decoded = map_batches(model.decode, codes)
    for name, edit in EDITS.items():
        by_codes = map_batches(model.decode, edit(codes, 1))
        by_pixels = edit(decoded, model.config.cell_size)
        row = {"psnr": psnr(by_codes, by_pixels)}
        if classifier is not None and name != "splice":
            row["accuracy_codes"] = class_accuracy(classifier, by_codes, labels)
            row["accuracy_pixels"] = class_accuracy(classifier, by_pixels, labels)
        found[name] = row
    return found


@torch.inference_mode()
def prior_nats(
    prior: CodesPrior, codes: Int64[Tensor, "n gh gw"], labels: Int64[np.ndarray, " n"]
) -> float:
    """Mean -log p(code | previous codes, class) in raster order, nats."""
    has_classes = bool(prior.config.class_names)
    label = torch.from_numpy(labels if has_classes else np.full_like(labels, UNCONDITIONAL))
    total = 0.0
    for part, part_label in zip(codes.split(256), label.split(256), strict=True):
        logits = prior(part, part_label)
        total += float(F.cross_entropy(logits.flatten(0, 1), part.flatten(), reduction="sum"))
    return total / codes.numel()


def evaluate_samples(
    model: VQVAE,
    prior: CodesPrior,
    classifier: Classifier,
    real: tuple[Float[np.ndarray, "n 128"], Int64[np.ndarray, " n"]],
    count: int,
    seed: int,
) -> dict[str, float]:
    """`count` samples of each class: class accuracy, Frechet distance to real images.

    `real` are features and labels; equally many of each class are compared, as there are samples.
    """
    correct, features = [], []
    for label in range(len(prior.config.class_names)):
        samples = model.decode(prior.sample(count, label, seed=seed + label))
        logits, part = classify(classifier, samples)
        correct.append(logits.argmax(1) == label)
        features.append(part)
    return {
        "class_accuracy": float(np.concatenate(correct).mean()),
        "frechet": frechet_distance(np.concatenate(features), equal_classes(*real)),
    }


def equal_classes(
    features: Float[np.ndarray, "n d"], labels: Int64[np.ndarray, " n"]
) -> Float[np.ndarray, "m d"]:
    """As many rows of each class as the smallest one has."""
    classes, counts = np.unique(labels, return_counts=True)
    rows = [np.flatnonzero(labels == label)[: counts.min()] for label in classes]
    return features[np.concatenate(rows)]


def evaluate_completions(
    model: VQVAE,
    prior: CodesPrior,
    classifier: Classifier,
    codes: Int64[Tensor, "n gh gw"],
    labels: Int64[np.ndarray, " n"],
    seed: int,
) -> dict[str, float]:
    """Class accuracy of grids whose lower half is sampled without a label, and of upper halves."""
    known = codes.clone()
    half = model.config.grid_size // 2
    known[:, half:] = MASKED
    sampled = [prior.sample(1, known=part, seed=seed + i) for i, part in enumerate(known)]
    partial = model.decode(codes).clone()
    partial[..., half * model.config.cell_size :, :] = 0
    completed = model.decode(torch.cat(sampled))
    return {
        "completed": class_accuracy(classifier, completed, labels),
        "partial": class_accuracy(classifier, partial, labels),
        "chance": 1 / len(prior.config.class_names),
    }


def count_codes(model: VQVAE, images: UInt8[np.ndarray, "n c h w"]) -> Int64[Tensor, " k"]:
    """How often each code occurs in images 0..255."""
    codes = dataset.encode_all(model, images)
    return torch.bincount(codes.flatten(), minlength=model.config.num_codes)


def save_reconstructions(model: VQVAE, x: Float[Tensor, "b c h w"], path: Path) -> None:
    """A preview of up to 12 images: the images above, their reconstructions below."""
    images = x[:12].float()
    rows = [images.cpu().contiguous(), model.decode(model.encode(images)).cpu()]
    save_rgb_grid(path, [row.expand(-1, 3, -1, -1) for row in rows])


def save_samples(vqvae: VQVAE, prior: CodesPrior, path: Path, seed: int) -> None:
    """A preview of 24 samples without a label, in two rows."""
    samples = vqvae.decode(prior.sample(24, seed=seed))
    save_rgb_grid(path, list(samples.expand(-1, 3, -1, -1).split(12)))
