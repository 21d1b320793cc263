"""Diagonal Gaussian distributions and Gumbel noise."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class DiagonalGaussian(NamedTuple):
    """N(mu, diag(exp(logvar))); the last dimension is the latent one."""

    mu: Float[Tensor, "*b z"]
    logvar: Float[Tensor, "*b z"]

    def sample(
        self, noise: Float[Tensor, "*b z"] | None = None, temperature: float = 1.0
    ) -> Float[Tensor, "*b z"]:
        """mu + temperature * sigma * noise; fresh standard normal noise where none is given."""
        noise = torch.randn_like(self.mu) if noise is None else noise
        return self.mu + temperature * (0.5 * self.logvar).exp() * noise

    def log_prob(self, z: Float[Tensor, "*b z"]) -> Float[Tensor, "*b"]:
        """Log density of `z` in nats, summed over the latent dimension."""
        squared = (z - self.mu) ** 2 * (-self.logvar).exp()
        return -0.5 * (squared + self.logvar + torch.tensor(2 * torch.pi).log()).sum(-1)

    def kl(self, other: "DiagonalGaussian | None" = None) -> Float[Tensor, "*b"]:
        """KL(self || other) in nats; `other` is N(0, 1) where none is given."""
        if other is None:
            return 0.5 * (self.mu**2 + self.logvar.exp() - 1 - self.logvar).sum(-1)
        ratio = (self.logvar - other.logvar).exp()
        distance = (self.mu - other.mu) ** 2 * (-other.logvar).exp()
        return 0.5 * (ratio + distance - 1 + other.logvar - self.logvar).sum(-1)


def gumbel(count: int, length: int, seed: int) -> Float[Tensor, "n l"]:
    """Gumbel noise; the first rows do not depend on `count`."""
    uniform = torch.rand(count, length, generator=torch.Generator().manual_seed(seed))
    return -torch.log(-torch.log(uniform))
