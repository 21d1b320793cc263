"""Training losses of the digit models: pure functions, each term named, in the unit stated."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.digits.autoencoder import AutoencoderOutput
from models.digits.cvae import CVAEOutput
from models.digits.hierarchical import HierarchicalOutput
from models.digits.vae import VAEOutput

Reconstruction = Literal["bce", "mse", "wmse", "mean-mse"]
MAX_DIFFUSION_WEIGHT = 1_000.0
INK_WEIGHT = 4.0  # extra weight of a white pixel's squared error in "wmse"


def reconstruction_loss(
    logits: Float[Tensor, "b 1 28 28"], x: Float[Tensor, "b 1 28 28"], kind: Reconstruction
) -> Float[Tensor, " b"]:
    """The reconstruction term of each picture.

    bce: cross-entropy in nats, summed over the pixels. mse: squared error, summed; so a Gaussian's
    -log p(x | z) of variance 1/2 up to a constant. wmse: the same, each pixel's error weighted
    1 + INK_WEIGHT * x. mean-mse: the mean over the pixels, 784 times less: beside an unchanged KL
    term the posterior collapses to the prior.
    """
    if kind == "bce":
        nats = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return nats.flatten(1).sum(1)
    squared = (logits.sigmoid() - x).square()
    if kind == "wmse":
        squared = squared * (1 + INK_WEIGHT * x)
    return squared.flatten(1).mean(1) if kind == "mean-mse" else squared.flatten(1).sum(1)


def autoencoder_loss(
    out: AutoencoderOutput, x: Float[Tensor, "b 1 28 28"], kind: Reconstruction
) -> dict[str, Tensor]:
    """Reconstruction alone, mean over the batch."""
    recon = reconstruction_loss(out.logits, x, kind).mean()
    return {"loss": recon, "recon": recon}


def elbo(
    out: VAEOutput, x: Float[Tensor, "b 1 28 28"], beta: float, kind: Reconstruction = "bce"
) -> dict[str, Tensor]:
    """Negative beta-ELBO, mean over the batch; in nats/image with "bce" (Higgins et al. 2017)."""
    recon, kl = reconstruction_loss(out.logits, x, kind), out.posterior.kl()
    return {"loss": (recon + beta * kl).mean(), "recon": recon.mean(), "kl": kl.mean()}


def cvae_elbo(
    out: CVAEOutput,
    x: Float[Tensor, "b 1 28 28"],
    labels: Int64[Tensor, " b"],
    beta: float,
    label_weight: float,
) -> dict[str, Tensor]:
    """Negative beta-ELBO of log p(x | y) in nats/image, and the cross-entropy of q(y | x)."""
    recon = reconstruction_loss(out.logits, x, "bce")
    kl = out.posterior.kl(out.prior)
    label = F.cross_entropy(out.label_logits, labels)
    loss = (recon + beta * kl).mean() + label_weight * label
    return {"loss": loss, "recon": recon.mean(), "kl": kl.mean(), "label": label}


def hierarchical_elbo(
    out: HierarchicalOutput,
    x: Float[Tensor, "b 1 28 28"],
    hole: Float[Tensor, "b 1 28 28"],
    beta: float,
) -> dict[str, Tensor]:
    """Negative beta-ELBO of log p(x_hidden | x_observed) in nats/image."""
    nats = F.binary_cross_entropy_with_logits(out.logits, x, reduction="none") * hole
    recon, kl = nats.flatten(1).sum(1), out.kl.sum(1)
    return {"loss": (recon + beta * kl).mean(), "recon": recon.mean(), "kl": kl.mean()}


def diffusion_loss(
    eps_pred: Float[Tensor, "b 1 28 28"],
    eps: Float[Tensor, "b 1 28 28"],
    alpha_bar: Float[Tensor, " b"],
) -> dict[str, Tensor]:
    """||eps - eps_theta(x_t, t)||^2 / alpha_bar, mean over pixels and batch.

    The weight is the signal-to-noise ratio plus one for x_0 (Salimans and Ho 2022, section 4),
    MAX_DIFFUSION_WEIGHT at most. `eps`, reported, is the loss without it (Ho et al. 2020, eq. 14).
    """
    squared = (eps_pred - eps).square().flatten(1).mean(1)
    weight = (1 / alpha_bar).clamp(max=MAX_DIFFUSION_WEIGHT)
    return {"loss": (weight * squared).mean(), "eps": squared.mean()}


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Cross-entropy of real against fake, in nats (Goodfellow et al. 2014)."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """The non-saturating loss -log sigmoid(D(fake)), in nats."""
    return F.softplus(-fake_logits).mean()


def r1_penalty(
    discriminator: nn.Module, x: Float[Tensor, "b 1 28 28"], labels: Int64[Tensor, " b"]
) -> Tensor:
    """E ||grad_x D(x)||^2 on real pictures (Mescheder et al. 2018), differentiable."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x, labels).sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
