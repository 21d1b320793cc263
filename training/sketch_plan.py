"""What `train_sketch.py` trains: settings, batches, phases with their losses, the model card."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from models.images import to_ink
from models.sketch import SketchCompleter
from models.sketch_autoencoder import SketchConfig
from models.sketch_cvae import SketchCVAE, SketchCVAEConfig
from training import common, losses
from training.data import quickdraw


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    download: bool = False
    """Fetch missing classes (about 2 GB in all) into data_dir first."""
    architecture: Literal["codes", "paper"] = "codes"
    """Ours (discrete codes and a prior), or the published CVAE as the baseline."""
    model: SketchConfig = SketchConfig(quickdraw.CLASSES)
    paper: SketchCVAEConfig = SketchCVAEConfig()
    out_dir: Path = Path("checkpoints/sketch")
    run_dir: Path = Path("runs/sketch")
    """Resume state, metrics.jsonl and picture grids; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    code_steps: int = 3_000
    prior_steps: int = 9_000
    paper_steps: int = 7_000
    batch_size: int = 64
    """Drawings a step, over all processes together."""
    code_lr: float = 6e-4
    prior_lr: float = 1e-3
    paper_lr: float = 5e-4
    likelihood: losses.Likelihood = "bernoulli"
    beta: float = 1.0
    """Weight of the CVAE's KL term."""
    precision: Literal["auto", "bf16", "no"] = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between resume states, picture grids and written checkpoints."""


class Phase(NamedTuple):
    """One stretch of training: which part, for how long, how fast, and its loss on a batch."""

    name: str
    network: nn.Module
    steps: int
    lr: float
    clip: float
    loss: Callable[[nn.Module, "Batch"], dict[str, Tensor]]


class Batch(NamedTuple):
    """This process's share of a step: ink (b, 1, 64, 64), labels (b,), standard normal noise."""

    x: Tensor
    partial: Tensor
    label: Tensor
    noise: Tensor


def network_of(cfg: Config) -> SketchCompleter | SketchCVAE:
    """The untrained network of the chosen architecture."""
    return SketchCVAE(cfg.paper) if cfg.architecture == "paper" else SketchCompleter(cfg.model)


def phases(cfg: Config, model: nn.Module) -> list[Phase]:
    """What is trained in which order."""
    if cfg.architecture == "paper":

        def elbo(network: nn.Module, b: Batch) -> dict[str, Tensor]:
            out = network(b.x, b.partial, b.noise)
            return losses.cvae_elbo(out, b.x, cfg.likelihood, cfg.beta)

        return [Phase("paper", model, cfg.paper_steps, cfg.paper_lr, 1e3, elbo)]

    def codes(network: nn.Module, b: Batch) -> dict[str, Tensor]:
        return losses.reconstruction(network(b.x, b.partial), b.x)

    def prior(network: nn.Module, b: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            target = model.autoencoder.encode(b.x, b.partial)
        return losses.code_nll(network(target, b.partial, b.label), target)

    return [
        Phase("codes", model.autoencoder, cfg.code_steps, cfg.code_lr, 1e3, codes),
        Phase("prior", model.prior, cfg.prior_steps, cfg.prior_lr, 1.0, prior),
    ]


def batch_at(
    cfg: Config, data: quickdraw.SketchArrays, chance: np.ndarray, acc: Accelerator, step: int
) -> Batch:
    """Process number r of n takes rows r, r + n, ... of the one batch that belongs to `step`."""
    rank, n = acc.process_index, acc.num_processes
    full, partial, label = quickdraw.draw_batch(data, chance, cfg.batch_size, cfg.seed, step)
    generator = torch.Generator().manual_seed(cfg.seed * 1_000_003 + step)
    noise = torch.randn(cfg.batch_size, cfg.paper.latent_dim, generator=generator)
    x, y = (to_ink(ink)[:, None] for ink in (full, partial))
    rows = Batch(x, y, torch.from_numpy(label), noise)
    return Batch(*(part[rank::n].to(acc.device) for part in rows))


def preview(model: nn.Module, batch: Batch, path: Path) -> None:
    """A grid: whole drawings, partial ones, then (ours) decoded codes, then three samples each."""
    model.eval()
    rows = [batch.x[:12, 0].cpu(), batch.partial[:12, 0].cpu()]
    if isinstance(model, SketchCompleter):
        with torch.inference_mode():
            out = model.autoencoder(batch.x[:12], batch.partial[:12])
        rows.append(out.logits.sigmoid()[:, 0].cpu())
    samples = [model.complete(y, count=3).cpu() for y in rows[1]]
    common.save_grid(path, rows + list(torch.stack(samples, 1)))
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
