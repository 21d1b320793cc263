"""Small face models with random weights and directions, for tests."""

import torch

from models.faces.base import FaceModel
from models.faces.model import FacesVAE, PlainVAE, TwoStageVAE, TwoStageVAEConfig
from models.faces.vae import PlainVAEConfig, PublishedVAEConfig
from tabs.faces.change import LOCKS, OTHERS, SLIDERS
from tests.helpers.random_weights import randomized

NAMES = tuple(dict.fromkeys((*SLIDERS, *OTHERS, *LOCKS)))
CONFIGS = {
    TwoStageVAE: TwoStageVAEConfig(
        NAMES, 128, (4, 4, 4, 4, 8, 8), (4, 4, 4, 4, 8, 8), 4, 8, 1, 2, 2
    ),
    FacesVAE: PublishedVAEConfig(NAMES, 12),
    PlainVAE: PlainVAEConfig(NAMES, 10),
}
CLASSES = tuple(CONFIGS)


def tiny(cls: type[FaceModel], by: float = 0.05) -> FaceModel:
    """An untrained model with random weights everywhere, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = randomized(cls(CONFIGS[cls]), by).eval().requires_grad_(False)
        directions = model.directions
        directions.weights.normal_(std=model.config.latent_dim**-0.5)
        directions.spreads.copy_(directions.weights)
        directions.class_means.copy_(torch.tensor([-0.5, 0.5]).expand_as(directions.class_means))
        directions.aucs.fill_(0.9)
        return model


def images(model: FaceModel, count: int = 2) -> torch.Tensor:
    """Random pictures in [0, 1]."""
    side, generator = model.config.image_size, torch.Generator().manual_seed(1)
    return torch.rand(count, 3, side, side, generator=generator)
