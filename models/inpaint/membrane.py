"""Membrane composition: shift a fill by a harmonic function so that it meets the hole's border.

The mismatch at the border is interpolated into the hole by Laplace's equation (Perez et al. 2003;
Farbman et al. 2011), solved by multigrid. All steps are linear in fill and photo, differentiable,
and independent of the photo's pixels in the hole.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

CYCLES = 3  # V-cycles at the finest level, the first after nested iteration
OVERCORRECTION = 1.5  # of a coarser level's correction, which is too small by up to a half
SWEEPS = 2  # Jacobi steps before and after each correction by a coarser level
COARSEST_SWEEPS = 10
COARSEST_SIZE = 4  # px; a level of this side or of an odd one is the coarsest
DAMPING = 0.8  # of a Jacobi step
SMOOTHING_PX = 1.5  # standard deviation of the Gaussian along the border


class Level(NamedTuple):
    """Laplace's equation on one grid: diagonal u - sum of weights times neighbours = right side.

    `right[..., y, x]` is the weight between (y, x) and (y, x + 1), `down` that between (y, x) and
    (y + 1, x); weights to known pixels are only in the diagonal. `step` is a damped Jacobi step,
    0 outside the hole.
    """

    right: Float[Tensor, "b 1 h w1"]
    down: Float[Tensor, "b 1 h1 w"]
    diagonal: Float[Tensor, "b 1 h w"]
    step: Float[Tensor, "b 1 h w"]


def attach(
    fill: Float[Tensor, "b c h w"],
    image: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "b 1 h w"],
    cycles: int = CYCLES,
) -> Float[Tensor, "b c h w"]:
    """`image` with the fill in the hole (mask 1), shifted by a membrane to meet its border.

    Not clamped: a clamp would stop gradients in training. Without a border (a mask of 0 or of 1
    everywhere) the fill stays as it is. The fill counts only in the hole: nothing trains a decoder
    outside. `cycles` as in `harmonic`.
    """
    count = _neighbour_sum(mask)
    border = (count > 0) & (mask < 0.5)
    inside = _neighbour_sum(fill * mask) / count.clamp(min=1)
    mismatch = torch.where(border, image - inside, 0.0)
    membrane = harmonic(_smooth_along(mismatch, border.to(mask)), mask, cycles)
    return torch.where(mask > 0.5, fill + membrane, image)


def harmonic(
    values: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"], cycles: int = CYCLES
) -> Float[Tensor, "b c h w"]:
    """The harmonic function in the hole (mask 1) that continues the values around it; 0 elsewhere.

    Each pixel is the mean of its neighbours, up to the solver's error of about 1 % of the largest
    value after three `cycles` (about 5 % after one); beyond the picture's edge there are none
    (Neumann condition). `values` inside the hole are ignored.
    """
    hole = mask * F.max_pool2d(1 - mask, mask.shape[-2:])  # without a border nothing is known
    rhs = _neighbour_sum(values * (1 - mask)) * hole
    return _Harmonic.apply(rhs, hole, cycles)


class _Harmonic(torch.autograd.Function):
    """Solves Laplace's equation; the operator is symmetric, so its gradient is a solution too."""

    @staticmethod
    def forward(ctx: Any, rhs: Tensor, hole: Tensor, cycles: int) -> Tensor:
        ctx.save_for_backward(hole)
        ctx.cycles = cycles
        return _solve(_levels(hole), rhs, cycles)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (hole,) = ctx.saved_tensors
        return _solve(_levels(hole), gradient * hole, ctx.cycles), None, None


def _solve(levels: list[Level], rhs: Float[Tensor, "b c h w"], cycles: int) -> Tensor:
    """Nested iteration with the first V-cycle, then the others."""
    u = _nested_iteration(levels, rhs)
    for _ in range(cycles - 1):
        u = u + _v_cycle(levels, _residual(levels[0], u, rhs))
    return u


def _levels(hole: Float[Tensor, "b 1 h w"]) -> list[Level]:
    """From the finest to the coarsest: half the Galerkin operator of 2x2 blocks.

    With block-wise constant functions the Galerkin operator is twice too stiff for smooth errors
    (Braess 1995). A right side is halved too, so that known values keep their weight.
    """
    right, down = hole[..., 1:] * hole[..., :-1], hole[..., 1:, :] * hole[..., :-1, :]
    known = (_neighbour_sum(torch.ones_like(hole)) - _neighbour_sum(hole)) * hole
    levels = []
    while True:
        diagonal = known + F.pad(right, (1, 0)) + F.pad(right, (0, 1))
        diagonal = diagonal + F.pad(down, (0, 0, 1, 0)) + F.pad(down, (0, 0, 0, 1))
        step = torch.where(diagonal > 0, DAMPING / diagonal.clamp(min=1e-6), 0.0)
        levels.append(Level(right, down, diagonal, step))
        h, w = diagonal.shape[-2:]
        if min(h, w) <= COARSEST_SIZE or h % 2 or w % 2:
            return levels
        # Twice the mean over a side is half the sum over a block.
        right = F.avg_pool2d(right[..., 1::2], (2, 1))
        down = F.avg_pool2d(down[..., 1::2, :], (1, 2))
        known = 2 * F.avg_pool2d(known, 2)


def _nested_iteration(levels: list[Level], rhs: Float[Tensor, "b c h w"]) -> Tensor:
    """Solve a coarser level first, then one V-cycle from its solution."""
    if len(levels) == 1:
        return _v_cycle(levels, rhs)
    u = _prolong(_nested_iteration(levels[1:], 2 * F.avg_pool2d(rhs, 2)), levels[0])
    return u + _v_cycle(levels, _residual(levels[0], u, rhs))


def _v_cycle(levels: list[Level], rhs: Float[Tensor, "b c h w"]) -> Tensor:
    """An approximate solution, starting from 0."""
    level = levels[0]
    u = level.step * rhs
    for _ in range((SWEEPS if len(levels) > 1 else COARSEST_SWEEPS) - 1):
        u = torch.addcmul(u, level.step, _residual(level, u, rhs))
    if len(levels) > 1:
        residual = _residual(level, u, rhs)
        u = u + _prolong(
            _v_cycle(levels[1:], 2 * OVERCORRECTION * F.avg_pool2d(residual, 2)), level
        )
        for _ in range(SWEEPS):
            u = torch.addcmul(u, level.step, _residual(level, u, rhs))
    return u


def _prolong(coarse: Float[Tensor, "b c h2 w2"], level: Level) -> Tensor:
    """Bilinear interpolation, 0 outside the hole."""
    fine = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.where(level.diagonal > 0, fine, 0.0)


def _residual(level: Level, u: Float[Tensor, "b c h w"], rhs: Float[Tensor, "b c h w"]) -> Tensor:
    """Right side minus the operator applied to u, within the hole."""
    residual = torch.addcmul(rhs, level.diagonal, u, value=-1)
    residual[..., :-1].addcmul_(level.right, u[..., 1:])
    residual[..., 1:].addcmul_(level.right, u[..., :-1])
    residual[..., :-1, :].addcmul_(level.down, u[..., 1:, :])
    residual[..., 1:, :].addcmul_(level.down, u[..., :-1, :])
    return residual


def _neighbour_sum(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The sum of the four neighbours within the picture."""
    x = F.pad(x, (1, 1, 1, 1))
    return x[..., 1:-1, 2:] + x[..., 1:-1, :-2] + x[..., 2:, 1:-1] + x[..., :-2, 1:-1]


def _smooth_along(
    values: Float[Tensor, "b c h w"], border: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b c h w"]:
    """Gaussian mean of the values along the border."""
    offset = torch.arange(-4, 5, device=values.device).to(values)
    gaussian = (-(offset**2) / (2 * SMOOTHING_PX**2)).exp()

    def blur(x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)[:, None]
        flat = F.conv2d(flat, gaussian[None, None, None], padding=(0, 4))
        flat = F.conv2d(flat, gaussian[None, None, :, None], padding=(4, 0))
        return flat[:, 0].view_as(x)

    return blur(values) / blur(border).clamp(min=1e-6) * border
