"""Which pixels are hidden when the hierarchical VAE learns to fill in."""

import torch
from jaxtyping import Float
from torch import Tensor

from models.digits.base import SIDE
from models.digits.hierarchical import quadrant_mask
from training.digits.dataset import Noise

# probabilities of: all pixels hidden; 1, 2 and 3 quadrants observed; a rectangle hidden
P_KINDS = (0.35, 0.15, 0.15, 0.2, 0.15)
RECTANGLE_PX = (8, 21)  # range of a hidden rectangle's sides


def sample_masks(noise: Noise) -> Float[Tensor, "b 1 28 28"]:
    """A mask for each picture of a batch, 1 where pixels are hidden."""
    kind_u, *rectangle_u = noise.uniform(5).unbind(1)
    bounds = torch.tensor(P_KINDS, device=kind_u.device).cumsum(0)[:-1]
    kinds = torch.bucketize(kind_u.contiguous(), bounds, right=True)
    fixed = torch.stack([quadrant_mask(n) for n in range(4)]).float().to(kind_u.device)
    least, most = RECTANGLE_PX
    height, width = ((least + u * (most - least)).floor() for u in rectangle_u[:2])
    top, left = (
        (u * (SIDE + 1 - side)).floor()
        for u, side in zip(rectangle_u[2:], (height, width), strict=True)
    )
    axis = torch.arange(SIDE, device=kind_u.device)
    rows = (axis >= top[:, None]) & (axis < (top + height)[:, None])
    columns = (axis >= left[:, None]) & (axis < (left + width)[:, None])
    rectangles = (rows[:, :, None] & columns[:, None, :]).float()
    masks = torch.where((kinds < 4)[:, None, None], fixed[kinds.clamp(max=3)], rectangles)
    return masks[:, None]
