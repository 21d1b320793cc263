"""A hierarchical conditional VAE of the hidden pixels of a digit given the observed ones.

With nothing observed it is an unconditional hierarchical VAE; with one, two or three quadrants
observed it is the structured prediction of Sohn et al. 2015. The latent variables lie on grids and
are inferred from the top down (ladder VAE, Sonderby et al. 2016; Child 2021). They hold the shape;
a pixel also depends on its neighbours before it in raster order, which hold the grain of the edges
(PixelVAE, Gulrajani et al. 2017).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions
from models.digits.base import (
    SIDE,
    DigitModel,
    standard_normal,
    validate_binary,
    validate_images,
    validate_mask,
    validate_samples,
    validate_seed,
)
from models.digits.networks import GRID
from models.distributions import DiagonalGaussian

CHUNK = 256  # pictures evaluated at a time
WINDOW = 7  # side of the window of pixels that a pixel depends on, of which those before it count
BEFORE = WINDOW**2 // 2
UNIFORM_STREAM = 1  # of the pixels' draws; the latent variables' is 0


def quadrant_mask(observed: int) -> Bool[Tensor, "28 28"]:
    """True where pixels are hidden when 0 to 3 quadrants are observed, as in Sohn et al. 2015.

    1: the lower left; 2: the left half; 3: all but the upper right.
    """
    half, hidden = SIDE // 2, torch.ones(SIDE, SIDE, dtype=torch.bool)
    if observed not in range(4):
        raise ValueError(f"observed must be 0, 1, 2 or 3 quadrants, not {observed!r}")
    if observed == 1:
        hidden[half:, :half] = False
    if observed >= 2:
        hidden[:, :half] = False
    if observed == 3:
        hidden[half:] = False
    return hidden


@dataclass(frozen=True)
class HierarchicalVAEConfig:
    """Rebuilds the network; saved beside the weights."""

    widths: tuple[int, int] = (32, 64)
    """Channels at 14x14 and at 7x7."""
    groups: int = 3
    """Groups of latent variables, each a 7x7 map, sampled one after the other."""
    channels: int = 4
    """Latent channels of each group."""
    features: int = 24
    """Channels at 28x28, of what the decoder tells about each pixel."""

    def __post_init__(self):
        if min(*self.widths, self.groups, self.channels, self.features) < 1:
            raise ValueError(f"widths, groups, channels and features must be positive, not {self}")


class HierarchicalOutput(NamedTuple):
    """Logits of the pixels, and KL(q || p) of each group in nats."""

    logits: Float[Tensor, "b 1 28 28"]
    kl: Float[Tensor, "b g"]


class Pyramid(nn.Module):
    """Features of a picture and its mask at 7x7."""

    def __init__(self, widths: tuple[int, int], depth: int):
        super().__init__()
        w1, w2 = widths
        self.body = nn.Sequential(
            nn.Conv2d(2, w1, 4, 2, 1),
            *(ResBlock(w1) for _ in range(depth)),
            nn.SiLU(),
            nn.Conv2d(w1, w2, 4, 2, 1),
            *(ResBlock(w2) for _ in range(depth)),
        )

    def forward(
        self, x: Float[Tensor, "b 1 28 28"], hole: Float[Tensor, "b 1 28 28"]
    ) -> Float[Tensor, "b w 7 7"]:
        """What the picture holds and where it is hidden."""
        return self.body(torch.cat([x * 2 - 1, hole], 1))


class Group(nn.Module):
    """One group of latent variables: its prior and posterior given what lies above it."""

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.channels = channels
        self.prior = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, width + 2 * channels, 1),
        )  # fmt: skip
        self.posterior = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, 2 * channels, 1),
        )  # fmt: skip
        self.project = nn.Conv2d(channels, width, 1)
        self.block = ResBlock(width)

    def p(self, h: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        """Features, and p(z | what is above), flattened."""
        out = self.prior(h)
        return out[:, : -2 * self.channels], self._gaussian(out[:, -2 * self.channels :])

    def q(self, h: Tensor, features: Tensor) -> DiagonalGaussian:
        """q(z | x, what is above), flattened."""
        return self._gaussian(self.posterior(h + features))

    @staticmethod
    def _gaussian(parameters: Tensor) -> DiagonalGaussian:
        mu, logvar = (part.flatten(1) for part in parameters.float().chunk(2, 1))
        return DiagonalGaussian(mu, logvar.clamp(-10, 6))

    def add(self, h: Tensor, features: Tensor, z: Float[Tensor, "b n"]) -> Tensor:
        """The state below the group."""
        grid = z.view(len(z), self.channels, *h.shape[2:])
        return self.block(h + features + self.project(grid.to(h)))


class PixelHead(nn.Module):
    """Logits of pixels from the decoder's features and the pixels before each in raster order.

    The window is the three rows above, seven pixels wide, and the three pixels to the left.
    """

    def __init__(self, features: int):
        super().__init__()
        self.context = nn.Conv2d(1, features, WINDOW, padding=WINDOW // 2)
        before = torch.zeros(WINDOW**2)
        before[:BEFORE] = 1
        self.register_buffer("before", before.view(WINDOW, WINDOW), persistent=False)
        self.hidden = nn.Linear(features, features)
        self.out = nn.Linear(features, 1)

    def forward(
        self, features: Float[Tensor, "b f 28 28"], x: Float[Tensor, "#b 1 28 28"]
    ) -> Float[Tensor, "b 1 28 28"]:
        """Logits of all pixels at once, given the true ones."""
        weight = self.context.weight * self.before
        context = F.conv2d(x * 2 - 1, weight, self.context.bias, padding=WINDOW // 2)
        return self._logits((features + context).permute(0, 2, 3, 1)).permute(0, 3, 1, 2).float()

    def _logits(self, h: Float[Tensor, "*b f"]) -> Float[Tensor, "*b 1"]:
        return self.out(F.silu(self.hidden(F.silu(h))))

    @torch.no_grad()
    def draw(
        self,
        features: Float[Tensor, "b f 28 28"],
        x: Float[Tensor, "b 1 28 28"],
        hole: Bool[Tensor, "28 28"],
        uniform: Float[Tensor, "b 28 28"],
    ) -> tuple[Float[Tensor, "b 1 28 28"], Float[Tensor, "b 1 28 28"]]:
        """Draw the pixels in the hole one by one: 1 where `uniform` is below their probability.

        Returns the drawn picture, and the probability of each drawn pixel beside the known ones.
        """
        margin, rows = WINDOW // 2, WINDOW // 2 + 1
        drawn, shown = F.pad(x[:, 0] * 2 - 1, (margin, margin, margin, 0)), x[:, 0].clone()
        weight = self.context.weight.flatten(1)[:, :BEFORE].mT
        features = features + self.context.bias[:, None, None]
        for i, j in hole.nonzero().tolist():
            window = drawn[:, i : i + rows, j : j + WINDOW].flatten(1)[:, :BEFORE]
            p = self._logits(features[:, :, i, j] + window @ weight)[:, 0].sigmoid()
            shown[:, i, j] = p
            drawn[:, i + margin, j + margin] = (uniform[:, i, j] < p).float() * 2 - 1
        return (drawn[:, None, margin:, margin:-margin] + 1) / 2, shown[:, None]


class HierarchicalVAE(DigitModel):
    """p(x_hidden | x_observed), Bernoulli pixels, latent variables in groups.

    It knows no classes: labels of `sample` are refused.
    """

    config_class = HierarchicalVAEConfig
    uses_labels = False

    def __init__(self, config: HierarchicalVAEConfig | None = None):
        super().__init__()
        self.config = c = config or HierarchicalVAEConfig()
        w1, w2 = c.widths
        self.inference = Pyramid(c.widths, 1)
        self.condition = Pyramid(c.widths, 0)
        self.top = nn.Parameter(torch.zeros(1, w2, GRID, GRID))
        self.groups = nn.ModuleList(Group(w2, c.channels) for _ in range(c.groups))
        self.up = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(w2, 4 * w1, 1),
            nn.PixelShuffle(2),
            ResBlock(w1),
            nn.SiLU(),
            nn.Conv2d(w1, 4 * c.features, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.pixels = PixelHead(c.features)
        init_convolutions(self)
        for group in self.groups:  # all distributions start near N(0, I)
            for layer in (group.prior[-1], group.posterior[-1]):
                nn.init.normal_(layer.weight, std=0.01)

    @property
    def latent_dim(self) -> int:
        """Number of all latent variables."""
        return self.config.groups * self._group_size

    @property
    def _group_size(self) -> int:
        return self.config.channels * GRID**2

    def _descend(
        self, x: Tensor | None, observed: Tensor, hole: Tensor, noise: Tensor, levels: int
    ) -> tuple[Tensor, list[tuple[Tensor, DiagonalGaussian, DiagonalGaussian | None]]]:
        """Features of the pixels, and of each group z, p and q; the first `levels` see `x`.

        One picture may go with many rows of noise.
        """
        seen = self.inference(x, hole) if x is not None else None
        h, found = self.top + self.condition(observed, hole), []
        for i, (group, part) in enumerate(
            zip(self.groups, noise.split(self._group_size, 1), strict=True)
        ):
            features, p = group.p(h)
            q = group.q(h, seen) if i < levels else None
            z = (q or p).sample(part)
            found.append((z, p, q))
            h = group.add(h, features, z)
        return self.up(h), found

    def forward(
        self,
        x: Float[Tensor, "b 1 28 28"],
        hole: Float[Tensor, "b 1 28 28"],
        noise: Float[Tensor, "b z"],
    ) -> HierarchicalOutput:
        """Training pass; `hole` is 1 where pixels are hidden from the prior and the decoder."""
        features, found = self._descend(x, x * (1 - hole), hole, noise, len(self.groups))
        kl = torch.stack([q.kl(p) for _, p, q in found], 1)
        return HierarchicalOutput(self.pixels(features, x), kl)

    @torch.no_grad()
    def log_likelihood(
        self,
        images: Tensor,
        samples: int = 500,
        seed: int = 0,
        mask: Tensor | None = None,
        precision: torch.dtype = torch.float32,
    ) -> Float[Tensor, " b"]:
        """log p(hidden pixels | observed pixels) of binarised pictures, in nats.

        The importance weighted bound with `samples` draws (Burda et al. 2016). `mask` (28, 28) is 1
        where pixels are hidden; all are where it is None. `precision` is what networks compute in.
        """
        validate_images(images)
        validate_binary(images)
        validate_samples(samples)
        validate_seed(seed)
        hole = torch.ones(SIDE, SIDE) if mask is None else validate_mask(mask).float()
        generator = torch.Generator().manual_seed(seed)
        images, hole = images.to(self.device), hole.to(self.device)
        bounds = []
        for x in images:
            weights = []
            for part in torch.arange(samples).split(CHUNK):
                noise = torch.randn(len(part), self.latent_dim, generator=generator)
                with torch.autocast(
                    self.device.type, torch.bfloat16, enabled=precision == torch.bfloat16
                ):
                    weights.append(self._log_weights(x, hole, noise.to(self.device)))
            log_weight = torch.cat(weights)
            bounds.append(log_weight.logsumexp(0) - torch.tensor(float(samples)).log())
        return torch.stack(bounds)

    def _log_weights(
        self, x: Float[Tensor, "1 28 28"], hole: Float[Tensor, "28 28"], noise: Float[Tensor, "k z"]
    ) -> Float[Tensor, " k"]:
        """log p(x, z) - log q(z | x) of draws of z for one picture."""
        x, hole = x[None], hole[None, None]
        features, found = self._descend(x, x * (1 - hole), hole, noise, len(self.groups))
        logits = self.pixels(features, x)
        nats = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        ratios = [p.log_prob(z) - q.log_prob(z) for z, p, q in found]
        return torch.stack(ratios).sum(0) - (nats * hole).flatten(1).sum(1)

    def _sample(
        self, labels: Int64[Tensor, " n"] | None, count: int, temperature: float | int, seed: int
    ) -> Tensor:
        if labels is not None:
            raise ValueError(
                f"label must be None for this model, which knows no classes, not {int(labels[0])}"
            )
        hole = torch.ones(SIDE, SIDE, dtype=torch.bool, device=self.device)
        x = torch.zeros(count, 1, SIDE, SIDE, device=self.device)
        return self._draw(x, hole, temperature, seed)

    def _draw(
        self, x: Tensor, hole: Bool[Tensor, "28 28"], temperature: float | int, seed: int
    ) -> Tensor:
        """Probabilities of the pixels in the hole, each given those drawn before it."""
        count = len(x)
        noise = temperature * standard_normal(count, self.latent_dim, seed=seed).to(x)
        holes = hole.float().expand(count, 1, -1, -1)
        features, _ = self._descend(None, x, holes, noise, 0)
        normal = standard_normal(count, SIDE, SIDE, seed=seed, stream=UNIFORM_STREAM).to(x)
        uniform = torch.special.ndtr(temperature * normal)
        return self.pixels.draw(features, x, hole, uniform)[1]

    def _reconstruct(self, images: Tensor) -> Tensor:
        return self._from_posterior(images, len(self.groups))

    def _denoise(self, images: Tensor, sigma: float | int, seed: int) -> Tensor:
        """From the posterior of the first group only: the later ones would follow the noise."""
        return self._from_posterior(images.clamp(0, 1), 1)

    def _from_posterior(self, images: Tensor, levels: int) -> Tensor:
        """Pixel probabilities given the means of q in the first `levels` groups, of p in others."""
        empty = torch.zeros_like(images)
        noise = images.new_zeros(len(images), self.latent_dim)
        features, _ = self._descend(images, empty, torch.ones_like(images), noise, levels)
        hole = torch.ones(SIDE, SIDE, dtype=torch.bool, device=images.device)
        half = torch.full_like(images[:, 0], 0.5)
        return self.pixels.draw(features, empty, hole, half)[1]

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        return self._draw(images, hole, 1.0, seed)
