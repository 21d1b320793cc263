"""Improved precision and recall of generated pictures (Kynkaanniemi et al. 2019)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

CHUNK = 1_000  # rows of the distance matrix at a time


def manifold_radii(features: Float[Tensor, "n d"], k: int) -> Float[Tensor, " n"]:
    """Distance of each point to its k-th nearest neighbour among the others."""
    # the nearest of all is the point itself
    parts = [
        torch.cdist(part, features).kthvalue(k + 1, dim=1).values for part in features.split(CHUNK)
    ]
    return torch.cat(parts)


def in_manifold(
    points: Float[Tensor, "m d"], features: Float[Tensor, "n d"], radii: Float[Tensor, " n"]
) -> Bool[Tensor, " m"]:
    """Whether each point lies in the ball of at least one of the features."""
    parts = [(torch.cdist(part, features) <= radii).any(1) for part in points.split(CHUNK)]
    return torch.cat(parts)


def precision_recall(
    real: Float[Tensor, "n d"], generated: Float[Tensor, "m d"], k: int = 3
) -> tuple[float, float]:
    """Fraction of generated pictures in the real manifold, and of real ones in the generated one.

    A manifold is the union of balls around its points, each as large as the distance to the k-th
    nearest neighbour. Both sets should be of one size: precision and recall depend on it.
    """
    if min(len(real), len(generated)) <= k:
        raise ValueError(
            f"precision and recall with k = {k} need more than {k} points in each set, not "
            f"{len(real)} and {len(generated)}"
        )
    precision = in_manifold(generated, real, manifold_radii(real, k)).float().mean()
    recall = in_manifold(real, generated, manifold_radii(generated, k)).float().mean()
    return float(precision), float(recall)
