"""The paper's sketch CVAE (Cvrk et al.): the published design that ours is measured against."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.distributions import DiagonalGaussian


@dataclass(frozen=True)
class SketchCVAEConfig:
    """Rebuilds the network; saved beside the weights."""

    image_size: int = 64
    latent_dim: int = 512
    channels: tuple[int, int, int] = (32, 64, 8)

    def __post_init__(self):
        if self.image_size % 4 or self.image_size < 8:
            raise ValueError(f"image_size must be a multiple of 4, at least 8: {self.image_size}")


class SketchCVAEOutput(NamedTuple):
    """Logits of every pixel's ink, q(z|x, y) and p(z|y)."""

    logits: Float[Tensor, "b 1 h w"]
    posterior: DiagonalGaussian
    prior: DiagonalGaussian


class GaussianEncoder(nn.Module):
    """Three blocks of two convolutions, average pooling after the first two, two linear heads."""

    def __init__(self, inputs: int, config: SketchCVAEConfig):
        super().__init__()
        layers: list[nn.Module] = []
        for i, width in enumerate(config.channels):
            before = config.channels[i - 1] if i else inputs
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.AvgPool2d(2)] if i < 2 else [nn.Flatten()]
        self.body = nn.Sequential(*layers)
        flat = config.channels[-1] * (config.image_size // 4) ** 2
        self.mu, self.logvar = (
            nn.Linear(flat, config.latent_dim),
            nn.Linear(flat, config.latent_dim),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> DiagonalGaussian:
        """The Gaussian of z, in float32."""
        h = self.body(x)
        return DiagonalGaussian(self.mu(h).float(), self.logvar(h).float())


class SketchCVAE(nn.Module):
    """p(x|y) = integral of p(x|z, y) p(z|y), y the partial sketch; trained through q(z|x, y)."""

    config_class = SketchCVAEConfig

    def __init__(self, config: SketchCVAEConfig = SketchCVAEConfig()):
        super().__init__()
        self.config = config
        first, second, last = config.channels
        self.posterior, self.prior = GaussianEncoder(2, config), GaussianEncoder(1, config)
        self.project = nn.Linear(config.latent_dim, last * (config.image_size // 4) ** 2)
        self.upsample = nn.Sequential(
            nn.ConvTranspose2d(last + 1, second, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(first, 1, 3, padding=1),
        )

    def encode(
        self, x: Float[Tensor, "b 1 h w"], partial: Float[Tensor, "b 1 h w"]
    ) -> DiagonalGaussian:
        """q(z|x, y)."""
        return self.posterior(torch.cat([x, partial], 1))

    def decode(
        self, z: Float[Tensor, "b z"], partial: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """Logits of p(x|z, y)."""
        side = self.config.image_size // 4
        h = self.project(z).view(len(z), -1, side, side)
        return self.upsample(torch.cat([h, F.avg_pool2d(partial, 4)], 1)).float()

    def forward(
        self,
        x: Float[Tensor, "b 1 h w"],
        partial: Float[Tensor, "b 1 h w"],
        noise: Float[Tensor, "b z"] | None = None,
    ) -> SketchCVAEOutput:
        """Training pass: both encoders, one z from the posterior, decode."""
        posterior, prior = self.encode(x, partial), self.prior(partial)
        return SketchCVAEOutput(self.decode(posterior.sample(noise), partial), posterior, prior)

    @torch.inference_mode()
    def complete(
        self,
        partial: Float[Tensor, "h w"],
        count: int = 16,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n h w"]:
        """`count` ink probabilities from p(z|y); `temperature` scales the prior's sigma."""
        prior = self.prior(partial[None, None])
        noise = torch.randn(
            count, self.config.latent_dim, generator=torch.Generator().manual_seed(seed)
        )
        z = DiagonalGaussian(prior.mu.expand_as(noise), prior.logvar.expand_as(noise))
        partials = partial.expand(count, 1, *partial.shape)
        return self.decode(z.sample(noise, temperature), partials).sigmoid()[:, 0].maximum(partial)
