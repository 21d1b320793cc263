"""What the models with one latent vector a picture share: fitting z, and its density by class."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.digits.base import CLASSES

FIT_STEPS = 80
FIT_LR = 0.1
PIXEL_STD = 0.1  # assumed deviation of a clean picture from the best decoded one


@torch.enable_grad()
def fit_latent(
    decode_logits: Callable[[Tensor], Tensor],
    start: Float[Tensor, "b z"],
    target: Float[Tensor, "b 1 28 28"],
    weight: Float[Tensor, "..."] | float,
    energy: Callable[[Tensor], Tensor],
    steps: int = FIT_STEPS,
) -> Float[Tensor, "b z"]:
    """z that minimises sum(weight * (decoded - target)^2) / 2 + energy(z), by Adam from `start`.

    With weight 1 / sigma^2 and energy -log p(z) it is the most probable z of a picture with
    Gaussian noise; a weight of 0 leaves pixels of a hole out. Each picture is fitted on its own.
    """
    z = start.detach().clone()
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for step in range(1, steps + 1):
        z.requires_grad_()
        error = (decode_logits(z).sigmoid() - target).square() * weight
        (gradient,) = torch.autograd.grad(0.5 * error.sum() + energy(z).sum(), z)
        mean = mean.lerp(gradient, 0.1)
        square = square.lerp(gradient.square(), 0.01)
        direction = (mean / (1 - 0.9**step)) / ((square / (1 - 0.99**step)).sqrt() + 1e-8)
        z = z.detach() - FIT_LR * (1 - (step - 1) / steps) * direction
    return z


class ClassGaussians(nn.Module):
    """A Gaussian with full covariance for the latent vectors of each class.

    Fitted after training to encoded pictures (ex-post density estimation, Ghosh et al. 2020).
    """

    def __init__(self, latent_dim: int):
        super().__init__()
        self.mean: Tensor
        self.factor: Tensor  # lower Cholesky factors of the covariances
        self.register_buffer("mean", torch.zeros(CLASSES, latent_dim))
        self.register_buffer("factor", torch.eye(latent_dim).repeat(CLASSES, 1, 1))

    @torch.no_grad()
    def fit(self, z: Float[Tensor, "n z"], labels: Int64[Tensor, " n"]) -> None:
        """Set mean and covariance of each class from latent vectors and their labels."""
        for label in range(CLASSES):
            own = z[labels == label].double()
            if len(own) > 1:
                jitter = 1e-4 * torch.eye(z.shape[1], dtype=torch.double, device=z.device)
                self.mean[label] = own.mean(0)
                self.factor[label] = torch.linalg.cholesky(own.T.cov() + jitter)

    def sample(
        self, labels: Int64[Tensor, " n"], noise: Float[Tensor, "n z"]
    ) -> Float[Tensor, "n z"]:
        """mean + factor @ noise, by class."""
        return self.mean[labels] + (self.factor[labels] @ noise[..., None])[..., 0]

    def energy(self, z: Float[Tensor, "n z"]) -> Float[Tensor, " n"]:
        """-log density of the equal mixture of all classes, in nats."""
        offset = (z[:, None] - self.mean)[..., None]
        white = torch.linalg.solve_triangular(self.factor, offset, upper=False)[..., 0]
        log_det = self.factor.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = 0.5 * z.shape[1] * torch.tensor(2 * torch.pi).log()
        log_density = -0.5 * white.square().sum(-1) - log_det - constant
        return -(log_density.logsumexp(1) - torch.tensor(float(CLASSES)).log())
