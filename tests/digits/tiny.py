"""Small digit models of every family, for tests."""

import torch

from models.digits import families
from models.digits.autoencoder import Autoencoder, AutoencoderConfig
from models.digits.base import DigitModel
from models.digits.cvae import CVAE, CVAEConfig
from models.digits.diffusion import Diffusion, DiffusionConfig
from models.digits.gan import GAN, GANConfig
from models.digits.hierarchical import HierarchicalVAE, HierarchicalVAEConfig
from models.digits.vae import VAE, VAEConfig
from models.digits.vq import VQ, VQConfig
from tests.helpers.random_weights import randomized

CONFIGS = {
    Autoencoder: AutoencoderConfig(latent_dim=4, width=8, features=16),
    VAE: VAEConfig(latent_dim=4, width=8, features=16),
    HierarchicalVAE: HierarchicalVAEConfig(widths=(8, 8), groups=2, channels=2, features=8),
    CVAE: CVAEConfig(latent_dim=4, width=8, features=16, label_dim=4),
    GAN: GANConfig(latent_dim=4, width=8, label_dim=4),
    Diffusion: DiffusionConfig(widths=(8, 8), blocks=(1, 1, 1), condition_dim=16),
    VQ: VQConfig((4, 8), 1, 1, 6, 3, 8, 2, 1),
}
CLASSES = tuple(families.MODELS)


def tiny(cls: type[DigitModel], by: float = 0.1) -> DigitModel:
    """An untrained small model with random weights everywhere, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return randomized(cls(CONFIGS[cls]), by)


def tiny_plane(cls: type[Autoencoder | VAE], architecture: str = "conv") -> DigitModel:
    """The same with two latent dimensions."""
    sizes = {"latent_dim": 2, "width": 8, "features": 8, "depth": 0}
    if cls is VAE:
        sizes["architecture"] = architecture
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return randomized(cls(cls.config_class(**sizes)), 0.3).requires_grad_(False)


def images(count: int = 4, seed: int = 1) -> torch.Tensor:
    """Random pictures in [0, 1]."""
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
