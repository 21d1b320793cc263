"""A hierarchical conditional VAE of the hidden pixels of a digit given the observed ones.

With nothing observed it is an unconditional hierarchical VAE; with one, two or three quadrants
observed it is the structured prediction of Sohn et al. 2015. The latent variables lie on grids and
are inferred from the top down (ladder VAE, Sonderby et al. 2016; Child 2021).
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
from models.distributions import DiagonalGaussian

CHUNK = 256  # pictures evaluated at a time


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
    groups: tuple[int, int] = (4, 2)
    """Groups of latent variables at 7x7, sampled first, and at 14x14."""
    channels: tuple[int, int] = (4, 1)
    """Latent channels of each group, at 7x7 and at 14x14."""

    def __post_init__(self):
        if min(*self.widths, *self.groups, *self.channels) < 1:
            raise ValueError(f"widths, groups and channels must be positive, not {self}")


class HierarchicalOutput(NamedTuple):
    """Logits of the pixels, and KL(q || p) of each group in nats."""

    logits: Float[Tensor, "b 1 28 28"]
    kl: Float[Tensor, "b g"]


class Pyramid(nn.Module):
    """Features of a picture and its mask at 14x14 and at 7x7."""

    def __init__(self, widths: tuple[int, int], depth: int):
        super().__init__()
        w1, w2 = widths
        self.fine = nn.Sequential(nn.Conv2d(2, w1, 4, 2, 1), *(ResBlock(w1) for _ in range(depth)))
        self.coarse = nn.Sequential(
            nn.SiLU(), nn.Conv2d(w1, w2, 4, 2, 1), *(ResBlock(w2) for _ in range(depth))
        )

    def forward(self, x: Float[Tensor, "b 1 28 28"], hole: Float[Tensor, "b 1 28 28"]):
        """(b, w2, 7, 7) and (b, w1, 14, 14)."""
        fine = self.fine(torch.cat([x * 2 - 1, hole], 1))
        return self.coarse(fine), fine


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


class HierarchicalVAE(DigitModel):
    """p(x_hidden | x_observed), Bernoulli pixels, latent variables in groups.

    It knows no classes: labels of `sample` are refused.
    """

    config_class = HierarchicalVAEConfig
    uses_labels = False

    def __init__(self, config: HierarchicalVAEConfig | None = None):
        super().__init__()
        self.config = c = config or HierarchicalVAEConfig()
        (w1, w2), (n2, n1), (c2, c1) = c.widths, c.groups, c.channels
        self.inference = Pyramid(c.widths, 1)
        self.condition = Pyramid(c.widths, 0)
        self.top = nn.Parameter(torch.zeros(1, w2, 7, 7))
        self.coarse = nn.ModuleList(Group(w2, c2) for _ in range(n2))
        self.up = nn.Sequential(nn.SiLU(), nn.Conv2d(w2, 4 * w1, 1), nn.PixelShuffle(2))
        self.fine = nn.ModuleList(Group(w1, c1) for _ in range(n1))
        self.out = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(w1, 2 * w1, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(w1 // 2, 1, 3, padding=1),
        )
        init_convolutions(self)
        for group in (*self.coarse, *self.fine):  # all distributions start near N(0, I)
            for layer in (group.prior[-1], group.posterior[-1]):
                nn.init.normal_(layer.weight, std=0.01)

    @property
    def latent_dim(self) -> int:
        """Number of all latent variables."""
        return sum(self._sizes())

    def _sizes(self) -> list[int]:
        (n2, n1), (c2, c1) = self.config.groups, self.config.channels
        return n2 * [c2 * 7**2] + n1 * [c1 * 14**2]

    def _descend(
        self, x: Tensor | None, observed: Tensor, hole: Tensor, noise: list[Tensor], levels: int
    ) -> tuple[Tensor, list[tuple[Tensor, DiagonalGaussian, DiagonalGaussian | None]]]:
        """Logits, and of each group z, p and q; the first `levels` groups see `x`."""
        given = self.condition(observed, hole)
        seen = self.inference(x, hole) if x is not None else (None, None)
        h, found = self.top + given[0], []
        for stage, groups in enumerate((self.coarse, self.fine)):
            if stage == 1:
                h = self.up(h) + given[1]
            for group in groups:
                features, p = group.p(h)
                q = group.q(h, seen[stage]) if len(found) < levels else None
                z = (q or p).sample(noise[len(found)])
                found.append((z, p, q))
                h = group.add(h, features, z)
        return self.out(h).float(), found

    def forward(
        self,
        x: Float[Tensor, "b 1 28 28"],
        hole: Float[Tensor, "b 1 28 28"],
        noise: Float[Tensor, "b z"],
    ) -> HierarchicalOutput:
        """Training pass; `hole` is 1 where pixels are hidden from the prior and the decoder."""
        parts = list(noise.split(self._sizes(), 1))
        logits, found = self._descend(x, x * (1 - hole), hole, parts, len(parts))
        return HierarchicalOutput(logits, torch.stack([q.kl(p) for _, p, q in found], 1))

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
        k = len(noise)
        batch, holes = x.expand(k, 1, -1, -1), hole.expand(k, 1, -1, -1)
        parts = list(noise.split(self._sizes(), 1))
        logits, found = self._descend(batch, batch * (1 - holes), holes, parts, len(parts))
        nats = F.binary_cross_entropy_with_logits(logits, batch, reduction="none") * holes
        ratios = [p.log_prob(z) - q.log_prob(z) for z, p, q in found]
        return torch.stack(ratios).sum(0) - nats.flatten(1).sum(1)

    def _sample(
        self, labels: Int64[Tensor, " n"] | None, count: int, temperature: float | int, seed: int
    ) -> Tensor:
        if labels is not None:
            raise ValueError(
                f"label must be None for this model, which knows no classes, not {int(labels[0])}"
            )
        noise = temperature * standard_normal(count, self.latent_dim, seed=seed).to(self.device)
        hole = torch.ones(count, 1, SIDE, SIDE, device=self.device)
        parts = list(noise.split(self._sizes(), 1))
        return self._descend(None, torch.zeros_like(hole), hole, parts, 0)[0].sigmoid()

    def _reconstruct(self, images: Tensor) -> Tensor:
        return self._from_posterior(images, len(self._sizes()))

    def _denoise(self, images: Tensor, sigma: float | int, seed: int) -> Tensor:
        """The posterior means of the groups at 7x7 only: the finer ones would follow the noise."""
        return self._from_posterior(images.clamp(0, 1), self.config.groups[0])

    def _from_posterior(self, images: Tensor, levels: int) -> Tensor:
        """Pixel means given the means of q in the first `levels` groups and of p in the others."""
        hole = torch.ones_like(images)
        noise = [images.new_zeros(len(images), size) for size in self._sizes()]
        return self._descend(images, torch.zeros_like(images), hole, noise, levels)[0].sigmoid()

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        holes = hole.float().expand(len(images), 1, -1, -1)
        noise = standard_normal(len(images), self.latent_dim, seed=seed).to(self.device)
        parts = list(noise.split(self._sizes(), 1))
        return self._descend(None, images, holes, parts, 0)[0].sigmoid()
