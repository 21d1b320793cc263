"""What sharpens the inpainter: a critic that tells fills from real faces, losses in the hole."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import init_convolutions

SURE = 2.0  # a logit: 88 %


class CriticOutput(NamedTuple):
    """Logits of being real: of every place (a place is 8x8 px), and of the whole face."""

    places: Float[Tensor, "b 1 h w"]
    whole: Float[Tensor, " b"]

    def score(self, mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
        """The whole's logit, and the mean of those of the places that the hole touches."""
        touched = F.adaptive_max_pool2d(mask, self.places.shape[-2:])
        touched = F.max_pool2d(touched, 3, 1, 1)
        places = (self.places * touched).sum((1, 2, 3)) / touched.sum((1, 2, 3)).clamp(min=1)
        return self.whole + places


class FaceCritic(nn.Module):
    """Convolutions without normalisation: R1 keeps them smooth (Mescheder et al. 2018)."""

    def __init__(self, widths: tuple[int, int, int] = (48, 96, 160)):
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        before = 16
        for i, width in enumerate(widths):
            layers += [nn.Conv2d(before, width, 3, 2 if i else 1, 1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
            before = width
        self.body = nn.Sequential(*layers)
        self.places = nn.Conv2d(before, 1, 1)
        self.far = nn.Sequential(nn.Conv2d(before, before, 3, 2, 1), nn.LeakyReLU(0.2))
        self.whole = nn.Linear(before, 1)
        init_convolutions(self)

    def forward(
        self, face: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> CriticOutput:
        """Logits of faces in [0, 1] with a hole that was filled, or was not."""
        h = self.body(torch.cat([face * 2 - 1, mask], 1))
        whole = self.whole(self.far(h).mean((2, 3)))[:, 0]
        return CriticOutput(self.places(h).float(), whole.float())


def critic_loss(real: Float[Tensor, " b"], drawn: Float[Tensor, " b"]) -> Tensor:
    """Each fill against the face it was made from (relativistic pairing, Huang et al. 2024)."""
    return F.softplus(drawn - real).mean()


def gradient_penalty(
    critic: nn.Module, face: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Tensor:
    """Mean squared norm of the score's gradient with respect to the face (R1 where it is real)."""
    face = face.detach().requires_grad_(True)
    score = critic(face, mask).score(mask).sum()
    (gradient,) = torch.autograd.grad(score, face, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def hole_l1(
    drawn: Float[Tensor, "b 3 h w"], real: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    """Mean absolute difference in the hole, a face."""
    return ((drawn - real).abs() * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3)))


def perceptual(drawn: list[Tensor], real: list[Tensor]) -> Float[Tensor, " b"]:
    """Mean over the maps of their mean absolute difference, each in units of its own size."""
    each = [
        (a.float() - b.float()).abs().mean((1, 2, 3)) / b.float().abs().mean((1, 2, 3))
        for a, b in zip(drawn, real, strict=True)
    ]
    return torch.stack(each).mean(0)


def wish_loss(
    logits: Float[Tensor, "b k"], asked: Bool[Tensor, "b k"], counts: Bool[Tensor, "b k"]
) -> Tensor:
    """How far the tutor's logit is from SURE on the side that was asked for, mean of what counts.

    A hinge: beyond it there is nothing to be won but patterns that please the tutor alone.
    """
    short = F.relu(SURE - torch.where(asked, logits, -logits))
    return (short * counts).sum() / counts.sum().clamp(min=1)
