"""The variational autoencoder (Kingma and Welling 2014), convolutional or fully connected."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.digits.base import (
    DigitModel,
    standard_normal,
    validate_binary,
    validate_images,
    validate_latents,
    validate_samples,
    validate_seed,
)
from models.digits.latents import PIXEL_STD, ClassGaussians, fit_latent
from models.digits.networks import ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder
from models.distributions import DiagonalGaussian

CHUNK = 512  # latent vectors decoded at a time


@dataclass(frozen=True)
class VAEConfig:
    """Rebuilds the network; saved beside the weights."""

    architecture: str = "conv"
    """conv or dense."""
    latent_dim: int = 32
    width: int = 32
    """Channels at 14x14, twice as many at 7x7; dense: units of the wider hidden layer."""
    depth: int = 1
    """Residual blocks at each resolution, in the encoder and in the decoder; dense: not used."""
    features: int = 128
    """Size of the encoder's last hidden layer."""

    def __post_init__(self):
        if self.architecture not in ("conv", "dense"):
            raise ValueError(f"architecture must be conv or dense, not {self.architecture!r}")
        if min(self.latent_dim, self.width, self.features) < 1 or self.depth < 0:
            raise ValueError(f"sizes must be positive and depth at least 0, not {self}")


class VAEOutput(NamedTuple):
    """Logits of the pixels, and q(z | x)."""

    logits: Float[Tensor, "b 1 28 28"]
    posterior: DiagonalGaussian


class VAE(DigitModel):
    """p(x | z) Bernoulli, p(z) = N(0, I), q(z | x) a diagonal Gaussian.

    The model knows no classes. With a label, `sample` draws z from a Gaussian fitted to the
    posterior samples of that class; without one, from the prior.
    """

    config_class = VAEConfig
    uses_labels = False

    def __init__(self, config: VAEConfig | None = None):
        super().__init__()
        self.config = c = config or VAEConfig()
        if c.architecture == "conv":
            self.encoder: nn.Module = ConvEncoder(c.width, c.depth, c.features)
            self.decoder: nn.Module = ConvDecoder(c.latent_dim, c.width, c.depth)
        else:
            self.encoder = DenseEncoder(c.width, c.features)
            self.decoder = DenseDecoder(c.latent_dim, c.width, c.features)
        self.head = nn.Linear(c.features, 2 * c.latent_dim)
        self.class_density = ClassGaussians(c.latent_dim)

    def posterior(self, x: Float[Tensor, "b 1 28 28"]) -> DiagonalGaussian:
        """q(z | x)."""
        mu, logvar = self.head(self.encoder(x)).float().chunk(2, 1)
        return DiagonalGaussian(mu, logvar.clamp(-12, 8))

    def forward(
        self, x: Float[Tensor, "b 1 28 28"], noise: Float[Tensor, "b z"] | None = None
    ) -> VAEOutput:
        """Training pass: encode, draw one z (of this standard normal noise, if given), decode."""
        posterior = self.posterior(x)
        return VAEOutput(self.decoder(posterior.sample(noise)).float(), posterior)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Float[Tensor, "b z"]:
        """The posterior means of pictures in [0, 1]."""
        validate_images(images)
        return self.posterior(images.to(self.device)).mu

    @torch.no_grad()
    def decode(self, z: Tensor) -> Float[Tensor, "b 1 28 28"]:
        """Pixel means, in [0, 1], of latent vectors."""
        validate_latents(z, self.config.latent_dim)
        return self.decoder(z.to(self.device)).sigmoid()

    @torch.no_grad()
    def log_likelihood(
        self, images: Tensor, samples: int = 500, seed: int = 0
    ) -> Float[Tensor, " b"]:
        """log p(x) of binarised pictures, in nats: the importance weighted bound.

        log mean_k p(x | z_k) p(z_k) / q(z_k | x) with `samples` draws (Burda et al. 2016); never
        above log p(x) on average, and equal to it in the limit. ValueError for other pictures.
        """
        validate_images(images)
        validate_binary(images)
        validate_samples(samples)
        validate_seed(seed)
        images = images.to(self.device)
        posterior = self.posterior(images)
        generator = torch.Generator().manual_seed(seed)
        bounds = []
        for i, x in enumerate(images):
            q = DiagonalGaussian(*(part[i] for part in posterior))
            noise = torch.randn(samples, self.config.latent_dim, generator=generator)
            z = q.sample(noise.to(self.device))
            log_p_x = torch.cat([self._log_p_x(x, part) for part in z.split(CHUNK)])
            log_weight = log_p_x + standard_log_prob(z) - q.log_prob(z)
            bounds.append(log_weight.logsumexp(0) - torch.tensor(float(samples)).log())
        return torch.stack(bounds)

    def _log_p_x(self, x: Float[Tensor, "1 28 28"], z: Float[Tensor, "k z"]) -> Float[Tensor, " k"]:
        """log p(x | z) of one picture under many latent vectors, in nats."""
        logits = self.decoder(z).float()
        nats = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        return -nats.flatten(1).sum(1)

    def _sample(
        self, labels: Int64[Tensor, " n"] | None, count: int, temperature: float | int, seed: int
    ) -> Tensor:
        noise = temperature * standard_normal(count, self.config.latent_dim, seed=seed)
        z = noise.to(self.device)
        return self.decode(z if labels is None else self.class_density.sample(labels, z))

    def _reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.posterior(images).mu)

    def _denoise(self, images: Tensor, sigma: float | int, seed: int) -> Tensor:
        return self._fit(images, images.clamp(0, 1), sigma**-2)

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        return self._fit(images, images, (~hole).float() / PIXEL_STD**2)

    def _fit(self, target: Tensor, first: Tensor, weight: Tensor | float) -> Tensor:
        """The decoded most probable z, from the posterior mean of `first` on."""
        start = self.posterior(first).mu
        z = fit_latent(self.decoder, start, target, weight, lambda z: -standard_log_prob(z))
        return self.decode(z)


def standard_log_prob(z: Float[Tensor, "*b z"]) -> Float[Tensor, "*b"]:
    """log N(z; 0, I) in nats."""
    zero = torch.zeros_like(z)
    return DiagonalGaussian(zero, zero).log_prob(z)
