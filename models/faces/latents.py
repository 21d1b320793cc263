"""Paths between latent vectors, and directions in which one attribute of a face changes."""

from collections.abc import Collection, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

PARALLEL = 1e-3  # radians from 0 or pi within which a great circle is not defined well
RIDGE = 1e-3  # of the variances of the scores, so that dependent attributes can be solved for


def lerp(
    a: Float[Tensor, "*b d"], b: Float[Tensor, "*b d"], t: float | Tensor
) -> Float[Tensor, "*b d"]:
    """The straight line from `a` (t = 0) to `b` (t = 1)."""
    return a + t * (b - a)


def slerp(
    a: Float[Tensor, "*b d"], b: Float[Tensor, "*b d"], t: float | Tensor
) -> Float[Tensor, "*b d"]:
    """The great circle from `a` to `b`, the length changing evenly (Shoemake 1985; White 2016).

    The straight line where the two are (anti)parallel or one is zero.
    """
    lengths = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    cosine = (a * b).sum(-1, keepdim=True) / (lengths[0] * lengths[1]).clamp(min=1e-12)
    angle = cosine.clamp(-1, 1).acos()
    plain = (angle < PARALLEL) | (torch.pi - angle < PARALLEL)
    plain = plain | (torch.minimum(*lengths) == 0)
    sine = torch.where(plain, torch.ones_like(angle), angle.sin())
    unit_a, unit_b = (
        v / length.clamp(min=1e-12) for v, length in zip((a, b), lengths, strict=True)
    )
    arc = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / sine
    return torch.where(plain, lerp(a, b, t), arc * lerp(*lengths, t))


class AttributeDirections(nn.Module):
    """A linear score of each attribute, and the smallest move that changes scores as asked.

    Scores are ridge regressions on the encoded training faces, scaled to mean 0 and standard
    deviation 1 as if half of the faces had the attribute. Many latent vectors have the scores that
    are asked for; the one nearest in the metric of the faces' own covariance C (Mahalanobis) is
    the most likely one, and is linear: C W' (W C W')^-1 (change), W the directions of changed and
    kept attributes. Kept attributes are so orthogonal to the move: their scores stay.
    """

    def __init__(self, names: tuple[str, ...], latent_dim: int):
        super().__init__()
        self.names, count = names, len(names)
        self.register_buffer("weights", torch.zeros(count, latent_dim))
        self.register_buffer("offsets", torch.zeros(count))
        self.register_buffer("spreads", torch.zeros(count, latent_dim))  # weights @ C
        self.register_buffer("class_means", torch.zeros(count, 2))
        self.register_buffer("aucs", torch.zeros(count))
        self.register_buffer("gains", torch.ones(count))  # of a score by decoding and encoding

    def scores(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """How much each face has of each attribute, in standard deviations of the faces."""
        return z @ self.weights.T + self.offsets

    def move(
        self, changes: Mapping[str, float | Tensor], keep: Collection[str] = ()
    ) -> Float[Tensor, "*b d"]:
        """What to add to a latent vector so that each score changes by `changes[name]`.

        A change is a number, or a tensor (b) of one for each face.
        """
        kept = [name for name in keep if name not in changes]
        chosen = [self.names.index(name) for name in [*changes, *kept]]
        rows, spread = self.weights[chosen], self.spreads[chosen]
        gram = spread @ rows.T
        gram = gram + RIDGE * torch.diag(gram.diagonal())
        values = [
            torch.as_tensor(v, dtype=rows.dtype, device=rows.device) for v in changes.values()
        ]
        wanted = torch.stack([*values, *(torch.zeros_like(values[0]) for _ in kept)], -1)
        return torch.linalg.solve(gram, wanted.unsqueeze(-1)).squeeze(-1) @ spread
