"""What a run of `train_faces.py` leaves behind: log, picture grids, checkpoint and card."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from models import checkpoint
from models.faces.base import FaceModel
from training.engine.cli import command, hardware
from training.engine.previews import save_rgb_grid
from training.engine.run_state import MetricLog
from training.faces.config import IGNORED, RELEASED, Config, Family

CURVE_POINTS = 200
PREVIEW = 8  # faces of a row of the grids


class Recorder:
    """Logs one stage of a run, with its speed."""

    def __init__(
        self, cfg: Config, stage: str, steps: int, start: tuple[int, float], acc: Accelerator
    ):
        self.every, self.acc = cfg.log_every, acc
        step, self.seconds = start
        self.log = MetricLog(cfg.run_dir / stage / "metrics.jsonl", step, acc)
        hidden = not acc.is_main_process
        self.bar = tqdm(desc=stage, total=steps, initial=step, disable=hidden, mininterval=5)
        self.began = time.perf_counter()

    def after_step(self, done: int, terms: Mapping[str, Tensor]) -> float:
        """Log every now and then; the seconds of training so far."""
        now = self.seconds + time.perf_counter() - self.began
        self.bar.update()
        if done % self.every == 0:
            values = {name: float(term.detach()) for name, term in terms.items()}
            self.log.write(done - 1, **values, seconds=now)
            self.bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()})
        return now


@torch.no_grad()
def preview_reconstructions(model: FaceModel, x: Tensor, path: Path) -> None:
    """Faces over their reconstructions."""
    x = x[:PREVIEW]
    save_rgb_grid(path, [x.cpu().float(), model.reconstruct(x).cpu()])


def preview_samples(model: FaceModel, path: Path, seed: int) -> None:
    """Two rows of samples, then two with and two without a smile, if that is told apart."""
    rows = [model.sample(2 * PREVIEW, seed=seed)]
    if "Smiling" in model.attributes:
        rows += [model.sample(2 * PREVIEW, {"Smiling": on}, seed=seed) for on in (True, False)]
    save_rgb_grid(path, list(torch.cat(rows).split(PREVIEW)))


def loss_curves(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Columns of each stage's metrics.jsonl; means of neighbours, CURVE_POINTS at most."""
    curves = {}
    for path in sorted(folder.glob("*/metrics.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if not rows:
            continue
        parts = np.array_split(np.arange(len(rows)), min(CURVE_POINTS, len(rows)))
        curves[path.parent.name] = {
            name: [float(f"{np.mean([rows[i].get(name, 0) for i in p]):.5g}") for p in parts]
            for name in rows[-1]
            if name != "seconds"
        }
    return curves


def save(cfg: Config, model: FaceModel, seconds: float) -> None:
    """The checkpoint, its card and `training.json`: attributes told apart, time, curves."""
    aucs = zip(model.directions.names, model.directions.aucs.tolist(), strict=True)
    record = {
        "steps": cfg.steps,
        "batch_size": cfg.batch_size,
        "seconds": round(seconds, 1),
        "hardware": hardware(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "auc": {name: round(value, 4) for name, value in aucs},
        "curves": loss_curves(cfg.run_dir),
    }
    checkpoint.save(cfg.out_dir, model, card=card(cfg, seconds))
    text = json.dumps(record, allow_nan=False) + "\n"
    checkpoint.write(cfg.out_dir, {"training.json": text.encode()})


FAMILIES: dict[Family, tuple[str, str]] = {
    "two-stage": (
        "A two-stage VAE of faces, 128x128: an autoencoder with a map of latents, and a "
        "flow-matching prior over them (Dai and Wipf 2019; Lipman et al. 2023)",
        "optimal sigma-VAE, distance in ImageNet features, projected discriminator",
    ),
    "vae": (
        "The VAE of Paunovic 2023, faces of 64x64 px",
        "half the squared error plus KL, summed",
    ),
    "plain": (
        "The VAE of Hou et al. 2017 with a plain pixel loss, faces of 64x64 px",
        "half the squared error plus KL, summed",
    ),
}  # title, loss


def card(cfg: Config, seconds: float) -> str:
    """The model card: what made these weights, and what they are for."""
    title, loss = FAMILIES[cfg.family]
    run = f"{cfg.steps} steps of {cfg.batch_size} faces, {seconds / 60:.0f} minutes"
    return f"""---
license: cc-by-nc-4.0
library_name: pytorch
tags: [vae, faces]
---
# Latent Studio: {cfg.out_dir.name}

{title}.

- Data: CelebA (Liu et al. 2015), for research that is not commercial.
- Loss: {loss}.
- Command: `{command("training/train_faces.py", cfg, RELEASED, IGNORED)}`
- Last run: {run}.
- Hardware: {hardware()}.
- Limits: the faces are mixtures of its training faces and share their biases; attributes are
  CelebA's words for what annotators saw, not facts about people.
- Curves and the AUC of each attribute's direction: training.json.
"""
