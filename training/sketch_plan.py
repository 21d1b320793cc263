"""What `train_sketch.py` trains: settings, the network and its loss, previews, the model card."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from models.sketch import SketchCompleter
from models.sketch_cvae import SketchCVAE, SketchCVAEConfig
from models.sketch_points import SketchConfig
from training import common, losses
from training.data import quickdraw
from training.data.completions import Batch, Drawings, Examples


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    download: bool = False
    """Fetch missing classes (about 2 GB in all) into data_dir first."""
    architecture: Literal["strokes", "paper"] = "strokes"
    """Ours, or the published CVAE as the baseline."""
    model: SketchConfig = SketchConfig(quickdraw.CLASSES)
    paper: SketchCVAEConfig = SketchCVAEConfig()
    out_dir: Path = Path("checkpoints/sketch")
    run_dir: Path = Path("runs/sketch")
    """Resume state, metrics.jsonl and picture grids; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 3_600
    batch_size: int = 64
    """Drawings a step, over all processes together."""
    lr: float = 1e-3
    """Peak of the learning rate; for the paper's CVAE 5e-4, with --clip 1000."""
    clip: float = 1.0
    """Longest gradient that is applied as it is."""
    likelihood: losses.Likelihood = "bernoulli"
    beta: float = 1.0
    """Weight of the CVAE's KL term."""
    precision: Literal["auto", "bf16", "no"] = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between resume states, picture grids and written checkpoints."""


def network_of(cfg: Config) -> SketchCompleter | SketchCVAE:
    """The untrained network of the chosen architecture."""
    return SketchCVAE(cfg.paper) if cfg.architecture == "paper" else SketchCompleter(cfg.model)


def examples_of(cfg: Config, data: Drawings) -> Examples:
    """The batches of the run; only the paper's CVAE asks for whole drawings and for noise."""
    paper = cfg.architecture == "paper"
    latent = cfg.paper.latent_dim if paper else 0
    limit = cfg.model.max_points
    return Examples(data, cfg.batch_size, cfg.seed, cfg.steps, limit, latent, wholes=paper)


def trained_part(
    cfg: Config, model: SketchCompleter | SketchCVAE
) -> tuple[nn.Module, Callable[[nn.Module, Batch], dict[str, Tensor]]]:
    """The network to train, and its loss on a batch (the network is handed in again, wrapped)."""

    def elbo(network: nn.Module, b: Batch) -> dict[str, Tensor]:
        out = network(b.x, b.partial, b.noise)
        return losses.cvae_elbo(out, b.x, cfg.likelihood, cfg.beta)

    def strokes(network: nn.Module, b: Batch) -> dict[str, Tensor]:
        return losses.strokes_loss(network(b.points, b.partial, b.label), b.points)

    return (model, elbo) if isinstance(model, SketchCVAE) else (model.prior, strokes)


def preview(model: nn.Module, batch: Batch, path: Path) -> None:
    """A grid: partial drawings, then three samples of each, no label given."""
    model.eval()
    rows = batch.partial[:16, 0].cpu()
    samples = [model.complete(y, count=3).cpu() for y in rows]
    common.save_grid(path, [rows, *torch.stack(samples, 1)])
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
- Limits: doodles in the manner of the data; classes with few drawings (book, mug) are weaker.
- Figures: metrics.json, written by `python training/evaluate.py sketch`.
"""
