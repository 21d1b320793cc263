"""The Frechet distance between two sets of features."""

import numpy as np
from jaxtyping import Float


def frechet_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Frechet distance of the Gaussians fitted to two sets of features (Heusel et al. 2017)."""
    mean_a, mean_b = a.mean(0, dtype=np.float64), b.mean(0, dtype=np.float64)
    cov_a, cov_b = np.cov(a.astype(np.float64).T), np.cov(b.astype(np.float64).T)
    root = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real.clip(min=0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * root)
