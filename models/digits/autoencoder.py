"""The autoencoder: a deterministic code of each picture, without a prior (Hinton 2006)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from models.digits.base import DigitModel, standard_normal, validate_images, validate_latents
from models.digits.latents import PIXEL_STD, ClassGaussians, fit_latent
from models.digits.networks import ConvDecoder, ConvEncoder


@dataclass(frozen=True)
class AutoencoderConfig:
    """Rebuilds the network; saved beside the weights."""

    latent_dim: int = 32
    width: int = 32
    """Channels at 14x14; twice as many at 7x7."""
    depth: int = 1
    """Residual blocks at each resolution, in the encoder and in the decoder."""
    features: int = 128
    """Size of the vector before the latent one."""

    def __post_init__(self):
        if min(self.latent_dim, self.width, self.features) < 1 or self.depth < 0:
            raise ValueError(f"sizes must be positive and depth at least 0, not {self}")


class AutoencoderOutput(NamedTuple):
    """Logits of the pixels, and the codes."""

    logits: Float[Tensor, "b 1 28 28"]
    z: Float[Tensor, "b z"]


class Autoencoder(DigitModel):
    """A convolutional autoencoder.

    It has no prior: `sample` draws from a Gaussian that was fitted to the codes of each class.
    """

    config_class = AutoencoderConfig

    def __init__(self, config: AutoencoderConfig | None = None):
        super().__init__()
        self.config = config = config or AutoencoderConfig()
        self.encoder = ConvEncoder(config.width, config.depth, config.features)
        self.head = nn.Linear(config.features, config.latent_dim)
        self.decoder = ConvDecoder(config.latent_dim, config.width, config.depth)
        self.class_density = ClassGaussians(config.latent_dim)

    def forward(self, x: Float[Tensor, "b 1 28 28"]) -> AutoencoderOutput:
        """Training pass: encode, decode."""
        z = self.head(self.encoder(x))
        return AutoencoderOutput(self.decoder(z).float(), z.float())

    @torch.no_grad()
    def encode(self, images: Tensor) -> Float[Tensor, "b z"]:
        """The codes of pictures in [0, 1]."""
        validate_images(images)
        return self.head(self.encoder(images.to(self.device)))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Float[Tensor, "b 1 28 28"]:
        """Pictures in [0, 1] of codes."""
        validate_latents(z, self.config.latent_dim)
        return self.decoder(z.to(self.device)).sigmoid()

    def _sample(
        self, labels: Int64[Tensor, " n"] | None, count: int, temperature: float | int, seed: int
    ) -> Tensor:
        noise = temperature * standard_normal(count, self.config.latent_dim, seed=seed)
        return self.decode(self.class_density.sample(labels, noise.to(self.device)))

    def _reconstruct(self, images: Tensor) -> Tensor:
        return self(images).logits.sigmoid()

    def _denoise(self, images: Tensor, sigma: float | int, seed: int) -> Tensor:
        return self._fit(images, images.clamp(0, 1), sigma**-2)

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        return self._fit(images, images, (~hole).float() / PIXEL_STD**2)

    def _fit(self, target: Tensor, first: Tensor, weight: Tensor | float) -> Tensor:
        """Decoded codes that fit best, their density under the classes' Gaussians considered."""
        z = self.head(self.encoder(first))
        return self.decode(fit_latent(self.decoder, z, target, weight, self.class_density.energy))
