"""Evaluate the face inpainter on held-out faces: `python training/evaluate_inpaint.py`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from models import checkpoint
from models.images import to_rgb
from training.data import celeba
from training.inpaint import holes
from training.inpaint import metrics as inpaint_metrics
from training.inpaint.rows import (
    LOWER_FACE,
    MOUTH,
    Fill,
    averaged,
    filler,
    glasses_off,
    in_the_hole,
    perfect_removal,
    smiles,
)
from training.metrics.image import pairwise_rmse
from training.release import results_table


@dataclass(frozen=True)
class Config:
    """What is measured on what."""

    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    checkpoint_dir: Path = Path("checkpoints/inpaint")
    stage_one_dir: Path = Path("runs/inpaint/stage-one")
    """The CVAE alone, as stage two found it."""
    paper_dir: Path = Path("runs/inpaint-paper/checkpoint")
    """The paper's configuration, trained by `train_inpaint_paper.py`."""
    classifier_dir: Path = Path("checkpoints/face-classifier")
    remark: str = ""
    """A sentence under the table: how long each was trained, say."""
    split: Literal["valid", "test"] = "test"
    seed: int = 0


def evaluate_inpaint(cfg: Config) -> dict[str, Any]:
    """Every row of the table that needs no stop-watch."""
    model, classifier = checkpoint.load(cfg.checkpoint_dir), checkpoint.load(cfg.classifier_dir)
    folder, cache = cfg.data_dir / "celeba", cfg.cache_dir.expanduser()
    faces = celeba.load(folder, cfg.split, cache)
    size = model.config.image_size
    real = (to_rgb(faces.images, size) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    smiling = faces.column("Smiling")
    logits, features = classifier.predict(real)
    column = classifier.config.attributes.index

    fillers: dict[str, Fill] = {"ours": filler(model), "ours_mean_of_8": averaged(filler(model))}
    for name, path in (("stage_one", cfg.stage_one_dir), ("paper", cfg.paper_dir)):
        if path.exists():
            fillers[name] = filler(checkpoint.load(path))
    if "paper" in fillers:
        fillers["paper_mean_of_8"] = averaged(fillers["paper"])
    for name in ("telea", "navier_stokes", "mean_colour"):
        method = getattr(inpaint_metrics, name)
        fillers[name] = lambda real, hole, _told, _seed, method=method: method(real, hole)

    rng = np.random.default_rng(cfg.seed)
    sizes = {"small": holes.SMALL, "large": holes.LARGE}
    cuts = {
        name: np.stack([holes.fill(holes.rectangle(rng, area), size) for _ in real])
        for name, area in sizes.items()
    }
    clear = (logits[:, column("Eyeglasses")] > 0) & faces.column("Eyeglasses")
    result: dict[str, Any] = {
        "split": cfg.split,
        "remark": cfg.remark,
        "faces": len(real),
        "image_size": size,
        "judge": {
            name: float(((logits[:, column(name)] > 0) == faces.column(name)).mean())
            for name in ("Smiling", "Eyeglasses", "Male", "Young")
        }
        | {
            "smiles_seen_on_smiling": float((logits[smiling, column("Smiling")] > 0).mean()),
            "smiles_seen_on_serious": float((logits[~smiling, column("Smiling")] > 0).mean()),
        },
        "in_the_hole": {
            name: {
                part: in_the_hole(fill, real, hole, classifier, features, cfg.seed)
                for part, hole in cuts.items()
            }
            for name, fill in fillers.items()
        },
        "smiles": {
            name: {
                "lower_face": smiles(
                    classifier, fillers[name], real, smiling, LOWER_FACE, cfg.seed
                ),
                "mouth": smiles(classifier, fillers[name], real, smiling, MOUTH, cfg.seed),
            }
            for name in ("ours", "paper")
            if name in fillers
        },
        "glasses_off": glasses_off(classifier, fillers["ours"], real[clear], cfg.seed),
        "perfect_removal": perfect_removal(classifier, real[~faces.column("Eyeglasses")], cfg.seed),
    }
    spread = {}
    for temperature in (0.0, 1.0):
        each = []
        for face, hole in zip(real[:100], cuts["large"][:100], strict=True):
            image, mask = to_rgb(face[None])[0], torch.from_numpy(hole).float()
            fills = model.inpaint(image, mask, count=8, temperature=temperature)
            each.append(pairwise_rmse(fills, torch.from_numpy(hole)))
        spread[f"temperature_{temperature:g}"] = float(np.mean(each))
    return result | {"diversity": spread}


def main(cfg: Config) -> None:
    """Evaluate, merge into metrics.json, print."""
    results_table.record(cfg.checkpoint_dir, evaluate_inpaint(cfg))
