"""What `train_faces.py` trains: settings and released recipes."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from models.faces.model import FacesVAE, PlainVAE, TwoStageVAE, TwoStageVAEConfig
from training.engine.accelerator import Precision, Tracker

Family = Literal["two-stage", "vae", "plain"]
CLASSES = {"two-stage": TwoStageVAE, "vae": FacesVAE, "plain": PlainVAE}


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    family: Family = "two-stage"
    """two-stage: ours; vae (Paunovic 2023) and plain (Hou et al. 2017): the published ones."""
    network: TwoStageVAEConfig = TwoStageVAEConfig()
    """two-stage: sizes of the networks; the attributes are taken from the data."""
    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    out_dir: Path = Path("checkpoints/faces")
    run_dir: Path = Path("runs/faces")
    """Resume state, metrics.jsonl and picture grids; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 7_000
    batch_size: int = 64
    """Faces a step, over all processes together; of the prior four times as many."""
    lr: float = 4e-4
    """Peak of the learning rate; it warms up for 200 steps and falls as a cosine to 2 %."""
    ema_decay: float = 0.998
    """two-stage: of the averaged weights, a step; the checkpoint holds these."""
    beta: float = 1.0
    """Weight of the KL term, per nat."""
    perceptual_weight: float = 1.0
    """two-stage: of the distance in ImageNet features."""
    adversarial_weight: float = 0.2
    """two-stage: of the discriminator's opinion, risen to over 1,000 steps."""
    adversarial_from: int = 600
    """two-stage: steps before the decoder hears the discriminator."""
    discriminator_warmup: int = 200
    """two-stage: for how many of those steps the discriminator learns already."""
    discriminator_lr: float = 4e-4
    prior_steps: int = 6_000
    """two-stage: steps of the prior, after those of the autoencoder."""
    prior_lr: float = 1e-3
    p_attribute_dropout: float = 0.5
    """two-stage: share of the attributes that the prior is not told."""
    p_unconditional: float = 0.15
    """two-stage: share of the faces of which it is told none."""
    precision: Precision = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between resume states and picture grids."""

    def __post_init__(self):
        counts = self.steps, self.batch_size, self.prior_steps, self.log_every, self.save_every
        if min(counts) < 1:
            raise ValueError(
                "steps, batch_size, prior_steps, log_every and save_every must be positive, not "
                + ", ".join(map(str, counts))
            )


def autoencoder_settings(cfg: Config) -> Config:
    """The same with 1 wherever only the prior depends on it: one autoencoder, many priors."""

    def without_prior(part: Any, *prefixes: str) -> Any:
        names = [f.name for f in fields(part) if f.name.startswith(prefixes)]
        return replace(part, **{name: type(getattr(part, name))(1) for name in names})

    network = without_prior(cfg.network, "prior_", "guidance")
    return without_prior(replace(cfg, network=network), "prior_", "p_")


# What of a run changes nothing of its result.
IGNORED = {"data_dir", "out_dir", "run_dir", "cache_dir", "tracker"}


def _published(name: str, family: Family) -> Config:
    """Ten epochs of 14,400 faces in batches of 64, as both sources write."""
    folders = {"out_dir": Path("checkpoints", name), "run_dir": Path("runs", name)}
    return Config(family, **folders, steps=2_250, batch_size=64, lr=5e-4)


RELEASED = {
    "faces": Config(),
    "faces-vae": _published("faces-vae", "vae"),
    "faces-plain": _published("faces-plain", "plain"),
}
