"""From vectors to codes and back."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class FiniteScalarQuantizer(nn.Module):
    """Rounds each of D bounded channels to one of `levels[d]` values (Mentzer et al. 2024, FSQ).

    K = prod(levels) codes, none of which can die; the gradient goes straight through. For levels
    (3, 2) the vectors are {-1, 0, 1} x {-1, 1} and code = digit_0 + 3 * digit_1.
    """

    def __init__(self, levels: tuple[int, ...]):
        super().__init__()
        self.codes = 1
        for level in levels:
            self.codes *= level
        steps = torch.tensor([1, *levels[:-1]]).cumprod(0)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("steps", steps, persistent=False)

    def bound(self, h: Float[Tensor, "*b D"]) -> Float[Tensor, "*b D"]:
        """Squash each channel to 0..level-1, before rounding."""
        return (self.levels - 1) * torch.sigmoid(h)

    def forward(self, h: Float[Tensor, "*b D"]) -> Float[Tensor, "*b D"]:
        """The quantised vectors in [-1, 1], differentiable by the straight-through estimator."""
        bounded = self.bound(h)
        return self.scale(bounded + (bounded.round() - bounded).detach())

    def scale(self, digits: Float[Tensor, "*b D"]) -> Float[Tensor, "*b D"]:
        """Digits 0..level-1 to the vectors in [-1, 1]."""
        return digits * (2 / (self.levels - 1)) - 1

    def encode(self, h: Float[Tensor, "*b D"]) -> Int64[Tensor, "*b"]:
        """The code of each vector before quantisation."""
        return (self.bound(h).round().long() * self.steps).sum(-1)

    def decode(self, codes: Int64[Tensor, "*b"]) -> Float[Tensor, "*b D"]:
        """The quantised vector of each code."""
        return self.scale((codes[..., None] // self.steps % self.levels).float())
