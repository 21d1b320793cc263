"""Settings of a `train_sketch.py` run, its schedules, previews and model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from models import checkpoint
from models.sketch.cvae import SketchCVAE, SketchCVAEConfig
from models.sketch.model import SketchCompleter
from models.sketch.tokens import SketchConfig
from training.data import quickdraw
from training.engine.accelerator import Precision, Tracker
from training.engine.cli import hardware
from training.engine.previews import save_ink_grid
from training.engine.schedules import warmup_cosine
from training.sketch.dataset import Batch, CompletionDataset
from training.sketch.losses import Likelihood

REINFORCE_WARMUP = 50  # steps over which learning rate and reward weight rise


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    download: bool = False
    """Fetch missing classes (about 2 GB in all) into data_dir first."""
    architecture: Literal["strokes", "paper"] = "strokes"
    """The stroke prior, or the published CVAE as the baseline."""
    init: Path | None = None
    """A checkpoint of the same architecture and sizes to start from, instead of random weights."""
    model: SketchConfig = SketchConfig(quickdraw.CLASSES)
    paper: SketchCVAEConfig = SketchCVAEConfig()
    out_dir: Path = Path("checkpoints/sketch")
    run_dir: Path = Path("runs/sketch")
    """Resume state, metrics.jsonl and picture grids; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 8_000
    """Steps of maximum likelihood."""
    critic_steps: int = 2_000
    """The last of these steps, in which the critic is trained as well, to classify drawings."""
    reinforce_steps: int = 1_700
    """Steps of REINFORCE after these, with the critic's reward; the paper's CVAE has none."""
    reinforce_samples: int = 3
    """Completions sampled for each drawing."""
    reinforce_temperature: float = 0.7
    """Temperature of their logits: near the one at which users sample."""
    reinforce_weight: float = 3.0
    """Weight of the policy gradient beside the likelihood."""
    reinforce_lr: float = 3.5e-4
    """Peak learning rate of the REINFORCE stage."""
    batch_size: int = 64
    """Drawings a step, over all processes together."""
    lr: float = 1e-3
    """Peak learning rate; for the paper's CVAE 5e-4, with --clip 1000."""
    clip: float = 1.0
    """Largest gradient norm; longer gradients are scaled to it."""
    likelihood: Likelihood = "bernoulli"
    """Of the CVAE's pixels."""
    beta: float = 1.0
    """Weight of the CVAE's KL(q || p), per nat."""
    precision: Precision = "auto"
    """bfloat16 autocast: auto where it is fast."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""
    seed: int = 0
    log_every: int = 50
    """Steps between lines of metrics.jsonl."""
    save_every: int = 500
    """Steps between resume states, picture grids and written checkpoints."""

    def __post_init__(self):
        if self.reinforce_samples < 2:
            raise ValueError(
                "reinforce_samples must be 2 or more, for a completion's baseline is the others' "
                f"mean reward: {self.reinforce_samples}"
            )


# For the next release. With 8,000 steps and 3,000 beside the critic it stayed behind the shipped
# weights, which are older than this recipe (EXPERIMENTS.md, 2026-11-26).
RELEASED = Config(steps=12_000, reinforce_steps=6_000, reinforce_lr=5e-4, reinforce_temperature=0.6)
RECIPES = {"released": RELEASED}


def make_model(cfg: Config) -> SketchCompleter | SketchCVAE:
    """The network of the chosen architecture, untrained or from a checkpoint."""
    settings = cfg.paper if cfg.architecture == "paper" else cfg.model
    if cfg.init:
        model = checkpoint.load(cfg.init)
        if model.config != settings:
            raise ValueError(
                f"{cfg.init} has no {cfg.architecture} network of these settings but "
                f"{model.config}: choose another --init, or settings like those"
            )
        return model.train().requires_grad_(True)
    return SketchCVAE(settings) if cfg.architecture == "paper" else SketchCompleter(settings)


def make_dataset(cfg: Config, drawings: quickdraw.PackedDrawings) -> CompletionDataset:
    """The batches of the run; only the paper's CVAE needs full drawings and noise."""
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


def total_steps(cfg: Config) -> int:
    """Steps of both stages."""
    return cfg.steps + (cfg.reinforce_steps if cfg.architecture == "strokes" else 0)


def learning_rate(cfg: Config, step: int) -> float:
    """Learning rate of step number `step`: warm-up and cosine in each stage."""
    if step < cfg.steps:
        return warmup_cosine(step, cfg.steps, cfg.lr)
    step, steps = step - cfg.steps, cfg.reinforce_steps
    return warmup_cosine(step, steps, cfg.reinforce_lr, warmup=REINFORCE_WARMUP)


def reinforce_weight(cfg: Config, step: int) -> float:
    """Weight of the policy gradient at step number `step`, after a linear warm-up."""
    return min(1.0, (step - cfg.steps) / REINFORCE_WARMUP) * cfg.reinforce_weight


def ema_decay(cfg: Config, step: int) -> float:
    """Decay of the averaged weights: shorter in the REINFORCE stage, which has few steps."""
    return 0.999 if step < cfg.steps else 0.99


def save_preview(model: SketchCompleter | SketchCVAE, batch: Batch, path: Path) -> None:
    """A grid of partial drawings and three completions of each, without the label."""
    model.eval()
    rows = batch.partial[:16, 0].cpu()
    samples = [model.complete(partial, count=3).cpu() for partial in rows]
    save_ink_grid(path, [rows, *torch.stack(samples, 1)])
    model.train()


def card(cfg: Config, command: str, steps: int, seconds: float) -> str:
    """The model card: what made these weights, and what they are for."""
    return f"""---
license: cc-by-4.0
library_name: pytorch
tags: [sketch-completion, vae, quickdraw]
---
# Latent Studio: sketch completion ({cfg.architecture})

Completes a partial 64x64 drawing of one of {len(quickdraw.CLASSES)} classes in many ways.

- Data: Google's "Quick, Draw!" (CC BY 4.0), {len(quickdraw.CLASSES)} classes, 90 % for training.
- Command: `{command}`
- Training: {steps:,} of {total_steps(cfg):,} steps of {cfg.batch_size} drawings in \
{seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- Limits: doodles in the style of the data; classes with few drawings (book, mug) are weaker.
- Figures: metrics.json, written by `python training/evaluate.py sketch`.
"""
