"""The two published VAEs of faces, as their authors wrote them: the baselines."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from models.distributions import DiagonalGaussian
from models.faces.base import FaceModel
from models.faces.latents import AttributeDirections


@dataclass(frozen=True)
class PublishedVAEConfig:
    """Rebuilds the network; saved beside the weights."""

    attributes: tuple[str, ...] = ()
    """CelebA's names, of which there are directions."""
    latent_dim: int = 128
    image_size: ClassVar[int] = 64

    def __post_init__(self):
        if self.latent_dim < 1:
            raise ValueError(f"latent_dim must be positive, not {self.latent_dim}")


@dataclass(frozen=True)
class PlainVAEConfig(PublishedVAEConfig):
    """Rebuilds the network; saved beside the weights."""

    latent_dim: int = 100


class PublishedVAE(FaceModel):
    """An encoder to mean and log-variance, a decoder to pixels; p(z) = N(0, I)."""

    def __init__(self, config: PublishedVAEConfig):
        super().__init__()
        self.config = config
        self.directions = AttributeDirections(config.attributes, config.latent_dim)

    def posterior(self, x: Float[Tensor, "b 3 64 64"]) -> DiagonalGaussian:
        """q(z | x)."""
        mu, logvar = self.encoder(x).float().chunk(2, 1)
        return DiagonalGaussian(mu, logvar.clamp(-12, 8))

    def _decode(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 64 64"]:
        return self.decoder(z).float().sigmoid()


class FacesVAE(PublishedVAE):
    """Paunovic 2023: three 4x4 stride-2 convolutions of 32, two dense layers of 256, mirrored."""

    config_class = PublishedVAEConfig

    def __init__(self, config: PublishedVAEConfig | None = None):
        super().__init__(config or PublishedVAEConfig())
        layers: list[nn.Module] = []
        for channels in (3, 32, 32):
            layers += [nn.Conv2d(channels, 32, 4, 2, 1), nn.ReLU()]
        flat, d = 32 * 8**2, self.config.latent_dim
        dense = [nn.Linear(flat, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, nn.Flatten(), *dense, nn.Linear(256, 2 * d))
        dense = [nn.Linear(d, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
        dense += [nn.Linear(256, flat), nn.ReLU(), nn.Unflatten(1, (32, 8, 8))]
        layers = []
        for channels in (32, 32):
            layers += [nn.ConvTranspose2d(32, channels, 4, 2, 1), nn.ReLU()]
        self.decoder = nn.Sequential(*dense, *layers, nn.ConvTranspose2d(32, 3, 4, 2, 1))


class PlainVAE(PublishedVAE):
    """The network of Hou et al. 2017, "Deep Feature Consistent VAE", with a plain pixel loss."""

    config_class = PlainVAEConfig

    def __init__(self, config: PlainVAEConfig | None = None):
        super().__init__(config or PlainVAEConfig())
        layers: list[nn.Module] = []
        widths = (3, 32, 64, 128, 256)
        for channels, out in pairwise(widths):
            layers += [nn.Conv2d(channels, out, 4, 2, 1), nn.BatchNorm2d(out), nn.LeakyReLU(0.2)]
        flat, d = 256 * 4**2, self.config.latent_dim
        self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 2 * d))
        layers = [nn.Linear(d, flat), nn.Unflatten(1, (256, 4, 4))]
        for channels, out in zip((256, 128, 64), (128, 64, 32), strict=True):
            layers += [nn.Upsample(scale_factor=2), resize_conv(channels, out)]
            layers += [nn.BatchNorm2d(out, eps=1e-3), nn.LeakyReLU(0.2)]
        self.decoder = nn.Sequential(*layers, nn.Upsample(scale_factor=2), resize_conv(32, 3))


def resize_conv(channels: int, out: int) -> nn.Conv2d:
    """A 3x3 convolution that repeats the border's pixels."""
    return nn.Conv2d(channels, out, 3, padding=1, padding_mode="replicate")


MODELS = (FacesVAE, PlainVAE)
