"""Where test digits lie on the map of a model with two latent dimensions.

`python -m training.digits.latent_map --data-dir DIR` writes latents.json beside the weights of
every such checkpoint; `train_digits.py` does so at its end. Positions and classes, no pictures.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models import checkpoint
from models.digits.autoencoder import Autoencoder
from models.digits.base import DigitModel
from models.digits.vae import VAE
from training.data import mnist
from training.digits.config import RELEASED
from training.digits.dataset import to_images
from training.digits.recording import json_bytes
from training.engine.cli import run

FILE = "latents.json"
POINTS = 2_000  # the first of the test split
LEVELS = 1_000  # equal parts of each axis that positions are rounded to


@dataclass(frozen=True)
class Config:
    """Which maps are written."""

    names: tuple[str, ...] = tuple(name for name in RELEASED if "latent2" in name)
    """Checkpoints; one that is not there yet is left out."""
    data_dir: Path = Path("data")
    """Folder that holds MNIST/."""
    checkpoints: Path = Path("checkpoints")


def is_plane(model: DigitModel) -> bool:
    """Whether the model has one latent vector of two numbers a picture."""
    return isinstance(model, Autoencoder | VAE) and model.config.latent_dim == 2


@torch.no_grad()
def latent_map(
    model: Autoencoder | VAE, images: Float[Tensor, "n 1 28 28"], labels: Int64[Tensor, " n"]
) -> dict[str, Any]:
    """Positions of pictures: {"low", "high", "levels", "points": [[x, y, class], ...], ...}.

    x and y are whole numbers from 0 to "levels", which stand for "low" to "high" of either axis. A
    VAE's point is the mean of q(z | x). "kl" is the mean KL(q(z | x) || p(z)) in nats, None for an
    autoencoder; "squared_error" that of the reconstruction, summed over pixels.
    """
    z = model.encode(images)
    low, high = z.amin(0), z.amax(0)
    cells = ((z - low) / (high - low).clamp(min=1e-9) * LEVELS).round().long()
    kl = float(model.posterior(images).kl().mean()) if isinstance(model, VAE) else None
    error = (model.decode(z) - images).square().flatten(1).sum(1).mean()
    return {
        "low": low.tolist(),
        "high": high.tolist(),
        "levels": LEVELS,
        "kl": kl,
        "squared_error": float(error),
        "points": torch.cat([cells, labels[:, None]], 1).tolist(),
    }


def write(folder: Path, data_dir: Path) -> None:
    """Write the map of a checkpoint, of its weights as they are saved."""
    images, labels = (part[:POINTS] for part in mnist.load(data_dir, "test"))
    content = latent_map(checkpoint.load(folder), to_images(images), torch.from_numpy(labels))
    checkpoint.write(folder, {FILE: json_bytes(content)})


def main(cfg: Config) -> None:
    """Write the map of each checkpoint."""
    for name in cfg.names:
        folder = cfg.checkpoints / name
        if (folder / checkpoint.CONFIG).is_file():
            write(folder, cfg.data_dir)


if __name__ == "__main__":
    run(main, Config)
