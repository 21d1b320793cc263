"""Experiments with the models of digits: `python training/sweep_digits.py --data-dir DIR`.

Small VAEs of other depth, width, latent size and beta; posterior collapse and its cure; the steps
and the schedule of diffusion; synthetic digits as training data. Writes docs/experiments/. Stop it
in any way and start the same command again: finished parts are kept in `--run-dir`.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from models import checkpoint
from models.classifiers import DigitClassifier
from models.digits.base import CLASSES
from models.digits.vae import VAE, VAEConfig
from training import train_classifier, train_digits
from training.classifiers.config import Config as ClassifierConfig
from training.data import mnist
from training.digits import losses, plots
from training.digits.config import Config as DigitsConfig
from training.digits.dataset import statically_binarized, to_images
from training.engine.cli import run_training
from training.engine.run_state import atomic_write
from training.metrics.frechet import frechet_distance
from training.metrics.image import psnr

BASE = VAEConfig("conv", latent_dim=16, width=8, depth=0, features=64)
NETWORKS: dict[str, dict[float, VAEConfig]] = {
    "depth": {n: replace(BASE, depth=n) for n in (0, 1, 2)},
    "width": {n: replace(BASE, width=n) for n in (4, 8, 16, 24)},
    "latent": {n: replace(BASE, latent_dim=n) for n in (2, 8, 16, 32, 64)},
}
BETAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
PIXELS = 28**2
COLLAPSE: dict[str, dict[str, Any]] = {
    "mean over pixels": {"recon": "mean-mse"},
    "mean, KL warmed up": {"recon": "mean-mse", "beta_warmup": 750},
    "mean, KL divided by 784": {"recon": "mean-mse", "beta": 1 / PIXELS},
    "sum over pixels": {"recon": "mse"},
}  # how the squared error is reduced beside the KL term, and what is done about it
DIFFUSION_STEPS = (2, 5, 10, 20, 50)
SCHEDULES = ("cosine", "linear")
FAMILIES = ("ae", "vae", "cvae", "vq", "gan", "diffusion")
REAL = (10, 30, 100, 300)  # real digits a class
ACTIVE_NATS = 0.02  # least mean KL of a latent dimension that is in use
CHUNK = 250  # samples of one seed


@dataclass(frozen=True)
class Config:
    """What the experiments use."""

    data_dir: Path = Path("data")
    """Folder that holds MNIST/."""
    checkpoints: Path = Path("checkpoints")
    """Holds the released models of digits and digit-classifier."""
    run_dir: Path = Path("runs/sweep-digits")
    """Finished parts and the runs they are made of."""
    out_dir: Path = Path("docs/experiments")
    """digits.json, the plots, and README.md with the tables."""
    steps: int = 1_500
    """Of each small VAE, 128 digits each."""
    test_digits: int = 2_000
    """On which the small VAEs are measured."""
    samples: int = 1_000
    """Of diffusion, for each schedule and number of steps."""
    synthetic: int = 300
    """Digits of each class that a model adds to the real ones."""
    classifier_steps: int = 400
    """Of each classifier that learns from few digits, 64 each."""

    def __post_init__(self):
        for name in ("steps", "test_digits", "samples", "synthetic", "classifier_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


def main(cfg: Config) -> None:
    """Run what is not finished yet; write the results, plots and tables."""
    parts: dict[str, Callable[[Config], Any]] = {
        **{f"vae {name}": lambda c, n=name: sweep_networks(c, n) for name in NETWORKS},
        "vae beta": sweep_beta,
        "collapse": sweep_collapse,
        "diffusion": sweep_diffusion,
        "augmentation": sweep_augmentation,
    }
    found = {name: finished(cfg, name, run) for name, run in parts.items()}
    with atomic_write(cfg.out_dir / "digits.json") as file:
        file.write((json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    plots.write(cfg.out_dir, found)


def finished(cfg: Config, name: str, run: Callable[[Config], Any]) -> Any:
    """The result of a part: read if it was finished with these settings, else made and kept."""
    path = cfg.run_dir / f"{name.replace(' ', '-')}.json"
    settings = repr(cfg)
    if path.exists():
        kept = json.loads(path.read_bytes())
        if kept["settings"] == settings:
            return kept["result"]
    result = run(cfg)
    with atomic_write(path) as file:
        file.write(json.dumps({"settings": settings, "result": result}).encode())
    return result


def train_vae(cfg: Config, name: str, network: VAEConfig, **settings: Any) -> tuple[VAE, Path]:
    """A small VAE, and the folder of its run."""
    run_dir = cfg.run_dir / name.replace(" ", "-").replace(",", "")
    made = DigitsConfig(
        "vae", network, cfg.data_dir, run_dir / "checkpoint", run_dir, steps=cfg.steps, **settings
    )
    train_digits.main(made)
    return checkpoint.load(made.out_dir), run_dir


@torch.no_grad()
def measure_vae(cfg: Config, model: VAE) -> dict[str, Any]:
    """Rate and distortion in nats of binarised test digits, and latent dimensions in use."""
    x = statically_binarized(to_images(mnist.load(cfg.data_dir, "test")[0][: cfg.test_digits]))
    torch.manual_seed(0)
    terms, kls = [], []
    for part in x.split(500):
        out = model(part)
        terms.append(losses.elbo(out, part, 1.0))
        mu, logvar = out.posterior
        kls.append(0.5 * (mu**2 + logvar.exp() - 1 - logvar))
    mean = {name: float(torch.stack([t[name] for t in terms]).mean()) for name in terms[0]}
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "negative_elbo": mean["loss"],
        "distortion": mean["recon"],
        "rate": mean["kl"],
        "active": int((torch.cat(kls).mean(0) > ACTIVE_NATS).sum()),
    }


def sweep_networks(cfg: Config, name: str) -> list[dict[str, Any]]:
    """The same VAE, but for one size of its network."""
    found = []
    for value, network in NETWORKS[name].items():
        model, _ = train_vae(cfg, f"{name} {value}", network, binarize=True)
        found.append({"value": value} | measure_vae(cfg, model))
    return found


def sweep_beta(cfg: Config) -> list[dict[str, Any]]:
    """The rate-distortion curve (Alemi et al. 2018): the weight of the KL term from low to high."""
    found = []
    for beta in BETAS:
        model, _ = train_vae(cfg, f"beta {beta}", BASE, beta=beta, binarize=True)
        found.append({"value": beta} | measure_vae(cfg, model))
    return found


def sweep_collapse(cfg: Config) -> list[dict[str, Any]]:
    """The KL term over training where the squared error is averaged or summed over the pixels."""
    x = to_images(mnist.load(cfg.data_dir, "test")[0][: cfg.test_digits])
    found = []
    for name, settings in COLLAPSE.items():
        model, run_dir = train_vae(cfg, f"collapse {name}", BASE, **settings)
        rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
        measured = measure_vae(cfg, model)
        found.append(
            {
                "name": name,
                "step": [row["step"] + 1 for row in rows],
                "kl": [float(f"{row['kl']:.4g}") for row in rows],
                "rate": measured["rate"],
                "active": measured["active"],
                "psnr": psnr(model.reconstruct(x), x),
            }
        )
    return found


class Judge:
    """The classifier of the evaluations, and its features of the test split."""

    def __init__(self, cfg: Config):
        self.classifier: DigitClassifier = checkpoint.load(cfg.checkpoints / "digit-classifier")
        self.real = self.classifier.predict(mnist.load(cfg.data_dir, "test")[0])[1]

    def quality(self, digits: UInt8[np.ndarray, "n 28 28"], labels: Tensor) -> dict[str, float]:
        """Class accuracy, and the Frechet distance to the test split."""
        logits, features = self.classifier.predict(digits)
        return {
            "class_accuracy": float((logits.argmax(1) == labels.numpy()).mean()),
            "frechet": frechet_distance(features, self.real),
        }


def to_bytes(images: Float[Tensor, "n 1 28 28"]) -> UInt8[np.ndarray, "n 28 28"]:
    """Pictures in [0, 1] to 0..255."""
    return (images[:, 0] * 255).round().byte().numpy()


def sweep_diffusion(cfg: Config) -> dict[str, Any]:
    """Samples of few and of many DDIM steps, by both schedules; real digits as the floor."""
    model, judge = checkpoint.load(cfg.checkpoints / "digits-diffusion"), Judge(cfg)
    each = -(-cfg.samples // CLASSES)
    labels = torch.arange(CLASSES).repeat_interleave(each)
    found = []
    for schedule in SCHEDULES:
        for steps in DIFFUSION_STEPS:
            began = time.perf_counter()
            parts = [
                model.sample(each, label, seed=label, steps=steps, schedule=schedule)
                for label in range(CLASSES)
            ]
            ms = 16 / (each * CLASSES) * 1_000 * (time.perf_counter() - began)
            quality = judge.quality(to_bytes(torch.cat(parts)), labels)
            found.append({"schedule": schedule, "steps": steps, "sample_16_ms": ms} | quality)
    digits, targets = choose(*mnist.load(cfg.data_dir, "train"), each)
    return {"rows": found, "real": judge.quality(digits, torch.from_numpy(targets))}


def choose(
    images: UInt8[np.ndarray, "n 28 28"], labels: Int64[np.ndarray, " n"], each: int
) -> tuple[UInt8[np.ndarray, "m 28 28"], Int64[np.ndarray, " m"]]:
    """The first `each` digits of every class."""
    rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in range(CLASSES)])
    return images[rows], labels[rows]


def sweep_augmentation(cfg: Config) -> dict[str, Any]:
    """Test accuracy of classifiers that learn from `REAL` digits a class, alone or with samples."""
    train, valid = (mnist.load(cfg.data_dir, split) for split in ("train", "valid"))
    added = {"nothing": (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64))}
    for family in FAMILIES:
        model = checkpoint.load(cfg.checkpoints / f"digits-{family}")
        seeds = range(-(-cfg.synthetic // CHUNK))
        parts = [
            torch.cat([model.sample(CHUNK, label, seed=seed) for seed in seeds])[: cfg.synthetic]
            for label in range(CLASSES)
        ]
        labels = np.repeat(np.arange(CLASSES), cfg.synthetic)
        added[family] = to_bytes(torch.cat(parts)), labels
    found: dict[str, list[float]] = {name: [] for name in added}
    for each in REAL:
        real = choose(*train, each)
        for name, synthetic in added.items():
            parts = [real, synthetic, valid]
            images, labels = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
            found[name].append(few_digits_accuracy(cfg, f"{name}-{each}", images, labels))
    return {"real": REAL, "accuracy": found}


def few_digits_accuracy(
    cfg: Config, name: str, images: UInt8[np.ndarray, "n 28 28"], labels: Int64[np.ndarray, " n"]
) -> float:
    """Train a classifier on these digits, the last 5,000 kept apart; its test accuracy."""
    run_dir = cfg.run_dir / "augmentation" / name
    mnist.save(run_dir / "data", "train", images, labels)
    made = ClassifierConfig(
        "digits",
        run_dir / "data",
        out_dir=run_dir / "checkpoint",
        run_dir=run_dir,
        steps=cfg.classifier_steps,
        batch_size=64,
        label_smoothing=0.0,
    )
    train_classifier.main(made)
    digits, targets = mnist.load(cfg.data_dir, "test")
    logits, _ = checkpoint.load(made.out_dir).predict(digits)
    return float((logits.argmax(1) == targets).mean())


if __name__ == "__main__":
    run_training(main, Config)
