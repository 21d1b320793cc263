"""What a run of `train_digits.py` leaves behind: log, snapshots of samples, checkpoint, card."""

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from models import checkpoint
from models.digits.autoencoder import Autoencoder
from models.digits.base import DigitModel
from models.digits.vae import VAE
from training.digits.config import IGNORED, RELEASED, Config, Family
from training.digits.dataset import to_images
from training.engine.cli import command, hardware
from training.engine.run_state import MetricLog, Resume, atomic_write
from training.engine.schedules import EMA

SNAPSHOTS = 12
SNAPSHOT_SAMPLES = 16  # of the same noise in every snapshot
CURVE_POINTS = 200
DENSITY_IMAGES = 10_000  # training digits whose latent vectors the class densities are fitted to


def snapshot_steps(steps: int) -> list[int]:
    """After how many steps samples are drawn: denser at the beginning, the last at the end."""
    return sorted({max(1, round(steps * (k / SNAPSHOTS) ** 2.5)) for k in range(1, SNAPSHOTS + 1)})


class Recorder:
    """Logs a run, draws its snapshots, and saves checkpoint and resume state.

    The checkpoint's folder gets `training.png`, a row of samples for each snapshot, and
    `training.json`: when they were drawn, the curve of each loss term, and the run's time.
    """

    def __init__(
        self,
        cfg: Config,
        data: tuple[np.ndarray, np.ndarray],
        start: tuple[int, float],
        acc: Accelerator,
    ):
        self.cfg, self.run_dir, self.out_dir, self.acc = cfg, cfg.run_dir, cfg.out_dir, acc
        self.images, self.labels = (torch.from_numpy(part[:DENSITY_IMAGES]) for part in data)
        step, self.seconds = start
        self.log = MetricLog(self.run_dir / "metrics.jsonl", step, acc)
        self.bar = tqdm(
            total=cfg.steps, initial=step, disable=not acc.is_main_process, mininterval=2
        )
        self.began = time.perf_counter()

    def after_step(
        self, done: int, terms: dict[str, Tensor], model: DigitModel, ema: EMA, resume: Resume
    ) -> None:
        """Whatever is due after `done` steps; the resume state last, so a kill repeats the rest."""
        cfg, now = self.cfg, self.seconds + time.perf_counter() - self.began
        self.bar.update()
        if done % cfg.log_every == 0:
            values = {name: float(term.detach()) for name, term in terms.items()}
            speed = cfg.batch_size * done / now
            self.log.write(done - 1, **values, images_per_s=speed, seconds=now)
            loss = next(iter(values.values()))
            self.bar.set_postfix(loss=f"{loss:.3f}", images_per_s=f"{speed:.0f}")
        if done == cfg.steps:
            self.bar.close()
        if not self.acc.is_main_process:
            return
        snapshot = done in snapshot_steps(cfg.steps)
        save = done % cfg.save_every == 0 or done == cfg.steps
        if snapshot or save:
            with ema.in_place_of(model):
                model.eval()
                fit_class_density(model, self.images.numpy(), self.labels)
                if snapshot:
                    self._snapshot(model, done)
                if save:
                    self._save(model, done, now)
                model.train()
        if save:
            resume.save(done, now)

    def _snapshot(self, model: DigitModel, done: int) -> None:
        samples = model.sample(SNAPSHOT_SAMPLES, seed=self.cfg.seed)
        strip = (samples[:, 0].cpu() * 255).round().byte().permute(1, 0, 2).reshape(28, -1)
        with atomic_write(self.run_dir / "snapshots" / f"{done:07d}.png") as file:
            Image.fromarray(strip.numpy()).save(file, "PNG")

    def _save(self, model: DigitModel, done: int, seconds: float) -> None:
        folder = self.run_dir / "snapshots"
        steps = [step for step in snapshot_steps(self.cfg.steps) if step <= done]
        rows = [np.asarray(Image.open(folder / f"{step:07d}.png")) for step in steps]
        record = {
            "steps": done,
            "batch_size": self.cfg.batch_size,
            "seconds": round(seconds, 1),
            "hardware": hardware(),
            "parameters": sum(p.numel() for p in model.parameters()),
            "snapshot_steps": steps,
            "curve": loss_curve(self.run_dir / "metrics.jsonl"),
        }
        picture = io.BytesIO()
        Image.fromarray(np.concatenate(rows or [np.zeros((28, 28), np.uint8)])).save(picture, "PNG")
        checkpoint.save(self.out_dir, model, card=card(self.cfg, done, seconds))
        files = {"training.png": picture.getvalue(), "training.json": json_bytes(record)}
        checkpoint.write(self.out_dir, files)


def json_bytes(content: dict[str, Any]) -> bytes:
    """Compact JSON with a newline at its end."""
    return (json.dumps(content, allow_nan=False) + "\n").encode()


def loss_curve(path: Path) -> dict[str, list[float]]:
    """Columns of metrics.jsonl, without the times; means of neighbours, CURVE_POINTS at most."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    if not rows:
        return {}
    names = [name for name in rows[0] if name not in ("images_per_s", "seconds")]
    parts = np.array_split(np.arange(len(rows)), min(CURVE_POINTS, len(rows)))
    return {
        name: [float(f"{np.mean([rows[i][name] for i in part]):.5g}") for part in parts]
        for name in names
    }


@torch.no_grad()
def fit_class_density(model: DigitModel, images: np.ndarray, labels: Tensor) -> None:
    """Fit the Gaussians of each class to latent vectors; models without them stay as they are."""
    if not isinstance(model, Autoencoder | VAE):
        return
    z = []
    generator = torch.Generator().manual_seed(0)
    for part in to_images(images).to(model.device).split(500):
        if isinstance(model, VAE):
            posterior = model.posterior(part)
            noise = torch.randn(posterior.mu.shape, generator=generator)
            z.append(posterior.sample(noise.to(model.device)))
        else:
            z.append(model.encode(part))
    model.class_density.fit(torch.cat(z), labels.to(model.device))


FAMILIES: dict[Family, tuple[str, str, str]] = {
    "ae": ("An autoencoder", "autoencoder", "reconstruction error"),
    "vae": ("A variational autoencoder", "vae", "negative beta-ELBO (Kingma and Welling 2014)"),
    "hvae": (
        "A hierarchical conditional VAE of hidden pixels given observed ones",
        "vae",
        "negative conditional ELBO (Sohn et al. 2015)",
    ),
    "cvae": (
        "A conditional VAE with a learnt prior p(z | y)",
        "cvae",
        "negative conditional ELBO (Sohn et al. 2015)",
    ),
    "gan": ("A class-conditional GAN", "gan", "non-saturating, with the R1 penalty"),
    "diffusion": ("A diffusion model", "ddpm", "squared error of the predicted noise"),
    "vq": (
        "A VQ-VAE with an autoregressive prior over its codes",
        "vq-vae",
        "those of codes-digits and prior-digits",
    ),
}  # title, tag, loss


def card(cfg: Config, steps: int, seconds: float) -> str:
    """The model card: what made these weights, and what they are for."""
    title, tag, loss = FAMILIES[cfg.family]
    run = f"{steps} steps of {cfg.batch_size} digits, {seconds / 60:.0f} minutes"
    return f"""---
license: cc-by-4.0
library_name: pytorch
tags: [{tag}, digits]
---
# Latent Studio: {cfg.out_dir.name}

{title}, of handwritten digits, 28x28.

- Data: MNIST (LeCun et al., CC BY-SA 3.0).
- Loss: {loss}.
- Command: `{command("training/train_digits.py", cfg, RELEASED, IGNORED)}`
- Last run: {run}.
- Hardware: {hardware()}.
- Figures: metrics.json; loss curve and samples over the training: training.json, training.png.
"""
