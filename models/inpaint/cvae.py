"""The paper's inpainting CVAE (Cosic et al.): the published design that ours is measured by."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.distributions import DiagonalGaussian


@dataclass(frozen=True)
class FaceCVAEConfig:
    """Rebuilds the network; saved beside the weights."""

    image_size: int = 64
    latent_dim: int = 512
    label_dim: int = 32
    states: int = 9
    """Of the label: smile and glasses, each off, on or unknown."""
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)

    def __post_init__(self):
        if self.image_size % 16 or self.image_size < 16:
            raise ValueError(f"image_size must be a multiple of 16: {self.image_size}")


class FaceCVAEOutput(NamedTuple):
    """Logits of every pixel, and q(z | the face with its hole)."""

    logits: Float[Tensor, "b 3 h w"]
    posterior: DiagonalGaussian


class FaceCVAE(nn.Module):
    """Encodes the face with its hole, decodes a whole one given the label."""

    config_class = FaceCVAEConfig

    def __init__(self, config: FaceCVAEConfig | None = None):
        super().__init__()
        config = config or FaceCVAEConfig()
        self.config = config
        widths, low = config.channels, config.image_size // 16
        down: list[nn.Module] = []
        for before, width in zip((3, *widths), widths, strict=False):
            down += [nn.Conv2d(before, width, 4, 2, 1), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*down, nn.Flatten())
        self.mu = nn.Linear(widths[-1] * low**2, config.latent_dim)
        self.logvar = nn.Linear(widths[-1] * low**2, config.latent_dim)
        self.label = nn.Embedding(config.states, config.label_dim)
        up: list[nn.Module] = [
            nn.Linear(config.latent_dim + config.label_dim, widths[-1] * low**2),
            nn.Unflatten(1, (widths[-1], low, low)),
        ]
        for before, width in zip(widths[::-1], (*widths[-2::-1], 3), strict=True):
            up += [nn.ReLU(), nn.ConvTranspose2d(before, width, 4, 2, 1)]
            up += [nn.BatchNorm2d(width)] if width != 3 else []
        self.decoder = nn.Sequential(*up)

    def encode(self, holed: Float[Tensor, "b 3 h w"]) -> DiagonalGaussian:
        """q(z | holed), in float32."""
        h = self.encoder(holed)
        return DiagonalGaussian(self.mu(h).float(), self.logvar(h).float())

    def decode(
        self, z: Float[Tensor, "b z"], attributes: Int64[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Logits of a whole face; attributes are 0 off, 1 on, 2 unknown."""
        label = self.label(attributes[:, 0] * 3 + attributes[:, 1])
        return self.decoder(torch.cat([z, label], 1))

    def forward(
        self,
        holed: Float[Tensor, "b 3 h w"],
        attributes: Int64[Tensor, "b 2"],
        noise: Float[Tensor, "b z"] | None = None,
    ) -> FaceCVAEOutput:
        """Training pass: encode, draw one z, decode."""
        posterior = self.encode(holed)
        return FaceCVAEOutput(self.decode(posterior.sample(noise), attributes), posterior)
