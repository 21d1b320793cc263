"""The inpainting CVAE of the paper (Cosic et al.), the baseline of `models/inpaint/model.py`."""

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
    num_labels: int = 9
    """Number of labels: smile and glasses, each off, on or unknown."""
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)

    def __post_init__(self):
        if self.image_size % 16 or self.image_size < 16:
            raise ValueError(f"image_size must be a multiple of 16: {self.image_size}")


class FaceCVAEOutput(NamedTuple):
    """Logits of the whole face, and q(z | masked face)."""

    logits: Float[Tensor, "b 3 h w"]
    posterior: DiagonalGaussian


class FaceCVAE(nn.Module):
    """Encodes the masked face, decodes the whole face from z and the label."""

    config_class = FaceCVAEConfig

    def __init__(self, config: FaceCVAEConfig | None = None):
        super().__init__()
        config = config or FaceCVAEConfig()
        self.config = config
        channels, low = config.channels, config.image_size // 16
        down: list[nn.Module] = []
        for c_in, c_out in zip((3, *channels), channels, strict=False):
            down += [nn.Conv2d(c_in, c_out, 4, 2, 1), nn.BatchNorm2d(c_out), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*down, nn.Flatten())
        self.mu = nn.Linear(channels[-1] * low**2, config.latent_dim)
        self.logvar = nn.Linear(channels[-1] * low**2, config.latent_dim)
        self.label_embed = nn.Embedding(config.num_labels, config.label_dim)
        up: list[nn.Module] = [
            nn.Linear(config.latent_dim + config.label_dim, channels[-1] * low**2),
            nn.Unflatten(1, (channels[-1], low, low)),
        ]
        for c_in, c_out in zip(channels[::-1], (*channels[-2::-1], 3), strict=True):
            up += [nn.ReLU(), nn.ConvTranspose2d(c_in, c_out, 4, 2, 1)]
            up += [nn.BatchNorm2d(c_out)] if c_out != 3 else []
        self.decoder = nn.Sequential(*up)

    def encode(self, masked: Float[Tensor, "b 3 h w"]) -> DiagonalGaussian:
        """q(z | masked), in float32."""
        h = self.encoder(masked)
        return DiagonalGaussian(self.mu(h).float(), self.logvar(h).float())

    def decode(
        self, z: Float[Tensor, "b z"], attributes: Int64[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Logits of the whole face; attributes (smile, glasses) are 0 off, 1 on, 2 unknown."""
        label = self.label_embed(attributes[:, 0] * 3 + attributes[:, 1])
        return self.decoder(torch.cat([z, label], 1))

    def forward(
        self,
        masked: Float[Tensor, "b 3 h w"],
        attributes: Int64[Tensor, "b 2"],
        noise: Float[Tensor, "b z"] | None = None,
    ) -> FaceCVAEOutput:
        """Training pass: encode, sample one z, decode."""
        posterior = self.encode(masked)
        return FaceCVAEOutput(self.decode(posterior.sample(noise), attributes), posterior)
