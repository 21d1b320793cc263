"""What `train_inpaint.py` trains: settings, networks, what is asked, previews, the model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from models import checkpoint
from models.classifiers import AttributeClassifier
from models.inpaint.attributes import OFF, ON, UNKNOWN, seeded_noise
from models.inpaint.model import InpaintConfig, Inpainter
from training.engine.cli import hardware
from training.engine.previews import save_rgb_grid
from training.engine.schedules import warmup_cosine
from training.inpaint.dataset import FaceBatch
from training.inpaint.discriminator import FaceCritic

ASKED = {"Smiling": 0.5, "Eyeglasses": 0.15}  # of the wishes are for having it
CONTRARY = {"Male": 0.1, "Young": 0.3}  # of the wishes are against what is true
WIDTHS = (64, 96, 160)  # of the critic


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    init: Path | None = None
    """A checkpoint to begin with instead of random weights; of any image size."""
    model: InpaintConfig = InpaintConfig()
    out_dir: Path = Path("checkpoints/inpaint")
    run_dir: Path = Path("runs/inpaint")
    """Resume state, metrics.jsonl and picture grids; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    tutors: tuple[Path, ...] = (
        Path("checkpoints/perceptual-classifier"),
        Path("checkpoints/perceptual-classifier-2"),
    )
    """Classifiers whose word on a wish counts; the first one's features are compared, too."""
    steps: int = 3_000
    """Steps of stage one, the CVAE alone."""
    sharpen_steps: int = 6_000
    """Steps of stage two, with a critic; half of each batch is then filled from the prior."""
    batch_size: int = 32
    lr: float = 5e-4
    sharpen_lr: float = 2.5e-4
    critic_lr: float = 5e-4
    l1_weight: float = 10.0
    guess_weight: float = 3.0
    """Of the same on fills from the prior that were asked for nothing new."""
    perceptual_weight: float = 2.0
    kl_weight: float = 0.002
    """Per nat of KL(q || p)."""
    critic_weight: float = 1.5
    wish_weight: float = 0.5
    kept_weight: float = 4.0
    """Of leaving a face as old, as male or female, and as serious, as the tutor saw it."""
    stage_one_share: float = 0.03
    """Of stage one's weights in what is written: likeness for a little sharpness."""
    read_weight: float = 0.2
    """Of reading off a whole face what is true of it, and of finding glasses."""
    penalty_weight: float = 0.2
    """Of R1 and R2, taken of a quarter of every `penalty_every`-th batch, and so much stronger."""
    penalty_every: int = 8
    precision: Literal["auto", "bf16", "no"] = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between resume states, picture grids and written checkpoints."""


def network_of(cfg: Config) -> Inpainter:
    """The network, untrained or from a checkpoint."""
    model = Inpainter(cfg.model)
    if cfg.init:
        model.load_state_dict(checkpoint.load(cfg.init).state_dict())
    return model


@torch.no_grad()
def blend(network: Inpainter, stage_one: Path, share: float) -> None:
    """Move the weights towards those of stage one: one straight line joins the two."""
    before = checkpoint.load(stage_one).parameters()
    for ours, theirs in zip(network.parameters(), before, strict=True):
        ours.lerp_(theirs.to(ours), share)


def learning_rates(cfg: Config, step: int) -> tuple[float, float]:
    """Of the inpainter and of the critic: one cosine a stage."""
    if step < cfg.steps:
        return warmup_cosine(step, cfg.steps, cfg.lr), 0.0
    at, steps = step - cfg.steps, cfg.sharpen_steps
    return tuple(warmup_cosine(at, steps, peak) for peak in (cfg.sharpen_lr, cfg.critic_lr))


def asked(batch: FaceBatch, names: tuple[str, ...], free: int, rng: np.random.Generator) -> Tensor:
    """What the network is told, (b, k): of the last `free` faces a wish where the hole allows it.

    A third leaves the attribute open.
    """
    if not free:
        return batch.told
    told = batch.told.clone()
    drawn = torch.from_numpy(rng.uniform(size=told.shape)).to(told.device)
    open_ = torch.from_numpy(rng.uniform(size=told.shape) < 1 / 3).to(told.device)
    for i, name in enumerate(names):
        on = drawn[:, i] < (ASKED | CONTRARY)[name]
        if name in CONTRARY:
            on ^= batch.true[:, i].bool()
        wish = torch.where(on, ON, OFF).masked_fill(open_[:, i], UNKNOWN)
        told[-free:, i] = torch.where(batch.covered[:, i], wish, told[:, i])[-free:]
    return told


def critic_of(cfg: Config, tutor: AttributeClassifier) -> FaceCritic:
    """Untrained."""
    width = tutor.config.width
    return FaceCritic(cfg.model.image_size, (width, 2 * width, 4 * width), WIDTHS)


@torch.inference_mode()
def preview(model: Inpainter, batch: FaceBatch, path: Path) -> None:
    """A grid: faces with holes, no wish twice, smile, no smile, the real faces."""
    model.eval()
    some = FaceBatch(*(part[:12].cpu() for part in batch))
    noise = seeded_noise(len(some.image), model.config.latent_dim, 0)
    rows = [some.image * (1 - some.mask) + 0.5 * some.mask]
    for wish, z in ((UNKNOWN, noise), (UNKNOWN, noise.flip(0)), (ON, noise), (OFF, noise)):
        told = torch.full_like(some.told, UNKNOWN)
        told[:, 0] = wish
        rows.append(model.fill(some.image, some.mask, told, z))
    save_rgb_grid(path, [*rows, some.image])
    model.train()


def card(cfg: Config, steps: int, seconds: float) -> str:
    """The model card: what made these weights, and what they are for."""
    return f"""---
license: other
license_name: celeba-non-commercial-research
library_name: pytorch
tags: [image-inpainting, vae, celeba]
---
# Latent Studio: face inpainting

Fills holes in aligned {cfg.model.image_size}x{cfg.model.image_size} faces in many ways, with or
without a smile, with or without glasses.

- Data: CelebA (Liu et al. 2015), for non-commercial research only; so are these weights.
- Command: `python training/train_inpaint.py --seed {cfg.seed}`
- Last run: {steps} steps of {cfg.batch_size} faces, {seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- Limits: frontal faces in CelebA's frame. The data shows celebrities, most of them young and of
  light skin; on others the fills are worse.
- Not for deceiving: a fill is an invention, not what was there.
- Figures: metrics.json.
"""
