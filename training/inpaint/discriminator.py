"""What sharpens the inpainter: a critic that tells fills from real faces, losses in the hole."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import init_convolutions
from models.classifiers import AttributeClassifier

GRID = 32  # places a side of the critic's first feature map, as of the tutor's


class CriticOutput(NamedTuple):
    """Logits of being real: of every place (1/8 of the width), and of the whole face."""

    places: Float[Tensor, "b 1 8 8"]
    whole: Float[Tensor, " b"]

    def score(self, mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
        """The whole's logit, and the mean of those of the places that the hole touches."""
        touched = F.adaptive_max_pool2d(mask, self.places.shape[-2:])
        touched = F.max_pool2d(touched, 3, 1, 1)
        places = (self.places * touched).sum((1, 2, 3)) / touched.sum((1, 2, 3)).clamp(min=1)
        return self.whole + places


class FaceCritic(nn.Module):
    """Convolutions without normalisation: R1 keeps them smooth (Mescheder et al. 2018).

    Beside the pixels it is shown what a classifier of faces makes of them, at each resolution
    (projected GANs, Sauer et al. 2021): it need not learn first what a face is.
    """

    def __init__(self, size: int, maps: tuple[int, int, int], widths: tuple[int, int, int]):
        super().__init__()
        before, step = 4 * (size // GRID) ** 2, size // GRID
        self.unshuffle, self.stages = nn.PixelUnshuffle(step), nn.ModuleList()
        for i, (shown, width) in enumerate(zip(maps, widths, strict=True)):
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(before + shown, width, 3, 1, 1),
                    nn.LeakyReLU(0.2),
                    nn.Conv2d(width, width, 3, 2 if i < len(maps) - 1 else 1, 1),
                    nn.LeakyReLU(0.2),
                )
            )
            before = width
        self.places = nn.Conv2d(before, 1, 1)
        self.far = nn.Sequential(nn.Conv2d(before, before, 3, 2, 1), nn.LeakyReLU(0.2))
        self.whole = nn.Linear(before, 1)
        init_convolutions(self)

    def forward(
        self, face: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"], maps: list[Tensor]
    ) -> CriticOutput:
        """Logits of faces in [0, 1] with a hole that was filled, or was not."""
        h = self.unshuffle(torch.cat([face * 2 - 1, mask], 1))
        for stage, shown in zip(self.stages, maps, strict=True):
            level = shown.float().square().mean(1, keepdim=True).sqrt() + 1e-3
            h = stage(torch.cat([h, (shown / level).to(h)], 1))
        whole = self.whole(self.far(h).mean((2, 3)))[:, 0]
        return CriticOutput(self.places(h).float(), whole.float())


class Panel:
    """The critic together with the tutors; the first one whispers to it."""

    def __init__(self, critic: FaceCritic, *tutors: AttributeClassifier):
        self.critic, self.tutors, self.tutor = critic, tutors, tutors[0]

    def score(
        self,
        face: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, " b"]:
        """A logit a face; `maps` are the tutor's, where they are known."""
        maps = self.tutor(face).feature_maps if maps is None else maps
        return self.critic(face, mask, maps).score(mask)


def critic_loss(real: Float[Tensor, " b"], drawn: Float[Tensor, " b"]) -> Tensor:
    """Each fill against the face it was made from (relativistic pairing, Huang et al. 2024)."""
    return F.softplus(drawn - real).mean()


def gradient_penalty(
    score_of: Callable[[Tensor, Tensor], Tensor],
    face: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Tensor:
    """Mean squared norm of the score's gradient with respect to the face (R1 where it is real)."""
    face = face.detach().requires_grad_(True)
    score = score_of(face, mask).sum()
    (gradient,) = torch.autograd.grad(score, face, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def hole_l1(
    drawn: Float[Tensor, "b 3 h w"], real: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    """Mean absolute difference in the hole, a face."""
    return ((drawn - real).abs() * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3)))


def wish_loss(
    logits: Float[Tensor, "b k"],
    asked: Bool[Tensor, "b k"],
    counts: Bool[Tensor, "b k"],
    sure: Float[Tensor, " k"],
) -> Tensor:
    """How far the tutor's logit is from `sure` on the side that was asked for, mean of what counts.

    A hinge: beyond it there is nothing to be won but patterns that please the tutor alone.
    """
    short = F.relu(sure - torch.where(asked, logits, -logits))
    return (short * counts).sum() / counts.sum().clamp(min=1)


def kept_loss(
    logits: Float[Tensor, "b k"], before: Float[Tensor, "b k"], counts: Bool[Tensor, "b k"]
) -> Tensor:
    """Cross-entropy of what the tutor sees now against what it saw before, less the latter's own.

    A fill should not make anybody another person: nats an attribute, mean of what counts.
    """
    share = before.sigmoid()
    each = F.binary_cross_entropy_with_logits(logits, share, reduction="none")
    each = each - F.binary_cross_entropy_with_logits(before, share, reduction="none")
    return (each * counts).sum() / counts.sum().clamp(min=1)
