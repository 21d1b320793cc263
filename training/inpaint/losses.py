"""Losses of `train_inpaint.py`: those of single faces, and their weighted sums for each network."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from models.inpaint.membrane import attach
from models.inpaint.model import Inpainter, InpaintOutput
from models.inpaint.refiner import downsample2
from training.imagenet_features import ImageNetFeatures
from training.inpaint.config import Config
from training.inpaint.dataset import FaceBatch, TrainingBatch
from training.inpaint.discriminator import InpaintDiscriminator, near_hole
from training.perceptual import perceptual_loss

MEMBRANE_CYCLES = 1  # enough for a gradient
L1_SIZE, PRIOR_L1_SIZE = 32, 16  # px of the picture whose colours are compared
WRONG_WEIGHT = 0.3  # of real faces with a wrong attribute, among the fakes
ENOUGH_RMSE = 0.08  # of two fills of one hole: more is not asked for
LABEL_SMOOTHING = 0.06  # of the attribute labels, some of which are wrong
POS_WEIGHT = 3.0  # of pixels of glasses, which are few, relative to all others
DICE_WEIGHT = 0.3
DICE_SMOOTHING_PX = 20  # added to numerator and denominator, so that a face without glasses has one


class Fills(NamedTuple):
    """Filled faces and what they were made from, all of one size."""

    face: Float[Tensor, "b 3 s s"]
    image: Float[Tensor, "b 3 s s"]
    mask: Float[Tensor, "b 1 s s"]


class Seen(NamedTuple):
    """What the judges see of faces: windows of them, their holes, and ImageNet features."""

    window: Float[Tensor, "b 3 w w"]
    mask: Float[Tensor, "b 1 w w"]
    maps: list[Tensor]

    def detach(self) -> "Seen":
        """Without the gradient."""
        return Seen(self.window.detach(), self.mask, [m.detach() for m in self.maps])


def compose(out: InpaintOutput, faces: FaceBatch) -> Fills:
    """Put the decoded pixels into the holes, up to a membrane, as the model does."""
    image, mask = faces.image, faces.mask
    if out.logits.shape[-1] < image.shape[-1]:
        image, mask = downsample2(image, mask)
    fill = out.logits.float().sigmoid()
    return Fills(attach(fill, image, mask, MEMBRANE_CYCLES), image, mask)


def look(face: Float[Tensor, "b 3 h w"], batch: TrainingBatch, features: ImageNetFeatures) -> Seen:
    """Windows of faces and their features."""
    window, mask = batch.windows.show(face), batch.windows.cut(batch.faces.mask)
    return Seen(window, mask, features(window))


def discriminator_loss(
    fake: Seen, real: Seen, batch: TrainingBatch, discriminator: InpaintDiscriminator
) -> Tensor:
    """Hinge loss of real faces against fills and against real faces with a wrong attribute."""
    asked, weights = batch.faces.attributes, batch.weights
    seen = discriminator.features(real.window, real.mask, real.maps)
    fake = fake.detach()
    fakes = discriminator.features(fake.window, fake.mask, fake.maps)
    real_terms = hinge(discriminator.judge(seen, asked), real.mask, 1.0)
    fake_terms = hinge(discriminator.judge(fakes, asked), real.mask, -1.0)
    wrong_terms = hinge(discriminator.judge(seen, batch.wrong_attributes), real.mask, -1.0)
    loss = ((real_terms + fake_terms) * weights.every).sum()
    return loss + WRONG_WEIGHT * (wrong_terms * weights.wrong).sum()


def generator_loss(
    cfg: Config,
    out: InpaintOutput,
    fills: Fills,
    batch: TrainingBatch,
    maps: tuple[Sequence[Tensor], Sequence[Tensor]],
) -> dict[str, Tensor]:
    """Named terms of the inpainter and their weighted sum `loss`, without the adversarial one.

    Fills from the posterior have the CVAE's terms: L1 and perceptual reconstruction and the KL
    divergence; `maps` are ImageNet features of fills and of the faces themselves. Fills from the
    prior have a weak L1, and pairs of them have to differ.
    """
    weights, n_posterior = batch.weights, len(fills.face) - batch.n_prior
    perceptual = perceptual_loss(*([m[:n_posterior] for m in part] for part in maps))
    losses = {
        "l1": (hole_l1(fills, L1_SIZE) * weights.reconstruction).sum(),
        "perceptual": (perceptual * weights.reconstruction[:n_posterior]).sum(),
        "kl": out.posterior.kl(out.prior).mean(),
    }
    term_weights = {
        "l1": cfg.l1_weight,
        "perceptual": cfg.perceptual_weight,
        "kl": cfg.kl_weight,
    }
    if batch.n_prior:
        losses["prior_l1"] = (hole_l1(fills, PRIOR_L1_SIZE) * weights.prior_l1).sum()
        losses["sameness"] = (sameness(fills, batch.n_prior) * weights.pairs).sum()
        term_weights |= {"prior_l1": cfg.prior_l1_weight, "sameness": cfg.sameness_weight}
    total = sum(weight * losses[name] for name, weight in term_weights.items())
    return losses | {"loss": total}


def adversarial_loss(
    fake: Seen, batch: TrainingBatch, discriminator: InpaintDiscriminator
) -> Tensor:
    """Minus the discriminator's opinion of the fills."""
    features = discriminator.features(fake.window, fake.mask, fake.maps)
    logits = discriminator.judge(features, batch.faces.attributes)
    opinion = [(part * near_hole(fake.mask, part.shape[-1])).sum((1, 2, 3)) for part in logits]
    return -(torch.stack(opinion).mean(0) * batch.weights.every).sum()


def auxiliary_loss(network: Inpainter, batch: TrainingBatch) -> dict[str, Tensor]:
    """Terms of the attribute head and of the glasses segmenter."""
    faces = batch.faces
    logits = network.predict_attributes(batch.labelled_face, faces.mask)
    targets = faces.labels.float() * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / 2
    losses = {"attribute_head": F.binary_cross_entropy_with_logits(logits, targets)}
    losses["segmentation"] = logits.new_zeros(())
    if len(batch.glasses_face):
        glasses = network.glasses_segmenter(batch.glasses_face)
        segmentation = segmentation_loss(glasses, batch.glasses_target)
        losses["segmentation"] = (segmentation * batch.weights.segmentation).sum()
    return losses


def hinge(
    logits: Sequence[Float[Tensor, "b 1 _ _"]], mask: Float[Tensor, "b 1 h w"], sign: float
) -> Float[Tensor, " b"]:
    """relu(1 - sign * logit) near the hole, mean over the judges (Lim and Ye 2017)."""
    terms = [
        (F.relu(1 - sign * part) * near_hole(mask, part.shape[-1])).sum((1, 2, 3))
        for part in logits
    ]
    return torch.stack(terms).mean(0)


def hole_l1(fills: Fills, size: int) -> Float[Tensor, " b"]:
    """Mean absolute difference of colours in each hole, of pictures reduced to `size` px."""
    step = fills.face.shape[-1] // size
    face, image, mask = (F.avg_pool2d(part, step) for part in fills)
    return ((face - image).abs() * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3)))


def sameness(fills: Fills, n_prior: int) -> Float[Tensor, " p"]:
    """How much closer than `ENOUGH_RMSE` two fills of one hole are, relative to it.

    Keeps z from being ignored, as the term of Mao et al. (2019) does.
    """
    face, mask = fills.face[-n_prior:], fills.mask[-n_prior:]
    (first, second), (hole, _) = face.chunk(2), mask.chunk(2)
    squares = ((first - second).square() * hole).sum((1, 2, 3)) / (3 * hole.sum((1, 2, 3)))
    return F.relu(1 - (squares + 1e-6).sqrt() / ENOUGH_RMSE)


def segmentation_loss(
    logits: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    """Cross-entropy, mean over the pixels, plus the Dice loss (Milletari et al. 2016)."""
    cross_entropy = F.binary_cross_entropy_with_logits(
        logits, target, reduction="none", pos_weight=logits.new_full((1,), POS_WEIGHT)
    ).mean((1, 2, 3))
    p = logits.sigmoid()
    overlap, total = (p * target).sum((1, 2, 3)), (p + target).sum((1, 2, 3))
    dice = (2 * overlap + DICE_SMOOTHING_PX) / (total + DICE_SMOOTHING_PX)
    return cross_entropy + DICE_WEIGHT * (1 - dice)
