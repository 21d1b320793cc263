"""The conditional VAE of a digit given its class (Sohn et al. 2015), its prior p(z | y) learnt."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from models.digits.base import (
    CLASSES,
    DigitModel,
    standard_normal,
    validate_images,
    validate_labels,
    validate_latents,
)
from models.digits.latents import PIXEL_STD, fit_latent
from models.digits.networks import ConvDecoder, ConvEncoder
from models.distributions import DiagonalGaussian


@dataclass(frozen=True)
class CVAEConfig:
    """Rebuilds the network; saved beside the weights."""

    latent_dim: int = 16
    width: int = 32
    """Channels at 14x14; twice as many at 7x7."""
    depth: int = 1
    """Residual blocks at each resolution, in the encoder and in the decoder."""
    features: int = 128
    """Size of the encoder's last hidden layer."""
    label_dim: int = 16
    """Size of the class embedding that the decoder reads."""

    def __post_init__(self):
        if min(self.latent_dim, self.width, self.features, self.label_dim) < 1 or self.depth < 0:
            raise ValueError(f"sizes must be positive and depth at least 0, not {self}")


class CVAEOutput(NamedTuple):
    """Logits of the pixels, q(z | x, y), p(z | y), and logits of q(y | x)."""

    logits: Float[Tensor, "b 1 28 28"]
    posterior: DiagonalGaussian
    prior: DiagonalGaussian
    label_logits: Float[Tensor, "b 10"]


class CVAE(DigitModel):
    """p(x | z, y) Bernoulli; p(z | y) and q(z | x, y) diagonal Gaussians; q(y | x) a classifier.

    Where a method needs the class of a picture and none is given, it is the most probable one of
    q(y | x), as in the semi-supervised model of Kingma et al. 2014.
    """

    config_class = CVAEConfig

    def __init__(self, config: CVAEConfig | None = None):
        super().__init__()
        self.config = c = config or CVAEConfig()
        self.encoder = ConvEncoder(c.width, c.depth, c.features)
        self.label_head = nn.Linear(c.features, CLASSES)
        self.posterior_label = nn.Embedding(CLASSES, c.features)
        self.posterior_head = nn.Linear(c.features, 2 * c.latent_dim)
        self.prior_embed = nn.Embedding(CLASSES, 2 * c.latent_dim)
        nn.init.zeros_(self.prior_embed.weight)
        self.label_embed = nn.Embedding(CLASSES, c.label_dim)
        self.decoder = ConvDecoder(c.latent_dim + c.label_dim, c.width, c.depth)

    def prior(self, labels: Int64[Tensor, " b"]) -> DiagonalGaussian:
        """p(z | y)."""
        mu, logvar = self.prior_embed(labels).float().chunk(2, 1)
        return DiagonalGaussian(mu, logvar)

    def _posterior(self, h: Tensor, labels: Int64[Tensor, " b"]) -> DiagonalGaussian:
        """q(z | x, y) from the encoder's features."""
        h = h * (1 + self.posterior_label(labels))
        mu, logvar = self.posterior_head(h).float().chunk(2, 1)
        return DiagonalGaussian(mu, logvar.clamp(-12, 8))

    def posterior(
        self, x: Float[Tensor, "b 1 28 28"], labels: Int64[Tensor, " b"]
    ) -> DiagonalGaussian:
        """q(z | x, y)."""
        return self._posterior(self.encoder(x), labels)

    def decode_logits(
        self, z: Float[Tensor, "b z"], labels: Int64[Tensor, " b"]
    ) -> Float[Tensor, "b 1 28 28"]:
        """Logits of the pixels."""
        return self.decoder(torch.cat([z, self.label_embed(labels).to(z)], 1)).float()

    def forward(
        self,
        x: Float[Tensor, "b 1 28 28"],
        labels: Int64[Tensor, " b"],
        noise: Float[Tensor, "b z"] | None = None,
    ) -> CVAEOutput:
        """Training pass: encode, draw one z (of this standard normal noise, if given), decode."""
        h = self.encoder(x)
        posterior = self._posterior(h, labels)
        logits = self.decode_logits(posterior.sample(noise), labels)
        return CVAEOutput(logits, posterior, self.prior(labels), self.label_head(h).float())

    @torch.no_grad()
    def predict_label(self, images: Tensor) -> Int64[Tensor, " b"]:
        """The most probable class of each picture."""
        validate_images(images)
        return self.label_head(self.encoder(images.to(self.device))).argmax(1)

    @torch.no_grad()
    def encode(self, images: Tensor, labels: Tensor | None = None) -> Float[Tensor, "b z"]:
        """The posterior means of pictures in [0, 1], of these classes or the predicted ones."""
        validate_images(images)
        return self.posterior(images.to(self.device), self._classes(images, labels)).mu

    @torch.no_grad()
    def decode(self, z: Tensor, labels: Tensor) -> Float[Tensor, "b 1 28 28"]:
        """Pixel means, in [0, 1], of latent vectors and classes."""
        validate_latents(z, self.config.latent_dim)
        validate_labels(labels, len(z))
        return self.decode_logits(z.to(self.device), labels.to(self.device)).sigmoid()

    @torch.no_grad()
    def transfer_style(
        self, images: Tensor, targets: Tensor, labels: Tensor | None = None
    ) -> Float[Tensor, "b 1 28 28"]:
        """Digits of the classes `targets`, each in the style of its picture.

        The style is the latent vector relative to its class: (z - mu_y) / sigma_y.
        """
        validate_images(images)
        validate_labels(targets, len(images))
        own, others = (
            self.prior(classes.to(self.device))
            for classes in (self._classes(images, labels), targets)
        )
        style = (self.encode(images, labels) - own.mu) * (-0.5 * own.logvar).exp()
        return self.decode(others.sample(style), targets)

    def _classes(self, images: Tensor, labels: Tensor | None) -> Int64[Tensor, " b"]:
        if labels is None:
            return self.predict_label(images)
        validate_labels(labels, len(images))
        return labels.to(self.device)

    def _sample(
        self, labels: Int64[Tensor, " n"] | None, count: int, temperature: float | int, seed: int
    ) -> Tensor:
        noise = standard_normal(count, self.config.latent_dim, seed=seed).to(self.device)
        return self.decode(self.prior(labels).sample(noise, temperature), labels)

    def _reconstruct(self, images: Tensor) -> Tensor:
        labels = self.predict_label(images)
        return self.decode(self.posterior(images, labels).mu, labels)

    def _denoise(self, images: Tensor, sigma: float | int, seed: int) -> Tensor:
        return self._fit(images, sigma**-2)

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        return self._fit(images, (~hole).float() / PIXEL_STD**2)

    def _fit(self, target: Tensor, weight: Tensor | float) -> Tensor:
        """The decoded most probable z of the class that fits each picture best."""
        b = len(target)
        labels = torch.arange(CLASSES, device=self.device).repeat_interleave(b)
        prior, targets = self.prior(labels), target.repeat(CLASSES, 1, 1, 1)
        start = self.posterior(targets.clamp(0, 1), labels).mu

        def energy(z: Tensor) -> Tensor:
            return -prior.log_prob(z)

        z = fit_latent(
            lambda z: self.decode_logits(z, labels), start, targets, weight, energy, steps=40
        )
        decoded = self.decode(z, labels)
        error = 0.5 * ((decoded - targets).square() * weight).flatten(1).sum(1) + energy(z)
        best = error.view(CLASSES, b).argmin(0)
        return decoded.view(CLASSES, b, 1, 28, 28)[best, torch.arange(b, device=self.device)]
