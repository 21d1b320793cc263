"""Settings of `train_inpaint.py`, its networks, learning rates, previews and model card."""

from dataclasses import dataclass
from pathlib import Path

import torch

from models import checkpoint
from models.classifiers import AttributeClassifier
from models.inpaint.attributes import OFF, ON, UNKNOWN, seeded_noise
from models.inpaint.model import InpaintConfig, Inpainter
from training.engine.accelerator import Precision, Tracker
from training.engine.cli import command, hardware
from training.engine.previews import save_rgb_grid
from training.engine.schedules import warmup_cosine
from training.inpaint.dataset import FaceBatch
from training.inpaint.discriminator import Discriminator

DISCRIMINATOR_CHANNELS = (64, 96, 160)
# Settings that a resumed run may change.
IGNORED = {"data_dir", "out_dir", "run_dir", "cache_dir", "classifiers", "init", "tracker"}


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
    classifiers: tuple[Path, ...] = (
        Path("checkpoints/perceptual-classifier"),
        Path("checkpoints/perceptual-classifier-2"),
    )
    """Frozen attribute classifiers: all for the attribute loss, the first one's feature maps also
    for the perceptual loss and the discriminator."""
    steps: int = 3_000
    """Steps of stage one, the CVAE alone."""
    gan_steps: int = 6_000
    """Steps of stage two, adversarial; half of each batch is then filled from the prior."""
    batch_size: int = 32
    """Faces a step, over all processes together; a multiple of 4 for each."""
    lr: float = 5e-4
    """Peak of the learning rate in stage one."""
    gan_lr: float = 2.5e-4
    """Peak of the inpainter's learning rate in stage two."""
    discriminator_lr: float = 5e-4
    l1_weight: float = 10.0
    """Weight of the mean absolute error in the hole, fills from the posterior."""
    prior_l1_weight: float = 3.0
    """The same of fills from the prior whose attributes contradict no label."""
    perceptual_weight: float = 2.0
    kl_weight: float = 0.002
    """Weight of KL(q || p), per nat."""
    adversarial_weight: float = 1.5
    attribute_weight: float = 0.5
    """Weight of the hinge on the attributes asked for, per logit."""
    preservation_weight: float = 4.0
    """Weight of the change of attributes that were not asked for, per nat."""
    auxiliary_weight: float = 0.2
    """Weight of attribute prediction and of glasses segmentation."""
    cvae_fraction: float = 0.03
    """Fraction of stage one's weights in the saved ones: likeness for a little sharpness."""
    penalty_weight: float = 0.2
    """Weight of the mean of R1 and R2, on a quarter of every `penalty_every`-th batch, there
    `penalty_every` times as large."""
    penalty_every: int = 8
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
                f"batch_size must be a multiple of 4, of which half is filled from the prior and "
                f"a quarter penalised: {self.batch_size}"
            )


def build_network(cfg: Config) -> Inpainter:
    """The inpainter, untrained or from a checkpoint."""
    model = Inpainter(cfg.model)
    if cfg.init:
        model.load_state_dict(checkpoint.load(cfg.init).state_dict())
    return model


def build_discriminator(cfg: Config, classifier: AttributeClassifier) -> Discriminator:
    """The discriminator, untrained, for the feature maps of this classifier."""
    width = classifier.config.width
    maps = (width, 2 * width, 4 * width)
    return Discriminator(cfg.model.image_size, maps, DISCRIMINATOR_CHANNELS)


@torch.no_grad()
def interpolate_weights(network: Inpainter, other: Path, fraction: float) -> None:
    """Move the weights by `fraction` towards those of a checkpoint (linear interpolation)."""
    target = checkpoint.load(other).parameters()
    for ours, theirs in zip(network.parameters(), target, strict=True):
        ours.lerp_(theirs.to(ours), fraction)


def learning_rates(cfg: Config, step: int) -> tuple[float, float]:
    """Of the inpainter and of the discriminator: one cosine a stage."""
    if step < cfg.steps:
        return warmup_cosine(step, cfg.steps, cfg.lr), 0.0
    step, peaks = step - cfg.steps, (cfg.gan_lr, cfg.discriminator_lr)
    return tuple(warmup_cosine(step, cfg.gan_steps, peak) for peak in peaks)


@torch.inference_mode()
def preview(model: Inpainter, batch: FaceBatch, path: Path) -> None:
    """A grid of 12 faces: masked, unconditional twice, smile, no smile, real."""
    model.eval()
    some = FaceBatch(*(part[:12].cpu() for part in batch))
    noise = seeded_noise(len(some.image), model.config.latent_dim, 0)
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
- Command: `{command("training/train_inpaint.py", cfg, {}, IGNORED - {"init"})}`
- Last run: {steps} steps of {cfg.batch_size} faces, {seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- Limits: frontal faces in CelebA's frame. The data shows celebrities, most of them young and of
  light skin; on others the fills are worse.
- Not for deceiving: a fill is an invention, not what was there.
- Figures: metrics.json.
"""
