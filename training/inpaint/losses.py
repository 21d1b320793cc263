"""Losses of `train_inpaint.py`: those of single faces, and their weighted sums for each network."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from models.classifiers import AttributeClassifier, ClassifierOutput
from models.inpaint.attributes import ON, PRESERVED
from models.inpaint.model import Inpainter, InpaintOutput
from training.inpaint.config import Config
from training.inpaint.dataset import TrainingBatch
from training.inpaint.discriminator import Discriminator
from training.perceptual import perceptual_loss

# A classifier's logit from which on an attribute asked for counts as reached.
HINGE_MARGIN = {"Smiling": 2.0, "Eyeglasses": 2.0, "Male": 1.0, "Young": 1.0}
LABEL_SMOOTHING = 0.06  # of the attribute labels, some of which are wrong
POS_WEIGHT = 3.0  # of pixels of glasses, which are few, relative to all others
DICE_WEIGHT = 0.3
DICE_SMOOTHING_PX = 20  # added to numerator and denominator, so that a face without glasses has one


class Fills(NamedTuple):
    """Faces with their holes filled, and a classifier's output for them and for the real faces."""

    face: Float[Tensor, "b 3 h w"]
    classified: ClassifierOutput
    real_classified: ClassifierOutput


def fill_and_classify(
    out: InpaintOutput, batch: TrainingBatch, classifier: AttributeClassifier
) -> Fills:
    """Put the decoded pixels into the holes and classify the faces."""
    face = torch.lerp(batch.faces.image, out.logits.sigmoid(), batch.faces.mask)
    with torch.no_grad():
        real = classifier(batch.faces.image)
    return Fills(face, classifier(face), real)


def generator_loss(
    cfg: Config,
    out: InpaintOutput,
    fills: Fills,
    batch: TrainingBatch,
    discriminator: Discriminator,
    classifiers: Sequence[AttributeClassifier],
) -> dict[str, Tensor]:
    """Named terms of the inpainter and their weighted sum `loss`.

    Fills from the posterior have the CVAE's terms: L1 and perceptual reconstruction and the KL
    divergence. Fills from the prior, if there are any, have those of attributes asked for and
    preserved and a weak L1, and all faces have the adversarial one.
    """
    faces, weights, n_posterior = batch.faces, batch.weights, len(fills.face) - batch.n_prior
    fake, real = fills.classified, fills.real_classified
    l1 = hole_l1(fills.face, faces.image, faces.mask)
    maps, real_maps = (
        [features[:n_posterior] for features in seen.feature_maps] for seen in (fake, real)
    )
    losses = {
        "l1": (l1 * weights.reconstruction).sum(),
        "perceptual": perceptual_loss(maps, real_maps).mean(),
        "kl": out.posterior.kl(out.prior).mean(),
    }
    term_weights = {
        "l1": cfg.l1_weight,
        "perceptual": cfg.perceptual_weight,
        "kl": cfg.kl_weight,
    }
    if batch.n_prior:
        blurred = batch.augmentation(blur(fills.face[n_posterior:]))
        asked = faces.attributes[n_posterior:] == ON
        margin = torch.tensor([HINGE_MARGIN[name] for name in cfg.model.attributes]).to(l1)
        columns = [_columns(classifier, cfg.model.attributes) for classifier in classifiers]
        hinges = [
            attribute_hinge(classifier(blurred).logits[:, column], asked, margin)
            for classifier, column in zip(classifiers, columns, strict=True)
        ]
        losses["attribute"] = (torch.stack(hinges).mean(0) * weights.attribute[n_posterior:]).sum()
        column = _columns(classifiers[0], PRESERVED)
        divergence = attribute_kl(fake.logits[:, column], real.logits[:, column])
        losses["preservation"] = (divergence * weights.preservation).sum()
        losses["prior_l1"] = (l1 * weights.prior_l1).sum()
        with torch.no_grad():
            real_logits = discriminator(faces.image, faces.mask, real.feature_maps)
        fake_logits = discriminator(fills.face, faces.mask, fake.feature_maps)
        adversarial = relativistic_loss(fake_logits.pool(faces.mask), real_logits.pool(faces.mask))
        losses["adversarial"] = (adversarial * weights.adversarial).sum()
        term_weights |= {
            "attribute": cfg.attribute_weight,
            "preservation": cfg.preservation_weight,
            "prior_l1": cfg.prior_l1_weight,
            "adversarial": cfg.adversarial_weight,
        }
    total = sum(weight * losses[name] for name, weight in term_weights.items())
    return losses | {"loss": total}


def discriminator_loss(fills: Fills, batch: TrainingBatch, discriminator: Discriminator) -> Tensor:
    """Relativistic loss of real faces and fills, without the gradient penalties."""
    faces = batch.faces
    maps = [features.detach() for features in fills.classified.feature_maps]
    real = discriminator(faces.image, faces.mask, fills.real_classified.feature_maps)
    fake = discriminator(fills.face.detach(), faces.mask, maps)
    loss = relativistic_loss(real.pool(faces.mask), fake.pool(faces.mask))
    return (loss * batch.weights.adversarial).sum()


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


def hole_l1(
    fill: Float[Tensor, "b 3 h w"], real: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    """Mean absolute difference in each face's hole."""
    return ((fill - real).abs() * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3)))


def attribute_hinge(
    logits: Float[Tensor, "b k"], asked: Bool[Tensor, "b k"], margin: Float[Tensor, " k"]
) -> Float[Tensor, "b k"]:
    """How far a classifier's logit is from `margin` on the side that was asked for.

    A hinge: beyond the margin only patterns that please this classifier could be gained.
    """
    return F.relu(margin - torch.where(asked, logits, -logits))


def attribute_kl(
    logits: Float[Tensor, "b k"], real_logits: Float[Tensor, "b k"]
) -> Float[Tensor, "b k"]:
    """KL(real || fill) of a classifier's Bernoulli predictions, in nats an attribute."""
    p = real_logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, p, reduction="none")
    return cross_entropy - F.binary_cross_entropy_with_logits(real_logits, p, reduction="none")


def relativistic_loss(
    higher: Float[Tensor, " b"], lower: Float[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """softplus(lower - higher), each fill paired with its real face (R3GAN, Huang et al. 2024)."""
    return F.softplus(lower - higher)


def gradient_penalty(
    logits_of: Callable[[Tensor, Tensor], Float[Tensor, " b"]],
    face: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Tensor:
    """Mean squared norm of the logit's gradient with respect to the face.

    R1 where the faces are real, R2 where they are filled (Mescheder et al. 2018).
    """
    face = face.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(logits_of(face, mask).sum(), face, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def segmentation_loss(
    logits: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    """Cross-entropy, mean over the pixels, plus the Dice loss (Milletari et al. 2016)."""
    cross_entropy = F.binary_cross_entropy_with_logits(
        logits, target, reduction="none", pos_weight=logits.new_tensor(POS_WEIGHT)
    ).mean((1, 2, 3))
    p = logits.sigmoid()
    overlap, total = (p * target).sum((1, 2, 3)), (p + target).sum((1, 2, 3))
    dice = (2 * overlap + DICE_SMOOTHING_PX) / (total + DICE_SMOOTHING_PX)
    return cross_entropy + DICE_WEIGHT * (1 - dice)


def blur(face: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Without details finer than 2 px of 64, in which a fill could hide patterns that only please
    a classifier.
    """
    step = 2 * face.shape[-1] // 64
    small = F.avg_pool2d(face, step)
    return F.interpolate(small, scale_factor=step, mode="bilinear", align_corners=False)


def _columns(classifier: AttributeClassifier, names: tuple[str, ...]) -> list[int]:
    """The logits of these attributes."""
    return [classifier.config.attributes.index(name) for name in names]
