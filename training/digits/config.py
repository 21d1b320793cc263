"""What `train_digits.py` trains: settings, released recipes, the loss of each family."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from models.digits.autoencoder import Autoencoder, AutoencoderConfig
from models.digits.base import DigitModel
from models.digits.cvae import CVAE, CVAEConfig
from models.digits.diffusion import (
    TIMESTEPS,
    UNCONDITIONAL,
    Diffusion,
    DiffusionConfig,
    alpha_bars,
)
from models.digits.gan import GAN, GANConfig
from models.digits.hierarchical import HierarchicalVAE, HierarchicalVAEConfig
from models.digits.vae import VAE, VAEConfig
from training.digits import losses
from training.digits.dataset import Batch
from training.digits.masks import sample_masks
from training.engine.accelerator import Precision, Tracker

Family = Literal["ae", "vae", "hvae", "cvae", "gan", "diffusion", "vq"]
Network = (
    AutoencoderConfig | VAEConfig | HierarchicalVAEConfig | CVAEConfig | GANConfig | DiffusionConfig
)
CLASSES: dict[Family, type[DigitModel]] = {
    "ae": Autoencoder,
    "vae": VAE,
    "hvae": HierarchicalVAE,
    "cvae": CVAE,
    "gan": GAN,
    "diffusion": Diffusion,
}  # without "vq", which is put together of two trained networks


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    family: Family = "vae"
    """ae, vae, hvae (hierarchical), cvae, gan, diffusion; vq joins a codebook and its prior."""
    network: Network | None = None
    """Sizes of the network; the family's own where None."""
    data_dir: Path = Path("data")
    """Folder that holds MNIST/."""
    out_dir: Path = Path("checkpoints/digits-vae")
    run_dir: Path = Path("runs/digits-vae")
    """Resume state, metrics.jsonl and snapshots; not part of the checkpoint."""
    vqvae_dir: Path = Path("checkpoints/codes-digits")
    """vq: the codebook, made by train_codes.py."""
    prior_dir: Path = Path("checkpoints/prior-digits")
    """vq: its prior, made by train_codes_prior.py."""
    steps: int = 6_000
    batch_size: int = 128
    """Digits a step, over all processes together."""
    lr: float = 1e-3
    """Peak of the learning rate; it warms up for 200 steps and falls as a cosine to 2 %."""
    weight_decay: float = 0.0
    """Decoupled, of AdamW."""
    clip: float = 10.0
    """Largest norm of the gradient that is applied unscaled."""
    ema_decay: float = 0.999
    """Of the averaged weights, a step; the checkpoint holds these."""
    recon: losses.Reconstruction = "bce"
    """ae and vae: the reconstruction term."""
    beta: float = 1.0
    """vae, hvae, cvae: weight of the KL term, per nat."""
    beta_warmup: int = 0
    """Steps over which beta rises from 0."""
    binarize: bool = False
    """vae: learn from new Bernoulli draws of the pixels each step (dynamic binarisation)."""
    label_weight: float = 10.0
    """cvae: weight of the classifier q(y | x), per nat."""
    p_label_dropout: float = 0.1
    """diffusion: probability that a class is withheld."""
    discriminator_width: int = 32
    """gan: channels at 14x14."""
    discriminator_lr: float = 4e-4
    """gan: of the discriminator; `lr` is the generator's."""
    r1_weight: float = 1.0
    """gan: gamma of the R1 penalty."""
    r1_every: int = 8
    """gan: steps between evaluations of the penalty, which then counts that many times."""
    precision: Precision = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 1_000
    """Steps between resume states and written checkpoints."""

    def __post_init__(self):
        if min(self.steps, self.batch_size, self.log_every, self.save_every, self.r1_every) < 1:
            raise ValueError(
                "steps, batch_size, log_every, save_every and r1_every must be positive, not "
                f"{self.steps}, {self.batch_size}, {self.log_every}, {self.save_every} and "
                f"{self.r1_every}"
            )


# What of a run changes nothing of its result.
IGNORED = {"data_dir", "out_dir", "run_dir", "vqvae_dir", "prior_dir", "tracker"}


def _recipe(name: str, family: Family, **settings: object) -> Config:
    folders = {"out_dir": Path("checkpoints", name), "run_dir": Path("runs", name)}
    return Config(family, **folders, **settings)


LATENT2_STEPS = 6_450  # 15 epochs of 128 digits
DENSE2 = VAEConfig("dense", latent_dim=2, width=64, features=32)
CONV2 = VAEConfig("conv", latent_dim=2, width=8, depth=0, features=32)
LATENT2_NETWORKS = {"dense": DENSE2, "conv": CONV2}
RELEASED = {
    "digits-ae": _recipe(
        "digits-ae", "ae", network=AutoencoderConfig(depth=0), steps=5_000, batch_size=64
    ),
    "digits-vae": _recipe(
        "digits-vae",
        "vae",
        steps=8_000,
        batch_size=64,
        lr=1.5e-3,
        binarize=True,
        beta_warmup=1_000,
    ),
    "digits-hvae": _recipe(
        "digits-hvae", "hvae", steps=10_000, batch_size=64, lr=1.5e-3, beta_warmup=1_000
    ),
    "digits-cvae": _recipe(
        "digits-cvae", "cvae", network=CVAEConfig(width=24), steps=10_000, batch_size=64
    ),
    "digits-gan": _recipe(
        "digits-gan",
        "gan",
        steps=8_000,
        batch_size=64,
        lr=4e-4,
        ema_decay=0.9995,
        discriminator_width=24,
    ),
    "digits-diffusion": _recipe(
        "digits-diffusion",
        "diffusion",
        steps=24_000,
        batch_size=64,
        lr=1.5e-3,
        clip=1.0,
        ema_decay=0.999,
    ),
    "digits-vq": _recipe("digits-vq", "vq"),
    **{
        f"digits-latent2-{kind}-{recon}": _recipe(
            f"digits-latent2-{kind}-{recon}",
            "vae",
            steps=LATENT2_STEPS,
            network=network,
            recon=recon,
        )
        for kind, network in LATENT2_NETWORKS.items()
        for recon in ("bce", "mse", "wmse")
    },
    "digits-latent2-collapsed": _recipe(
        "digits-latent2-collapsed", "vae", steps=LATENT2_STEPS, network=CONV2, recon="mean-mse"
    ),
    "digits-latent2-ae": _recipe(
        "digits-latent2-ae",
        "ae",
        steps=LATENT2_STEPS,
        network=AutoencoderConfig(latent_dim=2, width=8, depth=0, features=32),
    ),
}


def make_model(cfg: Config) -> DigitModel:
    """The untrained network; ValueError where `network` belongs to another family."""
    cls = CLASSES[cfg.family]
    if cfg.network is not None and not isinstance(cfg.network, cls.config_class):
        raise ValueError(
            f"--network of family {cfg.family} must be {cls.config_class.__name__}, not "
            f"{type(cfg.network).__name__}"
        )
    return cls(cfg.network)


def beta_at(cfg: Config, step: int) -> float:
    """Weight of the KL term at optimizer step number `step` (from 0)."""
    return cfg.beta * min(1.0, (step + 1) / max(1, cfg.beta_warmup))


def binarized(batch: Batch) -> Tensor:
    """A Bernoulli draw of each pixel, its grey value the probability."""
    return (batch.noise.uniform(1, 28, 28) < batch.x).float()


def autoencoder_losses(
    cfg: Config, network: nn.Module, model: Autoencoder, batch: Batch, step: int
) -> dict[str, Tensor]:
    """Reconstruction."""
    return losses.autoencoder_loss(network(batch.x), batch.x, cfg.recon)


def vae_losses(
    cfg: Config, network: nn.Module, model: VAE, batch: Batch, step: int
) -> dict[str, Tensor]:
    """Negative beta-ELBO."""
    x = binarized(batch) if cfg.binarize else batch.x
    out = network(x, batch.noise.normal(model.config.latent_dim))
    return losses.elbo(out, x, beta_at(cfg, step), cfg.recon)


def hierarchical_losses(
    cfg: Config, network: nn.Module, model: HierarchicalVAE, batch: Batch, step: int
) -> dict[str, Tensor]:
    """Negative beta-ELBO of the hidden pixels given the observed ones, masks drawn at random."""
    x, hole = binarized(batch), sample_masks(batch.noise)
    out = network(x, hole, batch.noise.normal(model.latent_dim))
    return losses.hierarchical_elbo(out, x, hole, beta_at(cfg, step))


def cvae_losses(
    cfg: Config, network: nn.Module, model: CVAE, batch: Batch, step: int
) -> dict[str, Tensor]:
    """Negative beta-ELBO given the class, and the classifier's cross-entropy."""
    out = network(batch.x, batch.labels, batch.noise.normal(model.config.latent_dim))
    return losses.cvae_elbo(out, batch.x, batch.labels, beta_at(cfg, step), cfg.label_weight)


def diffusion_losses(
    cfg: Config, network: nn.Module, model: Diffusion, batch: Batch, step: int
) -> dict[str, Tensor]:
    """Weighted squared error of the predicted noise at a timestep drawn at random."""
    levels = alpha_bars(model.config.schedule).to(batch.x.device)
    level = levels[batch.noise.integers(TIMESTEPS)]
    eps = batch.noise.normal(1, 28, 28)
    signal = level[:, None, None, None]
    x_t = signal.sqrt() * (batch.x * 2 - 1) + (1 - signal).sqrt() * eps
    dropped = batch.noise.uniform() < cfg.p_label_dropout
    labels = torch.where(dropped, UNCONDITIONAL, batch.labels)
    return losses.diffusion_loss(network(x_t, level, labels), eps, level)


OBJECTIVES: dict[Family, Callable[..., dict[str, Tensor]]] = {
    "ae": autoencoder_losses,
    "vae": vae_losses,
    "hvae": hierarchical_losses,
    "cvae": cvae_losses,
    "diffusion": diffusion_losses,
}
