"""Evaluate codebooks and priors on held-out pictures: `python training/evaluate.py codes`."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from models import checkpoint
from training.codes import codebook
from training.codes import dataset as pictures
from training.codes import metrics as codes_metrics
from training.codes.dataset import Kind
from training.codes.metrics import judged, many
from training.release import results_table


@dataclass(frozen=True)
class Config:
    """What is measured on what."""

    kind: Kind = "digits"
    data_dir: Path = Path("data")
    checkpoints: Path = Path("checkpoints")
    classifier: Path | None = None
    """Of digits or sketches; checkpoints/digit-classifier or sketch-classifier where None."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    edited: int = 1_000
    """Pictures on which edits are measured."""
    samples: int = 100
    """Drawn from the prior for each class."""
    pythae: Path | None = None
    """What benchmarks/codes_pythae.py wrote on this kind and split, to stand beside ours."""
    vae: Path | None = None
    """The same of its plain VAE, whose samples stand beside the prior's."""
    remark: str = ""
    split: Literal["valid", "test"] = "test"
    seed: int = 0


def baselines(cfg: Config) -> dict[str, Any]:
    """The rows of pythae's models; ValueError for one of another kind or split."""
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


def evaluate_codes(cfg: Config) -> dict[str, Any]:
    """Every row of the table that needs no stop-watch."""
    theirs = baselines(cfg)
    model = checkpoint.load(cfg.checkpoints / f"codes-{cfg.kind}")
    size, cache = model.config.image_size, cfg.cache_dir.expanduser()
    pixels, labels = pictures.load(cfg.kind, cfg.data_dir, cfg.split, size, cache)
    x = torch.from_numpy(pixels).float() / 255
    codes = many(model.encode, x)
    counts = torch.bincount(codes.flatten(), minlength=model.config.num_codes).double()
    share = (counts / counts.sum()).clamp(min=1e-12)
    classifier = None
    if cfg.kind != "faces":
        stem = "codes" if cfg.kind == "digits" else "sketch"
        classifier = checkpoint.load(cfg.classifier or cfg.checkpoints / f"{stem}-classifier")
    pick = np.random.default_rng(cfg.seed).permutation(len(x))[: cfg.edited]
    result: dict[str, Any] = {
        "split": cfg.split,
        "remark": cfg.remark,
        "pictures": len(x),
        "grid": model.config.grid_size,
        "codes": model.config.num_codes,
        "reconstruction": codes_metrics.reconstruction(cfg.kind, x, many(model.decode, codes)),
        "perplexity_over_k": codebook.perplexity(counts.float()) / model.config.num_codes,
        "dead_share": float((counts == 0).double().mean()),
        "edits": codes_metrics.edits(cfg.kind, model, x[pick], labels[pick], classifier),
        "nats_per_code": {
            "uniform": math.log(model.config.num_codes),
            "unigram": float(-(share * share.log()).sum()),
        },
    } | theirs
    if classifier is not None:
        logits, _ = judged(classifier, cfg.kind, model.decode(codes[pick]))
        result["read"] = float((logits.argmax(1) == labels[pick]).mean())
    folder = cfg.checkpoints / f"prior-{cfg.kind}"
    if folder.exists():
        prior = checkpoint.load(folder)
        result["nats_per_code"]["prior"] = codes_metrics.prior_nats(prior, codes, labels)
        if classifier is not None:
            real = judged(classifier, cfg.kind, x)[1]
            result["samples"] = codes_metrics.sampled(
                cfg.kind, model, prior, classifier, real, cfg.samples, cfg.seed
            )
            some = pick[:300]
            result["completion"] = codes_metrics.completed(
                cfg.kind, model, prior, classifier, codes[some], labels[some], cfg.seed
            )
    return result


def main(cfg: Config) -> None:
    """Evaluate, merge into metrics.json, print."""
    folder = cfg.checkpoints / f"codes-{cfg.kind}"
    results_table.record(folder, evaluate_codes(cfg))
