"""Negative log-likelihoods of pictures given a decoder's logits, in nats/image."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def bernoulli_nll(logits: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"]) -> Float[Tensor, " b"]:
    """-log p(x) under independent Bernoullis, improper where x is not 0 or 1; nats/image."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def log_normalizer(logits: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log C(lambda) of the continuous Bernoulli (Loaiza-Ganem and Cunningham 2019).

    log(2 atanh(1 - 2 lambda) / (1 - 2 lambda)) = log(t / tanh(t / 2)), lambda = sigmoid(t).

    Stable where lambda is near 1/2 (there the Taylor series is used) and where it saturates.
    """
    t = logits.abs()
    near = t < 0.1
    safe = torch.where(near, torch.ones_like(t), t)
    far = safe.log() - (-(-safe).expm1()).log() + (-safe).exp().log1p()
    squared = torch.where(near, t, torch.zeros_like(t)) ** 2
    series = 0.6931471805599453 + squared / 12 - 7 * squared**2 / 1440
    return torch.where(near, series, far)


def continuous_bernoulli_nll(
    logits: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"]
) -> Float[Tensor, " b"]:
    """-log density of x in [0, 1] under independent continuous Bernoullis; nats/image."""
    return bernoulli_nll(logits, x) - log_normalizer(logits).flatten(1).sum(1)
