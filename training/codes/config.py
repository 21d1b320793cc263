"""Settings and released recipes of `train_codes.py` and `train_codes_prior.py`; model cards."""

from dataclasses import dataclass, replace
from pathlib import Path

from models.codes.prior import CodesPriorConfig
from models.codes.vqvae import VQVAEConfig
from training.codes.dataset import CLASS_NAMES, Kind
from training.engine.accelerator import Precision, Tracker
from training.engine.cli import command, hardware

MODELS: dict[Kind, VQVAEConfig] = {
    "digits": VQVAEConfig(28, 1, (32, 64), 2, 1, 64, 16, CLASS_NAMES["digits"]),
    "sketches": VQVAEConfig(64, 1, (32, 64, 96), 2, 3, 256, 16, CLASS_NAMES["sketches"]),
    "faces": VQVAEConfig(64, 3, (64, 128), 2, 1, 512, 16),
}


@dataclass(frozen=True)
class Config:
    """Settings of one VQ-VAE; the same settings always give the same weights."""

    kind: Kind = "digits"
    """MNIST, Quick, Draw! or CelebA."""
    data_dir: Path = Path("data")
    """Folder that holds MNIST/, quickdraw/, celeba/."""
    model: VQVAEConfig | None = None
    """Network; that of the released checkpoint of this kind where None."""
    out_dir: Path | None = None
    """Checkpoint folder; checkpoints/codes-KIND where None."""
    run_dir: Path | None = None
    """Resume state, metrics.jsonl, previews; runs/codes-KIND where None."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 4_000
    batch_size: int = 64
    """Images a step, over all processes together."""
    lr: float = 1e-3
    """Peak of the learning rate."""
    beta: float = 0.25
    """Weight of the commitment loss."""
    ema_codebook: bool = True
    """Whether the codebook is an exponential moving average; otherwise it follows its gradient."""
    codebook_decay: float = 0.99
    """Decay of that moving average, per step."""
    mse_weight: float = 20.0
    """Weight of the mean squared error, faces only; otherwise the reconstruction is nats/pixel."""
    perceptual_weight: float = 0.2
    """Weight of the distance in ImageNet features, faces only."""
    entropy_weight: float = 0.005
    """Weight of log K - entropy of the mean soft assignment, per nat."""
    entropy_temperature: float = 1.0
    """Softness of these assignments, in units of the mean squared distance to the codebook."""
    restart_every: int = 100
    """Steps between restarts of dead codes, in the first 80 % of the run."""
    dead_threshold: float = 0.1
    """A code is dead if it is used less than this fraction of the mean."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between two checkpoints."""
    precision: Precision = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""


@dataclass(frozen=True)
class PriorConfig:
    """Settings of one prior; the same settings and VQ-VAE always give the same weights."""

    kind: Kind = "digits"
    """MNIST, Quick, Draw! or CelebA."""
    data_dir: Path = Path("data")
    """Folder that holds MNIST/, quickdraw/, celeba/."""
    vqvae_dir: Path | None = None
    """Checkpoint of the VQ-VAE; checkpoints/codes-KIND where None."""
    model: CodesPriorConfig = CodesPriorConfig()
    """Network; num_codes, grid_size and class_names become those of the VQ-VAE."""
    out_dir: Path | None = None
    """Checkpoint folder; checkpoints/prior-KIND where None."""
    run_dir: Path | None = None
    """Resume state, metrics.jsonl, previews; runs/prior-KIND where None."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 4_000
    batch_size: int = 64
    """Code grids a step, over all processes together."""
    lr: float = 1e-3
    """Peak of the learning rate."""
    p_label_dropout: float = 0.1
    """Probability that a grid is trained without its label, for classifier-free guidance."""
    p_raster_order: float = 0.5
    """Probability that a grid is read row by row; otherwise its order is a random permutation."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between two checkpoints."""
    precision: Precision = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""


VQVAE_STEPS: dict[Kind, int] = {"digits": 4_000, "sketches": 4_000, "faces": 12_000}
PRIOR_STEPS: dict[Kind, int] = {"digits": 4_000, "sketches": 16_000, "faces": 3_000}
PRIOR_BATCH: dict[Kind, int] = {"digits": 64, "sketches": 64, "faces": 32}
# --recipe -> --kind -> the settings of the shipped checkpoint
RECIPES = {"released": {kind: Config(kind, steps=steps) for kind, steps in VQVAE_STEPS.items()}}
PRIOR_RECIPES = {
    "released": {
        kind: PriorConfig(kind, steps=steps, batch_size=PRIOR_BATCH[kind])
        for kind, steps in PRIOR_STEPS.items()
    }
}
# What of a run changes nothing of its result.
IGNORED = {"data_dir", "out_dir", "run_dir", "cache_dir", "tracker"}
PRIOR_IGNORED = {"data_dir", "vqvae_dir", "out_dir", "run_dir", "cache_dir", "tracker"}


def with_folders(cfg: Config | PriorConfig) -> Config | PriorConfig:
    """The settings with the kind's folders in place of None."""
    stem = "codes" if isinstance(cfg, Config) else "prior"
    name = f"{stem}-{cfg.kind}"
    cfg = replace(
        cfg,
        out_dir=cfg.out_dir or Path("checkpoints", name),
        run_dir=cfg.run_dir or Path("runs", name),
    )
    if isinstance(cfg, PriorConfig) and cfg.vqvae_dir is None:
        cfg = replace(cfg, vqvae_dir=Path("checkpoints", f"codes-{cfg.kind}"))
    return cfg


DATA: dict[Kind, str] = {
    "digits": "MNIST (LeCun et al., CC BY-SA 3.0)",
    "sketches": 'Google\'s "Quick, Draw!" (CC BY 4.0), 24 classes',
    "faces": "CelebA (Liu et al. 2015), for non-commercial research only; so are these weights",
}


def header(kind: Kind, tag: str) -> str:
    """The metadata that the Hub reads of a model card."""
    faces = kind == "faces"
    licence = "other\nlicense_name: celeba-non-commercial-research" if faces else "cc-by-4.0"
    return f"""---
license: {licence}
library_name: pytorch
tags: [{tag}, {kind}]
---"""


def card(cfg: Config, steps: int, seconds: float) -> str:
    """The model card of a VQ-VAE: its data, the command that makes it, its last run."""
    return f"""{header(cfg.kind, "vq-vae")}
# Latent Studio: codes of {cfg.kind}

A VQ-VAE (van den Oord et al. 2017): encodes {cfg.kind} as grids of discrete codes and decodes them.

- Data: {DATA[cfg.kind]}.
- Command: `{command("training/train_codes.py", cfg, RECIPES, IGNORED)}`
- Run: {steps:,} steps of {cfg.batch_size} images, seed {cfg.seed}, {seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- Figures: metrics.json.
"""


def prior_card(cfg: PriorConfig, steps: int, seconds: float) -> str:
    """The model card of a prior: its data, the command that makes it, its last run."""
    return f"""{header(cfg.kind, "autoregressive")}
# Latent Studio: prior over codes of {cfg.kind}

An autoregressive transformer over the cells in any order: samples code grids of `codes-{cfg.kind}`
or completes masked ones.

- Data: {DATA[cfg.kind]}, as the codes of `codes-{cfg.kind}`.
- Command: `{command("training/train_codes_prior.py", cfg, PRIOR_RECIPES, PRIOR_IGNORED)}`
- Run: {steps:,} steps of {cfg.batch_size} grids, seed {cfg.seed}, {seconds / 60:.0f} minutes.
- Hardware: {hardware()}.
- Figures: metrics.json of `codes-{cfg.kind}`.
"""
