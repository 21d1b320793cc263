"""Settings and released recipe of `train_inpaint.py`, its previews and model card."""

from dataclasses import dataclass
from pathlib import Path

import torch

from models.inpaint.attributes import OFF, ON, UNKNOWN, seeded_noise
from models.inpaint.model import InpaintConfig, Inpainter
from training.engine.accelerator import Precision, Tracker
from training.engine.cli import command, hardware
from training.engine.previews import save_rgb_grid
from training.inpaint.dataset import FaceBatch

# What of a run changes nothing of its result.
IGNORED = {"data_dir", "out_dir", "run_dir", "cache_dir", "workers", "tracker"}


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    model: InpaintConfig = InpaintConfig()
    out_dir: Path = Path("checkpoints/inpaint")
    run_dir: Path = Path("runs/inpaint")
    """Resume state, metrics.jsonl and picture grids; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    workers: int = 1
    """Processes that prepare batches."""
    steps: int = 9_000
    half_size_steps: int = 1_500
    """The first of them, at half the size: the core network alone, by its CVAE's terms."""
    batch_size: int = 64
    """Faces a step, over all processes together, half of them filled from the prior (of each two
    fills); a multiple of 4 for each."""
    lr: float = 4e-4
    """Peak of the learning rate; it warms up for 200 steps and falls as a cosine to 2 %."""
    discriminator_lr: float = 4e-4
    ema_decay: float = 0.998
    """Of the averaged weights, a step; the checkpoint holds these."""
    l1_weight: float = 10.0
    """Weight of the mean absolute error in the hole at 32 px, fills from the posterior."""
    prior_l1_weight: float = 2.0
    """The same at 16 px of fills from the prior whose attributes contradict no label."""
    perceptual_weight: float = 1.0
    """Weight of the distance in ImageNet features, fills from the posterior."""
    kl_weight: float = 5e-4
    """Weight of KL(q || p), per nat."""
    sameness_weight: float = 0.3
    """Weight of two fills of one hole being closer than 0.08."""
    adversarial_weight: float = 0.3
    """Weight of the discriminator's opinion, risen to over `adversarial_ramp` steps."""
    adversarial_from: int = 1_900
    """Steps before the inpainter hears the discriminator."""
    adversarial_ramp: int = 800
    discriminator_warmup: int = 400
    """For how many of the steps before the discriminator learns already."""
    auxiliary_weight: float = 0.2
    """Weight of attribute prediction and of glasses segmentation."""
    precision: Precision = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between resume states, picture grids and written checkpoints."""

    def __post_init__(self):
        if self.batch_size % 4:
            raise ValueError(
                "batch_size must be a multiple of 4, of which half is filled from the prior, each "
                f"face twice: {self.batch_size}"
            )
        if self.adversarial_from - self.discriminator_warmup < self.half_size_steps:
            raise ValueError(
                f"the discriminator judges whole pictures: adversarial_from "
                f"({self.adversarial_from}) less discriminator_warmup "
                f"({self.discriminator_warmup}) must be at least half_size_steps "
                f"({self.half_size_steps})"
            )


RELEASED = {"released": Config()}


@torch.inference_mode()
def preview(model: Inpainter, batch: FaceBatch, path: Path) -> None:
    """A grid of 12 faces: masked, unconditional twice, smile, no smile, real."""
    model.eval()
    device = next(model.parameters()).device
    some = FaceBatch(*(part[:12].to(device) for part in batch))
    noise = seeded_noise(len(some.image), model.config.latent_dim, 0).to(device)
    rows = [some.image * (1 - some.mask) + 0.5 * some.mask]
    for smile, z in ((UNKNOWN, noise), (UNKNOWN, noise.flip(0)), (ON, noise), (OFF, noise)):
        attributes = torch.full_like(some.attributes, UNKNOWN)
        attributes[:, 0] = smile
        rows.append(model.sample(some.image, some.mask, attributes, z))
    save_rgb_grid(path, [*rows, some.image])
    model.train()


def card(cfg: Config, steps: int, seconds: float) -> str:
    """The model card: how these weights were trained, and what they are for."""
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
- Command: `{command("training/train_inpaint.py", cfg, RELEASED, IGNORED)}`
- Last run: {steps} steps of {cfg.batch_size} faces, {seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- Limits: frontal faces in CelebA's frame. The data shows celebrities, most of them young and of
  light skin; on others the fills are worse.
- Not for deceiving: a fill is an invention, not what was there.
- Figures: metrics.json.
"""
