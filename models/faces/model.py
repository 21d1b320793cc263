"""The two-stage VAE of faces: an autoencoder with a map of latents, then a prior over them.

Dai and Wipf 2019, "Diagnosing and Enhancing VAE Models": the encoded faces fill only a part of
N(0, I), so that decoding its samples gives blurred mixtures. A second model of the encoded faces
themselves is what makes new faces: here a transformer trained by flow matching (Lipman et al.
2023), conditional on attributes.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, TransformerBlock, init_convolutions, init_transformer
from models.distributions import DiagonalGaussian
from models.faces.base import FaceModel
from models.faces.latents import AttributeDirections
from models.faces.vae import FacesVAE, PlainVAE

UNKNOWN, OFF, ON = range(3)  # what the prior is told of an attribute
FREQUENCIES = 32  # of the sinusoidal embedding of time


@dataclass(frozen=True)
class TwoStageVAEConfig:
    """Rebuilds the network; saved beside the weights."""

    attributes: tuple[str, ...] = ()
    """CelebA's names: conditions of the prior, and directions."""
    image_size: int = 128
    widths: tuple[int, ...] = (24, 48, 96, 128, 160, 160)
    """Channels of the decoder at each resolution, the pictures' own first."""
    encoder_widths: tuple[int, ...] = (24, 40, 64, 96, 128, 144)
    latent_channels: int = 32
    prior_width: int = 128
    prior_depth: int = 6
    prior_heads: int = 4
    prior_steps: int = 10
    """Heun steps of a sample, two evaluations each."""
    guidance: float = 1.5
    """Of the prior towards attributes that are asked for; 1 is none (Ho and Salimans 2022)."""

    def __post_init__(self):
        if len(self.widths) != len(self.encoder_widths) or len(self.widths) < 2:
            raise ValueError("widths and encoder_widths must be as many, at least two")
        if self.image_size % 2 ** (len(self.widths) - 1):
            raise ValueError(f"image_size must be a multiple of {2 ** (len(self.widths) - 1)}")
        if self.prior_width % self.prior_heads:
            raise ValueError("prior_width must be a multiple of prior_heads")

    @property
    def latent_side(self) -> int:
        """Side of the map of latents."""
        return self.image_size // 2 ** (len(self.widths) - 1)

    @property
    def latent_dim(self) -> int:
        """Numbers in the map of latents."""
        return self.latent_channels * self.latent_side**2


class LatentPrior(nn.Module):
    """The velocity of flow matching over maps of latents: a transformer over their positions."""

    def __init__(self, config: TwoStageVAEConfig):
        super().__init__()
        width, positions = config.prior_width, config.latent_side**2
        self.inputs = nn.Linear(config.latent_channels, width)
        self.position = nn.Parameter(0.02 * torch.randn(positions, width))
        self.time = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.attribute_embed = nn.Parameter(0.02 * torch.randn(len(config.attributes), 3, width))
        self.conditions = nn.ModuleList(nn.Linear(width, width) for _ in range(config.prior_depth))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, config.prior_heads) for _ in range(config.prior_depth)
        )
        self.norm, self.outputs = nn.LayerNorm(width), nn.Linear(width, config.latent_channels)
        init_transformer(self, config.prior_depth)
        nn.init.zeros_(self.outputs.weight)

    def forward(
        self,
        z: Float[Tensor, "b c h w"],
        time: Float[Tensor, " b"],
        attributes: Int64[Tensor, "b k"],
    ) -> Float[Tensor, "b c h w"]:
        """dz/dt at `time` in [0, 1], noise being at 0 and faces at 1.

        `attributes` holds UNKNOWN, OFF or ON.
        """
        rates = torch.exp(torch.linspace(0, 5, FREQUENCIES, device=z.device))
        angles = time[:, None] * rates * torch.pi
        condition = self.time(torch.cat([angles.cos(), angles.sin()], 1))
        one_hot = F.one_hot(attributes, 3).to(self.attribute_embed)
        condition = F.silu(condition + torch.einsum("bkv,kvd->bd", one_hot, self.attribute_embed))
        h = self.inputs(z.flatten(2).transpose(1, 2)) + self.position
        for project, block in zip(self.conditions, self.blocks, strict=True):
            h = block(h + project(condition)[:, None])
        return self.outputs(self.norm(h)).transpose(1, 2).reshape(z.shape).float()


class TwoStageVAE(FaceModel):
    """A VAE with perceptual and adversarial training, and a flow-matching prior."""

    config_class = TwoStageVAEConfig

    def __init__(self, config: TwoStageVAEConfig | None = None):
        super().__init__()
        self.config = c = config or TwoStageVAEConfig()
        self.encoder, self.decoder = _encoder(c), _decoder(c)
        init_convolutions(self)
        self.prior = LatentPrior(c)
        self.register_buffer("latent_mean", torch.zeros(c.latent_dim))
        self.register_buffer("latent_std", torch.ones(c.latent_dim))
        self.directions = AttributeDirections(c.attributes, c.latent_dim)

    def posterior(self, x: Float[Tensor, "b 3 s s"]) -> DiagonalGaussian:
        """q(z | x), the map of latents flattened."""
        mu, logvar = self.encoder(x * 2 - 1).float().flatten(1).chunk(2, 1)
        return DiagonalGaussian(mu, logvar.clamp(-12, 8))

    def _decode(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 s s"]:
        """Not clamped, so that training sees what goes beyond [0, 1]."""
        return self.decoder(self.as_map(z)).float() * 0.5 + 0.5

    def as_map(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        """Latent vectors as maps."""
        side = self.config.latent_side
        return z.view(-1, self.config.latent_channels, side, side)

    def _sample_latents(
        self, noise: Float[Tensor, "n d"], attributes: dict[str, bool], temperature: float
    ) -> Float[Tensor, "n d"]:
        """Heun's method from noise to faces."""
        z, steps = self.as_map(temperature * noise), self.config.prior_steps
        told = torch.full((len(z), len(self.config.attributes)), UNKNOWN, device=z.device)
        for name, on in attributes.items():
            told[:, self.config.attributes.index(name)] = ON if on else OFF
        for i in range(steps):
            now, dt = i / steps, 1 / steps
            first = self._velocity(z, now, told)
            second = self._velocity(z + dt * first, now + dt, told)
            z = z + dt * (first + second) / 2
        return z.flatten(1) * self.latent_std + self.latent_mean

    def _velocity(
        self, z: Float[Tensor, "n c h w"], time: float, told: Int64[Tensor, "n k"]
    ) -> Float[Tensor, "n c h w"]:
        """With and without the attributes in one batch where some are asked for."""
        if not (told != UNKNOWN).any():
            return self.prior(z, z.new_full((len(z),), time), told)
        both = torch.cat([told, torch.full_like(told, UNKNOWN)])
        velocity = self.prior(z.repeat(2, 1, 1, 1), z.new_full((2 * len(z),), time), both)
        asked, free = velocity.chunk(2)
        return free + self.config.guidance * (asked - free)


class Upsample(nn.Sequential):
    """Each pixel four times, then a 3x3 convolution: no checkerboard (Odena et al. 2016)."""

    def __init__(self, channels: int, out: int):
        super().__init__(nn.Upsample(scale_factor=2), nn.Conv2d(channels, out, 3, padding=1))


def _encoder(c: TwoStageVAEConfig) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, c.encoder_widths[0], 3, padding=1)]
    for width, out in pairwise(c.encoder_widths):
        layers += [nn.SiLU(), nn.Conv2d(width, out, 4, 2, 1), ResBlock(out)]
    last = nn.Conv2d(c.encoder_widths[-1], 2 * c.latent_channels, 3, padding=1)
    return nn.Sequential(*layers, nn.SiLU(), last)


def _decoder(c: TwoStageVAEConfig) -> nn.Sequential:
    widths = c.widths[::-1]
    layers: list[nn.Module] = [nn.Conv2d(c.latent_channels, widths[0], 3, padding=1)]
    layers += [ResBlock(widths[0]), ResBlock(widths[0])]
    for width, out in pairwise(widths):
        layers += [nn.SiLU(), Upsample(width, out), ResBlock(out)]
    return nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(widths[-1], 3, 3, padding=1))


MODELS = (TwoStageVAE, FacesVAE, PlainVAE)
