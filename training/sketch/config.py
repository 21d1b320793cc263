"""What `train_sketch.py` trains: settings, the network and its loss, previews, the model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from models import checkpoint
from models.sketch.cvae import SketchCVAE, SketchCVAEConfig
from models.sketch.model import SketchCompleter
from models.sketch.tokens import SketchConfig
from training.data import quickdraw
from training.engine.accelerator import Precision, Tracker
from training.engine.cli import hardware
from training.engine.previews import save_ink_grid
from training.engine.schedules import warmup_cosine
from training.sketch import losses
from training.sketch.dataset import Batch, CompletionDataset
from training.sketch.reinforce import Adversary


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    download: bool = False
    """Fetch missing classes (about 2 GB in all) into data_dir first."""
    architecture: Literal["strokes", "paper"] = "strokes"
    """Ours, or the published CVAE as the baseline."""
    init: Path | None = None
    """A checkpoint to begin with instead of random weights, of the same architecture and sizes."""
    model: SketchConfig = SketchConfig(quickdraw.CLASSES)
    paper: SketchCVAEConfig = SketchCVAEConfig()
    out_dir: Path = Path("checkpoints/sketch")
    run_dir: Path = Path("runs/sketch")
    """Resume state, metrics.jsonl and picture grids; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 8_000
    """Steps by likelihood alone."""
    critic_steps: int = 2_000
    """The last of these steps, in which a critic learns as well what real drawings show."""
    sharpen_steps: int = 1_700
    """Steps after these, in which it judges the completer's; the paper's CVAE takes none."""
    sharpen_samples: int = 3
    """Completions of each drawing that the critic is shown."""
    sharpen_temperature: float = 0.7
    """Divides their logits, for what is drawn cold must look real."""
    sharpen_weight: float = 3.0
    """Weight of the critic's word beside the likelihood; rises to this over 50 steps."""
    sharpen_lr: float = 3.5e-4
    """Peak of the learning rate beside the critic."""
    batch_size: int = 64
    """Drawings a step, over all processes together."""
    lr: float = 1e-3
    """Peak of the learning rate; for the paper's CVAE 5e-4, with --clip 1000."""
    clip: float = 1.0
    """Longest gradient that is applied as it is."""
    likelihood: losses.Likelihood = "bernoulli"
    beta: float = 1.0
    """Weight of the CVAE's KL term."""
    precision: Precision = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between resume states, picture grids and written checkpoints."""


def network_of(cfg: Config) -> SketchCompleter | SketchCVAE:
    """The network of the chosen architecture, untrained or from a checkpoint."""
    settings = cfg.paper if cfg.architecture == "paper" else cfg.model
    if cfg.init:
        model = checkpoint.load(cfg.init)
        if model.config != settings:
            raise ValueError(
                f"{cfg.init} holds no {cfg.architecture} network of these settings but "
                f"{model.config}: choose another --init, or settings like those"
            )
        return model.train().requires_grad_(True)
    return SketchCVAE(settings) if cfg.architecture == "paper" else SketchCompleter(settings)


def total_steps(cfg: Config) -> int:
    """Of both phases."""
    return cfg.steps + (cfg.sharpen_steps if cfg.architecture == "strokes" else 0)


def learning_rate(cfg: Config, step: int) -> float:
    """Of optimizer step number `step`: one cosine a phase."""
    if step < cfg.steps:
        return warmup_cosine(step, cfg.steps, cfg.lr)
    return warmup_cosine(step - cfg.steps, cfg.sharpen_steps, cfg.sharpen_lr, warmup=50)


def ema_decay(cfg: Config, step: int) -> float:
    """The last phase moves far in few steps."""
    return 0.999 if step < cfg.steps else 0.99


def make_dataset(cfg: Config, drawings: quickdraw.PackedDrawings) -> CompletionDataset:
    """The batches of the run; only the paper's CVAE asks for whole drawings and for noise."""
    paper = cfg.architecture == "paper"
    return CompletionDataset(
        drawings,
        cfg.batch_size,
        cfg.seed,
        total_steps(cfg),
        cfg.model.max_points,
        noise_dim=cfg.paper.latent_dim if paper else 0,
        render_full=paper,
    )


class Objective:
    """The network to train, and its loss on a batch (the network is handed in again, wrapped)."""

    def __init__(self, cfg: Config, model: SketchCompleter | SketchCVAE, acc: Accelerator):
        self.cfg, self.adversary = cfg, None
        self.network = model if isinstance(model, SketchCVAE) else model.prior
        if isinstance(model, SketchCompleter):
            self.adversary = Adversary(
                model, acc, cfg.sharpen_samples, cfg.sharpen_temperature, cfg.seed
            )

    def loss(self, network: nn.Module, b: Batch, step: int) -> dict[str, Tensor]:
        """Named terms, the loss among them, nats/image."""
        if self.adversary is None:
            out = network(b.x, b.partial, b.noise)
            return losses.cvae_elbo(out, b.x, self.cfg.likelihood, self.cfg.beta)
        if step < self.cfg.steps:
            logits = network(b.points, b.partial, b.label)
            terms = losses.strokes_loss(logits, b.points, b.label)
            if step >= self.cfg.steps - self.cfg.critic_steps:
                terms |= self.adversary.learn(b)
            return terms
        rise = min(1.0, (step - self.cfg.steps) / 50)
        return self.adversary.loss(network, b, step, rise * self.cfg.sharpen_weight)


def preview(model: nn.Module, batch: Batch, path: Path) -> None:
    """A grid: partial drawings, then three samples of each, no label given."""
    model.eval()
    rows = batch.partial[:16, 0].cpu()
    samples = [model.complete(y, count=3).cpu() for y in rows]
    save_ink_grid(path, [rows, *torch.stack(samples, 1)])
    model.train()


def card(cfg: Config, steps: int, seconds: float) -> str:
    """The model card: what made these weights, and what they are for."""
    return f"""---
license: cc-by-4.0
library_name: pytorch
tags: [sketch-completion, vae, quickdraw]
---
# Latent Studio: sketch completion ({cfg.architecture})

Completes a partial 64x64 drawing of one of {len(quickdraw.CLASSES)} classes in many ways.

- Data: Google's "Quick, Draw!" (CC BY 4.0), {len(quickdraw.CLASSES)} classes, 90 % for training.
- Command: `python training/train_sketch.py --architecture {cfg.architecture} --seed {cfg.seed}`
- Last phase: {steps} steps of {cfg.batch_size} drawings, {seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- Limits: doodles in the manner of the data; classes with few drawings (book, mug) are weaker.
- Figures: metrics.json, written by `python training/evaluate.py sketch`.
"""
