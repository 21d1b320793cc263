"""The generator of a class-conditional GAN (Goodfellow et al. 2014, Mirza and Osindero 2014)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import init_convolutions
from models.digits.base import (
    CLASSES,
    DigitModel,
    standard_normal,
    validate_labels,
    validate_latents,
)
from models.digits.latents import PIXEL_STD, fit_latent
from models.digits.networks import GRID, GRID_CHANNELS, ConditionalBlock

STARTS = 4  # latent vectors of each class that `reconstruct`, `denoise` and `inpaint` start from
REFINED = 3  # best of these starts that are fitted


@dataclass(frozen=True)
class GANConfig:
    """Rebuilds the generator; saved beside the weights."""

    latent_dim: int = 64
    width: int = 32
    """Channels at 14x14; twice as many at 7x7."""
    depth: int = 1
    """Residual blocks at each resolution."""
    label_dim: int = 32
    """Size of the class embedding."""

    def __post_init__(self):
        if min(self.latent_dim, self.width, self.label_dim) < 1 or self.depth < 1:
            raise ValueError(f"sizes and depth must be positive, not {self}")


class GAN(DigitModel):
    """Noise and a class to a picture. It has no encoder: pictures are inverted by optimising z."""

    config_class = GANConfig

    def __init__(self, config: GANConfig | None = None):
        super().__init__()
        self.config = c = config or GANConfig()
        condition = c.latent_dim + c.label_dim
        self.label_embed = nn.Embedding(CLASSES, c.label_dim)
        self.stem = nn.Linear(condition, GRID_CHANNELS * GRID**2)
        self.widen = nn.Conv2d(GRID_CHANNELS, 2 * c.width, 3, padding=1)
        self.coarse = nn.ModuleList(
            ConditionalBlock(2 * c.width, condition) for _ in range(c.depth)
        )
        self.up = nn.Sequential(
            nn.SiLU(), nn.Conv2d(2 * c.width, 4 * c.width, 1), nn.PixelShuffle(2)
        )
        self.fine = nn.ModuleList(ConditionalBlock(c.width, condition) for _ in range(c.depth))
        self.out = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(c.width, 2 * c.width, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(c.width // 2, 1, 3, padding=1),
        )
        init_convolutions(self)

    def forward(
        self, z: Float[Tensor, "b z"], labels: Int64[Tensor, " b"]
    ) -> Float[Tensor, "b 1 28 28"]:
        """Logits of the pixels of generated digits."""
        condition = torch.cat([z, self.label_embed(labels).to(z)], 1)
        h = F.silu(self.stem(condition)).unflatten(1, (GRID_CHANNELS, GRID, GRID))
        h = self.widen(h)
        for block in self.coarse:
            h = block(h, condition)
        h = self.up(h)
        for block in self.fine:
            h = block(h, condition)
        return self.out(h).float()

    @torch.no_grad()
    def decode(self, z: Tensor, labels: Tensor) -> Float[Tensor, "b 1 28 28"]:
        """Generated digits in [0, 1] of latent vectors and classes."""
        validate_latents(z, self.config.latent_dim)
        validate_labels(labels, len(z))
        return self(z.to(self.device), labels.to(self.device)).sigmoid()

    def _sample(
        self, labels: Int64[Tensor, " n"] | None, count: int, temperature: float | int, seed: int
    ) -> Tensor:
        noise = temperature * standard_normal(count, self.config.latent_dim, seed=seed)
        return self.decode(noise, labels)

    def _reconstruct(self, images: Tensor) -> Tensor:
        return self._invert(images, 1 / PIXEL_STD**2, 0)

    def _denoise(self, images: Tensor, sigma: float | int, seed: int) -> Tensor:
        return self._invert(images, sigma**-2, seed)

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        return self._invert(images, (~hole).float() / PIXEL_STD**2, seed)

    def _invert(self, target: Tensor, weight: Tensor | float, seed: int) -> Tensor:
        """The decoded most probable (z, y): random starts, the best of them fitted."""
        starts = standard_normal(CLASSES * STARTS, self.config.latent_dim, seed=seed, stream=1)
        starts = starts.to(self.device)
        start_labels = torch.arange(CLASSES, device=self.device).repeat(STARTS)
        first = self.decode(starts, start_labels)
        error = ((first - target[:, None, 0, None]).square() * weight).flatten(2).sum(2)
        pick = error.topk(REFINED, 1, largest=False).indices.T.flatten()
        labels, targets = start_labels[pick], target.repeat(REFINED, 1, 1, 1)
        z = fit_latent(lambda z: self(z, labels), starts[pick], targets, weight, _energy, steps=100)
        decoded = self.decode(z, labels)
        error = 0.5 * ((decoded - targets).square() * weight).flatten(1).sum(1) + _energy(z)
        best = error.view(REFINED, -1).argmin(0)
        rows = torch.arange(len(target), device=self.device)
        return decoded.view(REFINED, -1, 1, 28, 28)[best, rows]


def _energy(z: Float[Tensor, "b z"]) -> Float[Tensor, " b"]:
    """-log p(z) of a standard normal up to a constant, in nats."""
    return 0.5 * z.square().sum(1)
