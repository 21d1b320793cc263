"""Settings and released recipes of `train_classifier.py`, the network, its loss, the model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.classifiers import (
    AttributeClassifier,
    AttributeClassifierConfig,
    DigitClassifier,
    DigitClassifierConfig,
    DrawingClassifier,
    DrawingClassifierConfig,
)
from training.engine.accelerator import Precision, Tracker
from training.engine.cli import command, hardware

Kind = Literal["drawings", "digits", "faces"]


@dataclass(frozen=True)
class Config:
    """Settings of one run; the same settings always give the same weights."""

    kind: Kind = "drawings"
    """Quick, Draw! drawings, MNIST's digits, or CelebA's attributes."""
    data_dir: Path = Path("data")
    """Folder that holds quickdraw/, MNIST/ or celeba/."""
    download: bool = False
    """Fetch missing drawings (about 2 GB) or digits (12 MB) into data_dir first; not CelebA."""
    out_dir: Path = Path("checkpoints/sketch-classifier")
    run_dir: Path = Path("runs/sketch-classifier")
    """Resume state and metrics.jsonl; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    width: int = 32
    """Channels of the first stage; faces only."""
    steps: int = 1_500
    batch_size: int = 128
    """Images a step, over all processes together."""
    lr: float = 2e-3
    """Peak of the learning rate."""
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    """Probability mass spread evenly over all classes, or over both values of an attribute."""
    seed: int = 1
    log_every: int = 50
    save_every: int = 250
    """Steps between two resume states."""
    precision: Precision = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""


def _recipe(name: str, **settings: object) -> Config:
    return Config(
        out_dir=Path("checkpoints", name),
        run_dir=Path("runs", name),
        **settings,
    )


FACES = {
    "kind": "faces",
    "batch_size": 96,
    "lr": 1.5e-3,
    "weight_decay": 0.1,
    "label_smoothing": 0.06,
}
RECIPES = {
    "sketch-classifier": _recipe("sketch-classifier"),
    "digit-classifier": _recipe(
        "digit-classifier", kind="digits", steps=3_000, label_smoothing=0.0
    ),
    "face-classifier": _recipe("face-classifier", **FACES, steps=3_000),
}
# What of a run changes nothing of its result.
IGNORED = {
    "data_dir",
    "download",
    "out_dir",
    "run_dir",
    "cache_dir",
    "log_every",
    "save_every",
    "tracker",
}


def make_network(
    cfg: Config, names: tuple[str, ...]
) -> AttributeClassifier | DigitClassifier | DrawingClassifier:
    """A new network with one logit for each of the `names`."""
    if cfg.kind == "faces":
        return AttributeClassifier(AttributeClassifierConfig(names, cfg.width))
    if cfg.kind == "digits":
        return DigitClassifier(DigitClassifierConfig(names))
    return DrawingClassifier(DrawingClassifierConfig(names))


def classification_loss(
    cfg: Config, logits: Float[Tensor, "b k"], targets: Tensor
) -> Float[Tensor, ""]:
    """Cross-entropy with smoothed labels, nats: per image, or per image and attribute.

    `targets` are class numbers (b,), or for faces which attributes are present (b, k).
    """
    if cfg.kind != "faces":
        return F.cross_entropy(logits, targets, label_smoothing=cfg.label_smoothing)
    smoothed = targets.float() * (1 - cfg.label_smoothing) + cfg.label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, smoothed)


def accuracy(logits: Float[Tensor, "n k"], targets: Tensor, names: tuple[str, ...]) -> dict:
    """Top-1 accuracy, or for attributes the accuracy of each and their mean."""
    if targets.dim() == 1:
        return {"accuracy": float((logits.argmax(1) == targets).float().mean())}
    right = ((logits > 0) == targets).float().mean(0)
    each = dict(zip(names, right.tolist(), strict=True))
    return {"accuracy": float(right.mean()), "attributes": each}


def card(cfg: Config, network: nn.Module, metrics: dict, seconds: float) -> str:
    """The model card: what the classifier is for, the command that made it, its accuracy."""
    licence, data, tags, task, unit = {
        "drawings": (
            "license: cc-by-4.0",
            'Google\'s "Quick, Draw!" (CC BY 4.0), finished drawings',
            "image-classification, quickdraw",
            f"Classifies finished 64x64 px drawings into {network.head.out_features} classes.",
            "Top-1 accuracy",
        ),
        "digits": (
            "license: mit",
            "MNIST (LeCun et al. 1998)",
            "image-classification, digits",
            "Classifies handwritten digits.",
            "Top-1 accuracy",
        ),
        "faces": (
            "license: other\nlicense_name: celeba-non-commercial-research",
            "CelebA (Liu et al. 2015), for non-commercial research only; so are these weights",
            "image-classification, celeba",
            "Predicts CelebA's 40 attributes of a 64x64 px face in CelebA's alignment.",
            "Mean accuracy over the attributes",
        ),
    }[cfg.kind]
    limits = "It measures generated images and describes no person: it repeats the prejudices of "
    limits = f"\n- Limits: {limits}its data." if cfg.kind == "faces" else ""
    return f"""---
{licence}
library_name: pytorch
tags: [{tags}]
---
# Latent Studio: {cfg.out_dir.name}

{task}

- Data: {data}.
- Command: `{command("training/train_classifier.py", cfg, RECIPES, IGNORED)}`
- Run: {cfg.steps:,} steps of {cfg.batch_size} images, seed {cfg.seed}, {seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- {unit} on the valid split: {metrics["accuracy"]:.3f}.{limits}
"""
