"""Outputs and targets -> {"loss": ..., named terms}, in nats/image: sums, means over the batch."""

from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from models.sketch.cvae import SketchCVAEOutput
from models.sketch.stroke_prior import PointLogits
from models.sketch.tokens import END, Points
from training.likelihoods import bernoulli_nll, continuous_bernoulli_nll

Likelihood = Literal["bernoulli", "continuous"]
LABEL_WEIGHT = 20.0  # the label has few nats beside the points' hundreds, and must be learnt too


def cvae_elbo(
    out: SketchCVAEOutput,
    x: Float[Tensor, "b 1 h w"],
    likelihood: Likelihood = "bernoulli",
    beta: float = 1.0,
) -> dict[str, Tensor]:
    """Negative conditional ELBO, recon + beta KL(q(z|x, y) || p(z|y)) (Sohn et al. 2015)."""
    nll = bernoulli_nll if likelihood == "bernoulli" else continuous_bernoulli_nll
    recon, kl = nll(out.logits, x).mean(), out.posterior.kl(out.prior).mean()
    return {"loss": recon + beta * kl, "recon": recon, "kl": kl}


def points_nll(logits: PointLogits, points: Points) -> Float[Tensor, " b"]:
    """-log p(points | label), summed over a sequence up to its END, in nats/drawing."""
    at_end = (points.kind == END).long()
    past_end = at_end.cumsum(1)
    grid, size = int(logits.cell.shape[-1] ** 0.5), int(logits.offset.shape[-1] ** 0.5)
    cell = points.y // size * grid + points.x // size
    offset = points.y % size * size + points.x % size

    def nll(table: Float[Tensor, "b n K"], choice: Int64[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        flat = F.cross_entropy(table.flatten(0, 1), choice.flatten(), reduction="none")
        return flat.view_as(choice)

    kind = nll(logits.kind, points.kind) * (past_end - at_end == 0)
    position = (nll(logits.cell, cell) + nll(logits.offset, offset)) * (past_end == 0)
    return (kind + position).sum(1)


def strokes_loss(
    logits: PointLogits, points: Points, label: Int64[Tensor, " b"]
) -> dict[str, Tensor]:
    """Mean of `points_nll` plus LABEL_WEIGHT times -log p(label); nats/drawing."""
    nll = points_nll(logits, points).mean()
    label_nll = F.cross_entropy(logits.label, label)
    return {"loss": nll + LABEL_WEIGHT * label_nll, "points_nll": nll, "label_nll": label_nll}
