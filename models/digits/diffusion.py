"""A diffusion model of digits: noise schedules, DDPM and DDIM steps, and the denoising U-Net."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import TransformerBlock, init_convolutions, spatial_attention
from models.digits.base import (
    CLASSES,
    DigitModel,
    is_integer,
    is_number,
    standard_normal,
    validate_images,
    validate_sampling,
)
from models.digits.networks import GRID, ChannelNorm, ConditionalBlock, fourier_features

UNCONDITIONAL = CLASSES  # the label's row that stands for no class
TIMESTEPS = 1000
Denoiser = Callable[[Tensor, Tensor], Tensor]  # x_t, alpha_bar (a number) -> epsilon


@dataclass(frozen=True)
class DiffusionConfig:
    """Rebuilds the network; saved beside the weights."""

    widths: tuple[int, int] = (40, 96)
    """Channels at 14x14 and at 7x7."""
    blocks: tuple[int, int, int] = (1, 1, 1)
    """Residual blocks at 14x14 on the way down, at 7x7, and at 14x14 on the way up."""
    attention_layers: int = 2
    """Transformer blocks at 7x7, after the residual ones."""
    heads: int = 4
    """Of the attention."""
    condition_dim: int = 128
    """Size of the vector made of noise level and class."""
    schedule: str = "cosine"
    """cosine or linear: of alpha_bar in training; sampling may use the other one."""
    guidance_scale: float = 1.75
    """Classifier-free guidance of samples whose class is asked for; 1 is none."""

    def __post_init__(self):
        sizes = *self.widths, *self.blocks, self.attention_layers, self.heads, self.condition_dim
        if min(sizes) < 1:
            raise ValueError(f"all sizes must be positive, not {self}")
        if self.widths[1] % self.heads:
            raise ValueError(f"heads must divide {self.widths[1]} channels, not be {self.heads}")
        validate_schedule(self.schedule)


def alpha_bars(schedule: str) -> Float[Tensor, " t"]:
    """alpha_bar_1 .. alpha_bar_T, the share of signal variance in x_t.

    linear: beta from 1e-4 to 0.02 (Ho et al. 2020). cosine: Nichol and Dhariwal 2021.
    """
    validate_schedule(schedule)
    if schedule == "linear":
        betas = torch.linspace(1e-4, 0.02, TIMESTEPS, dtype=torch.double)
    else:
        t = torch.arange(TIMESTEPS + 1, dtype=torch.double) / TIMESTEPS
        f = ((t + 0.008) / 1.008 * math.pi / 2).cos().square()
        betas = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    return (1 - betas).cumprod(0).float()


def timesteps(steps: int) -> Int64[Tensor, " s"]:
    """`steps` of the numbers T - 1 .. 0, descending: the middles of as many equal parts.

    Not the very last one, where few steps would begin with an x_0 divided by almost nothing.
    """
    middles = (torch.arange(steps, dtype=torch.double) + 0.5) * TIMESTEPS / steps
    return middles.floor().long().flip(0)


class Step(NamedTuple):
    """A state of the sampler: its alpha_bar, x_t after the step, and the predicted x_0."""

    alpha_bar: float
    x: Float[Tensor, "n c h w"]
    x0: Float[Tensor, "n c h w"]


def predict_x0(x: Tensor, eps: Tensor, alpha_bar: float) -> Tensor:
    """x_0 from x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps, clipped to [-1, 1]."""
    return ((x - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5).clamp(-1, 1)


def ddim_step(
    x: Tensor, x0: Tensor, alpha_bar: float, previous: float, eta: float, noise: Tensor
) -> Tensor:
    """x at the next lower noise level (Song et al. 2021, eq. 12).

    `previous` is alpha_bar there, 1 at the end. eta 0 is deterministic; eta 1 with all timesteps is
    `ddpm_step`.
    """
    eps = (x - alpha_bar**0.5 * x0) / (1 - alpha_bar) ** 0.5
    sigma = eta * ((1 - previous) / (1 - alpha_bar) * (1 - alpha_bar / previous)) ** 0.5
    direction = max(1 - previous - sigma**2, 0.0) ** 0.5 * eps
    return previous**0.5 * x0 + direction + sigma * noise


def ddpm_step(x: Tensor, x0: Tensor, alpha_bar: float, previous: float, noise: Tensor) -> Tensor:
    """A draw from q(x_{t-1} | x_t, x_0) (Ho et al. 2020, eq. 6 and 7)."""
    alpha = alpha_bar / previous
    beta = 1 - alpha
    mean = previous**0.5 * beta / (1 - alpha_bar) * x0
    mean = mean + alpha**0.5 * (1 - previous) / (1 - alpha_bar) * x
    variance = (1 - previous) / (1 - alpha_bar) * beta
    return mean + variance**0.5 * noise


def sample_steps(
    denoiser: Denoiser,
    x: Float[Tensor, "n c h w"],
    levels: list[float],
    eta: float | int,
    noise: Callable[[int], Tensor],
) -> Iterator[Step]:
    """DDIM from noise `x` through the alpha_bars `levels`, ascending; `noise(i)` is step i's."""
    for i, alpha_bar in enumerate(levels):
        previous = levels[i + 1] if i + 1 < len(levels) else 1.0
        x0 = predict_x0(x, denoiser(x, x.new_tensor(alpha_bar)), alpha_bar)
        fresh = noise(i) if eta > 0 else torch.zeros_like(x)
        x = ddim_step(x, x0, alpha_bar, previous, eta, fresh)
        yield Step(alpha_bar, x, x0)


class UNet(nn.Module):
    """The network inside `Diffusion.forward`, in patches of 2x2 px: 14x14, 7x7, 14x14.

    Self-attention at 7x7, as in Ho et al. 2020, makes the parts of a digit agree: with convolutions
    alone, which see a few neighbours each, samples were strokes that formed no digit.
    """

    def __init__(self, config: DiffusionConfig):
        super().__init__()
        (w1, w2), (down, middle, up), d = config.widths, config.blocks, config.condition_dim
        self.level_mlp = nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d))
        self.label_embed = nn.Embedding(CLASSES + 1, d)
        self.in_conv = nn.Conv2d(4, w1, 3, padding=1)
        self.down_blocks = nn.ModuleList(ConditionalBlock(w1, d) for _ in range(down))
        self.down = nn.Conv2d(w1, w2, 3, 2, 1)
        self.middle = nn.ModuleList(ConditionalBlock(w2, d) for _ in range(middle))
        self.attention = nn.ModuleList(
            TransformerBlock(w2, config.heads) for _ in range(config.attention_layers)
        )
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, w2, GRID, GRID))
        self.up = nn.Sequential(nn.Conv2d(w2, 4 * w1, 1), nn.PixelShuffle(2))
        self.merge = nn.Conv2d(2 * w1, w1, 1)
        self.up_blocks = nn.ModuleList(ConditionalBlock(w1, d) for _ in range(up))
        self.out = nn.Sequential(ChannelNorm(), nn.SiLU(), nn.Conv2d(w1, 4, 3, padding=1))
        init_convolutions(self)
        nn.init.zeros_(self.out[-1].weight)

    def forward(
        self,
        x: Float[Tensor, "b 1 28 28"],
        alpha_bar: Float[Tensor, " b"],
        labels: Int64[Tensor, " b"],
    ) -> Float[Tensor, "b 1 28 28"]:
        """A velocity; the network reads the noise level as half the log signal-to-noise ratio."""
        half_log_snr = 0.5 * (alpha_bar / (1 - alpha_bar)).log()
        d = self.label_embed.weight.shape[1]
        level = self.level_mlp(fourier_features(half_log_snr / 4, d))
        condition = F.silu(level + self.label_embed(labels))
        h = self.in_conv(F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last))
        for block in self.down_blocks:
            h = block(h, condition)
        skip, h = h, self.down(h)
        for block in self.middle:
            h = block(h, condition)
        h = h + self.pos_embed
        for layer in self.attention:
            h = spatial_attention(layer, h)
        h = self.merge(torch.cat([self.up(h), skip.to(h)], 1))
        for block in self.up_blocks:
            h = block(h, condition)
        return F.pixel_shuffle(self.out(h), 2).float()


class Diffusion(DigitModel):
    """Predicts epsilon; samples by DDIM or DDPM, with classifier-free guidance.

    Pictures are scaled to [-1, 1] inside. The network reads the noise level, not the number of a
    timestep, so any schedule and number of steps can be used for sampling.
    """

    config_class = DiffusionConfig

    def __init__(self, config: DiffusionConfig | None = None):
        super().__init__()
        self.config = config = config or DiffusionConfig()
        self.unet = UNet(config)

    def forward(
        self,
        x: Float[Tensor, "b 1 28 28"],
        alpha_bar: Float[Tensor, " b"],
        labels: Int64[Tensor, " b"],
    ) -> Float[Tensor, "b 1 28 28"]:
        """epsilon of noisy pictures x_t; label UNCONDITIONAL asks for no class.

        epsilon = sqrt(1 - alpha_bar) x_t + sqrt(alpha_bar) v with the network's v (Salimans and Ho
        2022), so that x_0 is as exact at high noise, where a digit's shape is decided, as at low.
        """
        level = alpha_bar[:, None, None, None]
        return (1 - level).sqrt() * x + level.sqrt() * self.unet(x, alpha_bar, labels)

    @torch.no_grad()
    def sample(
        self,
        count: int = 16,
        label: int | None = None,
        temperature: float | int = 1.0,
        seed: int = 0,
        steps: int = 20,
        guidance: float | int | None = None,
        eta: float | int = 0.0,
        schedule: str | None = None,
    ) -> Float[Tensor, "n 1 28 28"]:
        """`count` new digits of class `label`, or of any class where it is None.

        guidance w: uncond + w (cond - uncond), 0 is unconditional, 1 conditional (Ho and Salimans
        2022); None is `guidance_scale` with a label and 1 without. eta 0 is DDIM; eta 1 with 1000
        steps is DDPM. `temperature` scales all noise.
        """
        *_, last = self.trajectory(count, label, temperature, seed, steps, guidance, eta, schedule)
        return last.x0

    @torch.no_grad()
    def trajectory(
        self,
        count: int = 16,
        label: int | None = None,
        temperature: float | int = 1.0,
        seed: int = 0,
        steps: int = 20,
        guidance: float | int | None = None,
        eta: float | int = 0.0,
        schedule: str | None = None,
    ) -> list[Step]:
        """What `sample` goes through, a Step for each network evaluation, scaled to [0, 1]."""
        validate_sampling(count, label, temperature, seed)
        validate_steps(steps)
        if guidance is None:
            guidance = 1.0 if label is None else self.config.guidance_scale
        if not is_number(guidance) or not 0 <= guidance <= 10:
            raise ValueError(f"guidance must be a number from 0 to 10, not {guidance!r}")
        if not is_number(eta) or not 0 <= eta <= 1:
            raise ValueError(f"eta must be a number from 0 to 1, not {eta!r}")
        labels = self._labels(count, label, seed)
        levels = self._levels(steps, schedule)

        def noise(i: int) -> Tensor:
            fresh = standard_normal(count, 1, 28, 28, seed=seed, stream=100 + i)
            return temperature * fresh.to(self.device)

        start = temperature * standard_normal(count, 1, 28, 28, seed=seed).to(self.device)
        run = sample_steps(self.guided(labels, guidance), start, levels, eta, noise)
        return [Step(a, (x + 1) / 2, ((x0 + 1) / 2).clamp(0, 1)) for a, x, x0 in run]

    def guided(self, labels: Int64[Tensor, " n"], guidance: float | int) -> Denoiser:
        """epsilon with classifier-free guidance."""
        uncond = torch.full_like(labels, UNCONDITIONAL)

        def denoiser(x: Tensor, alpha_bar: Tensor) -> Tensor:
            level = alpha_bar.expand(len(x))
            if guidance == 0:
                return self(x, level, uncond)
            if guidance == 1:
                return self(x, level, labels)
            both = self(x.repeat(2, 1, 1, 1), level.repeat(2), torch.cat([labels, uncond]))
            with_label, without = both.chunk(2)
            return without + guidance * (with_label - without)

        return denoiser

    @torch.no_grad()
    def encode(self, images: Tensor, steps: int = 50) -> Float[Tensor, "b 1 28 28"]:
        """The noise that deterministic DDIM turns into these pictures (Song et al. 2021, 4.3)."""
        validate_images(images)
        validate_steps(steps)
        x = images.to(self.device) * 2 - 1
        path = self._levels(steps, None)[::-1]
        denoiser = self.guided(self._no_labels(len(x)), 0.0)
        x = path[0] ** 0.5 * x  # the least noisy level is entered without noise
        for here, there in pairwise(path):
            x0 = predict_x0(x, denoiser(x, x.new_tensor(here)), here)
            eps = (x - here**0.5 * x0) / (1 - here) ** 0.5
            x = there**0.5 * x0 + (1 - there) ** 0.5 * eps
        return x

    @torch.no_grad()
    def decode(self, noise: Tensor, steps: int = 50) -> Float[Tensor, "b 1 28 28"]:
        """Pictures in [0, 1] of noise, by deterministic unconditional DDIM."""
        validate_images(noise, bounded=False)
        validate_steps(steps)
        denoiser = self.guided(self._no_labels(len(noise)), 0.0)
        x = noise.to(self.device)
        *_, last = sample_steps(denoiser, x, self._levels(steps, None), 0.0, torch.zeros)
        return ((last.x0 + 1) / 2).clamp(0, 1)

    def _levels(self, steps: int, schedule: str | None) -> list[float]:
        """alpha_bar of each step, ascending: from noise to picture."""
        return alpha_bars(schedule or self.config.schedule)[timesteps(steps)].tolist()

    def _no_labels(self, count: int) -> Int64[Tensor, " n"]:
        return torch.full((count,), UNCONDITIONAL, device=self.device)

    def _reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def _denoise(self, images: Tensor, sigma: float, seed: int) -> Tensor:
        """The posterior mean in one evaluation: noise on [0, 1] is twice as large on [-1, 1]."""
        alpha_bar = 1 / (1 + 4 * sigma**2)
        x = alpha_bar**0.5 * (images * 2 - 1)
        eps = self.guided(self._no_labels(len(x)), 0.0)(x, x.new_tensor(alpha_bar))
        return (predict_x0(x, eps, alpha_bar) + 1) / 2

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        return self.repaint(images, hole, seed)

    def repaint(
        self,
        images: Float[Tensor, "b 1 28 28"],
        hole: Bool[Tensor, "28 28"],
        seed: int,
        steps: int = 25,
        resamplings: int = 4,
    ) -> Float[Tensor, "b 1 28 28"]:
        """RePaint (Lugmayr et al. 2022): at each level the known pixels are put in, noised anew.

        Each level is entered `resamplings` times, so that the hole agrees with what is around it.
        """
        known = images * 2 - 1
        levels = self._levels(steps, None)
        denoiser = self.guided(self._no_labels(len(images)), 0.0)
        stream = 10_000

        def noise() -> Tensor:
            nonlocal stream
            stream += 1
            fresh = standard_normal(len(images), 1, 28, 28, seed=seed, stream=stream)
            return fresh.to(self.device)

        x = noise()
        for i, alpha_bar in enumerate(levels):
            previous = levels[i + 1] if i + 1 < len(levels) else 1.0
            for again in range(resamplings):
                noised = alpha_bar**0.5 * known + (1 - alpha_bar) ** 0.5 * noise()
                x = torch.where(hole, x, noised)
                x0 = predict_x0(x, denoiser(x, x.new_tensor(alpha_bar)), alpha_bar)
                lower = ddim_step(x, x0, alpha_bar, previous, 1.0, noise())
                if again + 1 < resamplings and previous < 1:
                    ratio = alpha_bar / previous
                    x = ratio**0.5 * lower + (1 - ratio) ** 0.5 * noise()
            x = lower
        return (x + 1) / 2


def validate_schedule(schedule: str) -> None:
    """ValueError for a schedule that is not known."""
    if schedule not in ("cosine", "linear"):
        raise ValueError(f"schedule must be cosine or linear, not {schedule!r}")


def validate_steps(steps: int) -> None:
    """ValueError for a number of sampling steps out of 1 to 1000."""
    if not is_integer(steps) or not 1 <= steps <= TIMESTEPS:
        raise ValueError(f"steps must be an integer from 1 to {TIMESTEPS}, not {steps!r}")
