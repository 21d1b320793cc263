"""Losses of the VQ-VAE: reconstruction, codebook and commitment, and the entropy of code usage."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from models.codes.vqvae import VQVAEOutput
from training.codes.config import Config
from training.imagenet_features import ImageNetFeatures
from training.perceptual import perceptual_loss

Average = Callable[[Tensor], Tensor]  # the mean of a tensor over all processes


def vqvae_loss(
    cfg: Config,
    out: VQVAEOutput,
    x: Float[Tensor, "b c h w"],
    codebook: Float[Tensor, "k d"],
    features: ImageNetFeatures | None = None,
    average: Average = lambda tensor: tensor,
) -> dict[str, Tensor]:
    """Weighted terms and their sum `loss`, means over the batch.

    `features` are those of the perceptual loss, for faces.
    """
    losses = reconstruction_loss(cfg, out.logits, x, features) | vq_loss(out, cfg.beta)
    if cfg.ema_codebook:
        del losses["codebook"]
    loss = sum(losses.values())
    losses["entropy"] = entropy_loss(out.z_e, codebook, cfg.entropy_temperature, average)
    return {"loss": loss + cfg.entropy_weight * losses["entropy"]} | losses


def reconstruction_loss(
    cfg: Config,
    logits: Float[Tensor, "b c h w"],
    x: Float[Tensor, "b c h w"],
    features: ImageNetFeatures | None = None,
) -> dict[str, Tensor]:
    """Cross-entropy in nats/pixel; for faces weighted squared error and perceptual loss."""
    if cfg.kind != "faces":
        return {"recon": F.binary_cross_entropy_with_logits(logits, x)}
    recon = logits.sigmoid()
    losses = {"recon": cfg.mse_weight * F.mse_loss(recon, x)}
    if features is not None:
        with torch.no_grad():
            targets = features(x)
        distance = perceptual_loss(features(recon), targets).mean()
        losses["perceptual"] = cfg.perceptual_weight * distance
    return losses


def vq_loss(out: VQVAEOutput, beta: float) -> dict[str, Tensor]:
    """||sg[z_e] - e||^2 and beta ||z_e - sg[e]||^2, mean squares (van den Oord et al., eq. 3)."""
    codebook = F.mse_loss(out.z_q, out.z_e.detach())
    commitment = F.mse_loss(out.z_e, out.z_q.detach())
    return {"codebook": codebook, "commitment": beta * commitment}


def entropy_loss(
    z_e: Float[Tensor, "b d h w"],
    codebook: Float[Tensor, "k d"],
    temperature: float,
    average: Average = lambda tensor: tensor,
) -> Float[Tensor, ""]:
    """log K minus the entropy of the mean soft assignment, nats: 0 where all codes are used alike.

    As in MAGVIT-v2 (Yu et al. 2024); `temperature` is in units of the mean squared distance to the
    codebook. The mean is over the cells of all processes.
    """
    cells = z_e.permute(0, 2, 3, 1).flatten(0, 2)
    distance = torch.cdist(cells, codebook.detach()).square()
    scale = temperature * average(distance.min(1).values.mean().detach()).clamp(min=1e-6)
    local = (-distance / scale).softmax(1).mean(0)
    # The mean over all processes, with this one's gradient: DDP averages it over them.
    p = local + (average(local.detach()) - local.detach())
    entropy = -(p * p.clamp(min=1e-9).log()).sum()
    return math.log(len(codebook)) - entropy
