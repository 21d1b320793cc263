"""Training losses of the face models: pure functions, each term named, in the unit stated."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from models.faces.base import VAEOutput

MIN_VARIANCE = 1e-6


def published_elbo(
    out: VAEOutput, x: Float[Tensor, "b 3 s s"], beta: float
) -> dict[str, Float[Tensor, ""]]:
    """1/2 ||x - x'||^2 + beta KL, summed over pixels and latents, mean over the batch.

    Paunovic 2023; in nats up to a constant, the decoder a Gaussian of variance 1.
    """
    recon = 0.5 * (out.image - x).square().flatten(1).sum(1).mean()
    kl = out.posterior.kl().mean()
    return {"loss": recon + beta * kl, "recon": recon, "kl": kl}


def pixel_nll(image: Float[Tensor, "b 3 s s"], x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, ""]:
    """-log p(x | z) in nats/image of a Gaussian with the variance that fits best, up to a constant.

    The optimal sigma-VAE (Rybkin et al. 2021): D/2 log MSE, so that no weight of the KL term has
    to be found by hand. The variance is the whole batch's.
    """
    mse = (image - x).square().mean().clamp(min=MIN_VARIANCE)
    return 0.5 * x[0].numel() * mse.log()


def discriminator_hinge(
    real: Sequence[Float[Tensor, "b ..."]], fake: Sequence[Float[Tensor, "b ..."]]
) -> Float[Tensor, ""]:
    """Hinge loss of photographs against decoded faces, mean over the heads (Lim and Ye 2017)."""
    terms = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def generator_hinge(fake: Sequence[Float[Tensor, "b ..."]]) -> Float[Tensor, ""]:
    """Minus the discriminator's opinion of decoded faces, mean over the heads."""
    return -torch.stack([f.mean() for f in fake]).mean()


def flow_matching(
    velocity: Float[Tensor, "b *s"], z: Float[Tensor, "b *s"], noise: Float[Tensor, "b *s"]
) -> Float[Tensor, ""]:
    """Mean squared error of the velocity of straight paths, z - noise (Lipman et al. 2023)."""
    return (velocity - (z - noise)).square().mean()
