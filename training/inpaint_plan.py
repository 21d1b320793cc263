"""What `train_inpaint.py` trains: settings, losses of both stages, previews, the model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import checkpoint
from models.face_judge import FaceJudge
from models.inpaint import OFF, ON, UNKNOWN, InpaintConfig, Inpainter, InpaintOutput, seeded_noise
from training import common
from training.data.erased import FaceBatch
from training.inpaint_critic import (
    FaceCritic,
    critic_loss,
    gradient_penalty,
    hole_l1,
    perceptual,
    wish_loss,
)

GLASSES_ASKED = 0.15  # of the wishes about glasses are for having them: few faces do


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
    tutor: Path = Path("checkpoints/inpaint-tutor")
    """A classifier whose features are compared and whose word on a wish counts."""
    steps: int = 3_000
    """Steps of stage one, the CVAE alone."""
    sharpen_steps: int = 6_000
    """Steps of stage two, with a critic; half of each batch is then filled from the prior."""
    batch_size: int = 32
    lr: float = 5e-4
    sharpen_lr: float = 2.5e-4
    critic_lr: float = 5e-4
    l1_weight: float = 10.0
    perceptual_weight: float = 2.0
    kl_weight: float = 0.002
    """Per nat of KL(q || p)."""
    critic_weight: float = 2.0
    wish_weight: float = 0.15
    penalty_weight: float = 0.2
    """Of R1 and R2, each taken at every `penalty_every`-th step and as many times as strong."""
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


def learning_rates(cfg: Config, step: int) -> tuple[float, float]:
    """Of the inpainter and of the critic: one cosine a stage."""
    if step < cfg.steps:
        return common.learning_rate(step, cfg.steps, cfg.lr), 0.0
    at, steps = step - cfg.steps, cfg.sharpen_steps
    return tuple(common.learning_rate(at, steps, peak) for peak in (cfg.sharpen_lr, cfg.critic_lr))


def asked(batch: FaceBatch, free: int, rng: np.random.Generator) -> Tensor:
    """What the network is told, (b, k): of the last `free` faces a wish where the hole allows it.

    A third leaves the attribute open; a wish is made without regard to what is true.
    """
    told = batch.told.clone()
    b, k = told.shape
    chance = torch.tensor([0.5, GLASSES_ASKED])[:k].to(told.device)
    drawn = torch.from_numpy(rng.uniform(size=(b, k)).astype(np.float32)).to(told.device)
    open_ = torch.from_numpy(rng.uniform(size=(b, k)) < 1 / 3).to(told.device)
    wish = torch.where(drawn < chance, ON, OFF).masked_fill(open_, UNKNOWN)
    rows = torch.arange(b, device=told.device)[:, None] >= b - free
    return torch.where(rows & batch.covered, wish, told)


def composed(out: InpaintOutput, batch: FaceBatch) -> Tensor:
    """The face with its hole filled."""
    return torch.lerp(batch.image, out.logits.sigmoid(), batch.mask)


def coarse(face: Tensor) -> Tensor:
    """Without what is finer than 2 px of 64: else specks that nobody takes for a smile please."""
    step = 2 * face.shape[-1] // 64
    small = F.avg_pool2d(face, step)
    return F.interpolate(small, scale_factor=step, mode="bilinear", align_corners=False)


def drawn_terms(
    cfg: Config,
    out: InpaintOutput,
    batch: FaceBatch,
    told: Tensor,
    free: int,
    tutor: FaceJudge,
    columns: list[int],
) -> dict[str, Tensor]:
    """Stage one's terms on the reconstructed faces; whether the wishes of the others came true."""
    kept = len(told) - free
    face = composed(out, batch)
    maps = tutor(face[:kept]).maps
    with torch.no_grad():
        real = tutor(batch.image[:kept])
    l1 = hole_l1(face[:kept], batch.image[:kept], batch.mask[:kept]).mean()
    features = perceptual(maps, real.maps).mean()
    kl = out.posterior.kl(out.prior).mean()
    loss = cfg.l1_weight * l1 + cfg.perceptual_weight * features + cfg.kl_weight * kl
    terms = {"l1": l1, "perceptual": features, "kl": kl}
    if free:
        counts = (batch.covered & (told != UNKNOWN))[kept:]
        seen = tutor(coarse(face[kept:])).logits[:, columns]
        terms["wish"] = wish_loss(seen, told[kept:] == ON, counts)
        loss = loss + cfg.wish_weight * terms["wish"]
    return {"loss": loss} | terms


def critic_terms(
    cfg: Config, critic: nn.Module, face: Tensor, batch: FaceBatch, step: int
) -> dict[str, Tensor]:
    """The critic's loss on real faces and on fills, with its penalties now and then."""
    real = critic(batch.image, batch.mask).score(batch.mask)
    drawn = critic(face.detach(), batch.mask).score(batch.mask)
    loss = critic_loss(real, drawn)
    terms = {"critic": loss.detach()}
    if step % cfg.penalty_every == 0:
        half = len(face) // 2
        with torch.autocast(face.device.type, enabled=False):
            r1, r2 = (
                gradient_penalty(critic, some[:half], batch.mask[:half])
                for some in (batch.image, face)
            )
        loss = loss + cfg.penalty_every * cfg.penalty_weight * (r1 + r2) / 2
        terms |= {"r1": r1.detach(), "r2": r2.detach()}
    return {"loss": loss} | terms


def fooled(critic: FaceCritic, face: Tensor, batch: FaceBatch) -> Tensor:
    """The inpainter's loss by the critic, nats/face."""
    with torch.no_grad():
        real = critic(batch.image, batch.mask).score(batch.mask)
    return critic_loss(critic(face, batch.mask).score(batch.mask), real)


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
    common.save_faces(path, [*rows, some.image])
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
- Limits: frontal faces in CelebA's frame. The data shows celebrities, most of them young and of
  light skin; on others the fills are worse.
- Not for deceiving: a fill is an invention, not what was there.
- Figures: metrics.json.
"""
