"""Measure models of digits on MNIST's test split: `python training/evaluate.py digits`.

Writes metrics.json into the folder of each checkpoint. Needs the digit classifier, which had no
part in any of them.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from models.classifiers import DigitClassifier
from models.digits.autoencoder import Autoencoder
from models.digits.base import CLASSES, SIDE, DigitModel, add_noise
from models.digits.hierarchical import HierarchicalVAE, quadrant_mask
from models.digits.vae import VAE
from training.data import mnist
from training.digits.config import RELEASED
from training.digits.dataset import statically_binarized, to_images
from training.metrics.frechet import frechet_distance
from training.metrics.image import psnr
from training.metrics.precision_recall import precision_recall
from training.release import results_table

CHUNK = 250  # samples of one seed


@dataclass(frozen=True)
class Config:
    """What is measured on what."""

    names: tuple[str, ...] = tuple(RELEASED)
    """Checkpoints."""
    data_dir: Path = Path("data")
    """Folder that holds MNIST/."""
    checkpoints: Path = Path("checkpoints")
    classifier: Path = Path("checkpoints/digit-classifier")
    """Made by `train_classifier.py --recipe digit-classifier`."""
    samples: int = 10_000
    """For the Frechet distance, precision and recall; as many real digits."""
    labelled: int = 1_000
    """Samples for class accuracy, equally many of each class."""
    repaired: int = 200
    """Test digits that are denoised and filled in."""
    likelihood: int = 10_000
    """Test digits whose log-likelihood is measured; for the hierarchical model see `gap`."""
    importance_samples: int = 500
    gap: int = 500
    """hvae: test digits on which importance sampling tightens the ELBO of all the others."""

    def __post_init__(self):
        for name in ("samples", "labelled", "repaired", "likelihood", "importance_samples", "gap"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True)
class Digits:
    """Real digits, and a classifier with its features of the test split."""

    images: Float[Tensor, "n 1 28 28"]
    train: Float[Tensor, "m 1 28 28"]
    classifier: DigitClassifier

    def classify(
        self, images: Float[Tensor, "b 1 28 28"]
    ) -> tuple[Int64[np.ndarray, " b"], Float[np.ndarray, "b d"]]:
        """Classes and features of pictures."""
        pixels = (images[:, 0].cpu() * 255).round().byte().numpy()
        logits, features = self.classifier.predict(pixels)
        return logits.argmax(1), features


def compare(
    generated: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"]
) -> dict[str, float]:
    """Frechet distance, precision and recall of features."""
    precision, recall = precision_recall(torch.from_numpy(real), torch.from_numpy(generated))
    distance = frechet_distance(generated, real)
    return {"frechet": distance, "precision": precision, "recall": recall}


def sample_quality(
    cfg: Config, model: DigitModel, digits: Digits, real: Float[np.ndarray, "m d"]
) -> dict[str, Any]:
    """The distance of samples from real digits; accuracy of their class where it can be chosen."""
    seeds = range(-(-cfg.samples // CHUNK))
    samples = torch.cat([model.sample(CHUNK, seed=seed) for seed in seeds])[: cfg.samples]
    found: dict[str, Any] = compare(digits.classify(samples)[1], real)
    if not isinstance(model, HierarchicalVAE):
        each = -(-cfg.labelled // CLASSES)
        right = [
            (digits.classify(model.sample(each, label, seed=label))[0] == label).mean()
            for label in range(CLASSES)
        ]
        found["class_accuracy"] = float(np.mean(right))
    return found


def repair_quality(model: DigitModel, x: Float[Tensor, "n 1 28 28"]) -> dict[str, Any]:
    """PSNR in dB of reconstructing, of denoising (sigma 0.5) and of filling the 14x14 centre."""
    hole = torch.zeros(SIDE, SIDE)
    hole[7:21, 7:21] = 1
    holes = hole.bool().expand(len(x), -1, -1)
    noisy = add_noise(x, 0.5)
    return {
        "reconstruction_psnr": psnr(model.reconstruct(x).cpu(), x),
        "denoising_psnr": psnr(model.denoise(noisy, 0.5).cpu(), x),
        "noisy_psnr": psnr(noisy.clamp(0, 1), x),
        "filling_psnr": psnr(model.inpaint(x, hole).cpu(), x, holes),
    }


def vae_likelihood(cfg: Config, model: VAE, x: Float[Tensor, "n 1 28 28"]) -> dict[str, Any]:
    """Negative log-likelihood in nats of binarised digits."""
    x = x[: cfg.likelihood]
    parts = [model.log_likelihood(part, cfg.importance_samples) for part in x.split(100)]
    elbos = [model.log_likelihood(part, 1) for part in x.split(100)]
    return {
        "digits": len(x),
        "importance_samples": cfg.importance_samples,
        "nll": -float(torch.cat(parts).mean()),
        "negative_elbo": -float(torch.cat(elbos).mean()),
    }


def hierarchical_likelihood(
    cfg: Config, model: HierarchicalVAE, x: Float[Tensor, "n 1 28 28"], observed: int
) -> dict[str, Any]:
    """Negative log-likelihood in nats of the hidden pixels given 0 to 3 observed quadrants.

    The ELBO, one draw a digit, is averaged over all digits; how much importance sampling tightens
    it, which varies little between digits, over the first `gap` of them.
    """
    mask = quadrant_mask(observed)
    precision = torch.bfloat16 if has_fast_bfloat16() else torch.float32
    x = x[: cfg.likelihood]
    elbo = torch.cat([model.log_likelihood(part, 1, mask=mask) for part in x.split(500)])
    first = x[: cfg.gap]
    tight = model.log_likelihood(first, cfg.importance_samples, 1, mask, precision)
    loose = torch.stack(
        [model.log_likelihood(first, 1, seed, mask, precision) for seed in range(10)]
    ).mean(0)
    gap = tight - loose
    return {
        "digits": len(x),
        "importance_samples": cfg.importance_samples,
        "gap_digits": len(first),
        "gap_standard_error": float(gap.std() / len(gap) ** 0.5),
        "negative_elbo": -float(elbo.mean()),
        "nll": -float(elbo.mean() + gap.mean()),
    }


def sampling_ms(model: DigitModel, count: int = 16, repeats: int = 20) -> float:
    """Median milliseconds of `sample(count)`."""
    times = []
    for seed in range(repeats + 2):
        began = time.perf_counter()
        model.sample(count, seed=seed)
        times.append(1_000 * (time.perf_counter() - began))
    return float(np.median(times[2:]))


def evaluate(cfg: Config, name: str, digits: Digits) -> dict[str, Any]:
    """All figures of one checkpoint."""
    folder = cfg.checkpoints / name
    model = checkpoint.load(folder)
    x, real = digits.images, digits.classify(digits.images[: cfg.samples])[1]
    found: dict[str, Any] = {
        "split": "test",
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": (folder / "model.safetensors").stat().st_size,
        "sample_16_ms": sampling_ms(model),
        "threads": torch.get_num_threads(),
    }
    record = folder / "training.json"
    if record.exists():
        found["training_seconds"] = json.loads(record.read_bytes())["seconds"]
    binary = statically_binarized(x)
    found["samples"] = sample_quality(cfg, model, digits, real)
    found["repair"] = repair_quality(model, x[: cfg.repaired])
    if isinstance(model, VAE) and RELEASED[name].binarize:
        found["likelihood"] = vae_likelihood(cfg, model, binary)
    if isinstance(model, HierarchicalVAE):
        found["likelihood"] = hierarchical_likelihood(cfg, model, binary, 0)
        found["quadrants"] = {
            str(n): hierarchical_likelihood(cfg, model, binary, n) for n in (1, 2, 3)
        }
    if isinstance(model, VAE | Autoencoder):
        z = torch.cat([model.encode(part) for part in x[:2_000].split(500)])
        found["latent_std"] = [float(f"{value:.4g}") for value in z.std(0)]
    floor = digits.classify(digits.train[: cfg.samples])
    found["real_train_against_test"] = compare(floor[1], real)
    return found


def main(cfg: Config) -> None:
    """Measure each checkpoint and write its metrics.json."""
    images, train = (to_images(mnist.load(cfg.data_dir, split)[0]) for split in ("test", "train"))
    digits = Digits(images, train[: cfg.samples], checkpoint.load(cfg.classifier))
    for name in cfg.names:
        results_table.record(cfg.checkpoints / name, evaluate(cfg, name, digits))
