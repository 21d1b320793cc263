"""What `train_codes.py` trains: settings, losses, previews, the model card."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from models.classifiers import AttributeClassifier
from models.codes.vqvae import VQVAE, VQVAEConfig, VQVAEOutput
from training.codes import dataset as pictures
from training.codes.codebook import usage_loss, vq_loss
from training.codes.dataset import Kind
from training.engine.cli import hardware
from training.engine.previews import save_rgb_grid
from training.perceptual import perceptual_loss

SIZES: dict[Kind, VQVAEConfig] = {
    "digits": VQVAEConfig(28, 1, (32, 64), 2, 1, 64, 16, pictures.NAMES["digits"]),
    "sketches": VQVAEConfig(64, 1, (32, 64, 96), 2, 3, 256, 16, pictures.NAMES["sketches"]),
    "faces": VQVAEConfig(64, 3, (64, 128), 2, 1, 512, 16),
}


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    kind: Kind = "digits"
    data_dir: Path = Path("data")
    """Folder that holds MNIST/, quickdraw/, celeba/."""
    model: VQVAEConfig | None = None
    """The kind's own where None."""
    out_dir: Path | None = None
    """checkpoints/codes-KIND where None."""
    run_dir: Path | None = None
    """runs/codes-KIND where None: resume state, metrics.jsonl, picture grids."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 4_000
    batch_size: int = 64
    lr: float = 1e-3
    beta: float = 0.25
    """Weight of the commitment term."""
    average: bool = True
    """The codebook as moving averages; otherwise by its gradient."""
    decay: float = 0.99
    """Of those averages, a step."""
    error_weight: float = 20.0
    """Of the mean squared error, faces only: the others' reconstruction is a cross-entropy."""
    perceptual_weight: float = 0.1
    """Of the difference in the tutor's maps, faces only."""
    tutor: Path = Path("checkpoints/perceptual-classifier")
    """A classifier of faces; not read for other kinds."""
    usage_weight: float = 0.005
    """Of keeping all codes in use, per nat."""
    softness: float = 1.0
    """Of the assignments in that term, in units of the mean square distance to the codebook."""
    revive_every: int = 100
    """Steps between looks at codes that nobody uses, in the first 80 % of the run."""
    least_use: float = 0.1
    """Of the mean use: codes below are put elsewhere."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500


def reconstruction(
    cfg: Config, logits: Tensor, x: Tensor, tutor: AttributeClassifier | None
) -> dict[str, Tensor]:
    """Named terms: nats/pixel, or for faces squared error and what the tutor sees."""
    if tutor is None:
        return {"recon": F.binary_cross_entropy_with_logits(logits, x)}
    drawn = logits.sigmoid()
    terms = {"recon": cfg.error_weight * F.mse_loss(drawn, x)}
    if cfg.perceptual_weight:
        with torch.no_grad():
            real = tutor(x).feature_maps
        terms["perceptual"] = (
            cfg.perceptual_weight * perceptual_loss(tutor(drawn).feature_maps, real).mean()
        )
    return terms


def terms_of(
    cfg: Config, model: VQVAE, x: Tensor, tutor: AttributeClassifier | None = None
) -> tuple[dict[str, Tensor], VQVAEOutput]:
    """Named terms, the loss among them, and what came out."""
    out = model(x)
    terms = reconstruction(cfg, out.logits, x, tutor) | vq_loss(out, cfg.beta)
    if cfg.average:
        del terms["codebook"]
    loss = sum(terms.values())
    terms["usage"] = usage_loss(out.z_e, model.codebook, cfg.softness)
    return {"loss": loss + cfg.usage_weight * terms["usage"]} | terms, out


@torch.inference_mode()
def uses(
    model: VQVAE, images: UInt8[np.ndarray, "n c h w"], device: torch.device
) -> Int64[Tensor, " k"]:
    """How often each code serves in the first 10,000 pictures."""
    parts = torch.from_numpy(images[:10_000]).split(256)
    codes = torch.cat([model.encode(part.to(device).float() / 255) for part in parts])
    return torch.bincount(codes.flatten(), minlength=model.config.num_codes)


@torch.inference_mode()
def preview(model: VQVAE, x: Tensor, path: Path) -> None:
    """A grid: pictures, and what their codes decode to."""
    some = x[:12].float().cpu().contiguous()
    again = model.decode(model.encode(x[:12].float())).cpu()
    rows = [part.expand(-1, 3, -1, -1) for part in (some, again)]
    save_rgb_grid(path, rows)


DATA: dict[Kind, str] = {
    "digits": "MNIST (LeCun et al., CC BY-SA 3.0)",
    "sketches": 'Google\'s "Quick, Draw!" (CC BY 4.0), 24 classes',
    "faces": "CelebA (Liu et al. 2015), for non-commercial research only; so are these weights",
}


def header(kind: Kind, tag: str) -> str:
    """What the Hub reads of a card."""
    faces = kind == "faces"
    licence = "other\nlicense_name: celeba-non-commercial-research" if faces else "cc-by-4.0"
    return f"""---
license: {licence}
library_name: pytorch
tags: [{tag}, {kind}]
---"""


def card(cfg: Config, steps: int, seconds: float) -> str:
    """The model card: what made these weights, and what they are for."""
    return f"""{header(cfg.kind, "vq-vae")}
# Latent Studio: codes of {cfg.kind}

A VQ-VAE: pictures as grids of codes, and back.

- Data: {DATA[cfg.kind]}.
- Command: `python training/train_codes.py --kind {cfg.kind} --steps {cfg.steps} --seed {cfg.seed}`
- Last run: {steps} steps of {cfg.batch_size} pictures, {seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- Figures: metrics.json.
"""


def prior_card(kind: Kind, command: str, run: str) -> str:
    """The card of a prior, from its command's options and a sentence on its last run."""
    return f"""{header(kind, "autoregressive")}
# Latent Studio: prior over codes of {kind}

A transformer that draws grids of codes cell by cell, in any order of the cells, or completes them.

- Data: {DATA[kind]}, as the codes of `codes-{kind}`.
- Command: `python training/train_codes_prior.py {command}`
- Last run: {run}.
- Hardware: {hardware()}.
- Figures: metrics.json of `codes-{kind}`.
"""
