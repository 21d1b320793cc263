"""The losses of both stages of `train_inpaint.py`, and one turn of inpainter and critic."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.classifiers import AttributeClassifier, ClassifierOutput
from models.inpaint.attributes import KEPT, ON, UNKNOWN
from models.inpaint.model import Inpainter, InpaintOutput
from training.data.augment import augment
from training.inpaint.config import Config
from training.inpaint.dataset import FaceBatch
from training.inpaint.discriminator import (
    Panel,
    critic_loss,
    gradient_penalty,
    hole_l1,
    kept_loss,
    wish_loss,
)
from training.inpaint.reading import find_loss, read_loss
from training.perceptual import perceptual_loss

# A tutor's logit at which a wish has come true.
SURE = {"Smiling": 2.0, "Eyeglasses": 2.0, "Male": 1.0, "Young": 1.0}


class Drawn(NamedTuple):
    """Faces with their holes filled, and what the tutor makes of them and of the real ones."""

    face: Tensor
    seen: ClassifierOutput
    real: ClassifierOutput


def drawn(out: InpaintOutput, batch: FaceBatch, tutor: AttributeClassifier) -> Drawn:
    """What came out, looked at."""
    face = torch.lerp(batch.image, out.logits.sigmoid(), batch.mask)
    with torch.no_grad():
        real = tutor(batch.image)
    return Drawn(face, tutor(face), real)


def coarse(face: Tensor) -> Tensor:
    """Without what is finer than 2 px of 64: else specks that nobody takes for a smile please."""
    step = 2 * face.shape[-1] // 64
    small = F.avg_pool2d(face, step)
    return F.interpolate(small, scale_factor=step, mode="bilinear", align_corners=False)


def columns(classifier: AttributeClassifier, names: tuple[str, ...]) -> list[int]:
    """Where a classifier says them."""
    return [classifier.config.attributes.index(name) for name in names]


def partly(batch: FaceBatch) -> Tensor:
    """Rows whose hole leaves something of the face: of whole ones the critic has nothing to say."""
    return batch.mask.mean((1, 2, 3)) < 0.5


def drawn_terms(
    cfg: Config,
    out: InpaintOutput,
    looked: Drawn,
    batch: FaceBatch,
    told: Tensor,
    free: int,
    panel: Panel,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Stage one's terms on the reconstructed faces; on the others, what a fill owes to the asker.

    In stage two also the critic's word on all of them.
    """
    kept, tutor = len(told) - free, panel.tutor
    face, seen, real = looked
    l1 = hole_l1(face, batch.image, batch.mask)
    near = [part[:kept] for part in seen.feature_maps], [part[:kept] for part in real.feature_maps]
    features = perceptual_loss(*near).mean()
    kl = out.posterior.kl(out.prior).mean()
    loss = cfg.l1_weight * l1[:kept].mean() + cfg.perceptual_weight * features + cfg.kl_weight * kl
    terms = {"l1": l1[:kept].mean(), "perceptual": features, "kl": kl}
    if not free:
        return {"loss": loss} | terms
    same = columns(tutor, KEPT)
    asked_new = batch.covered & (told != UNKNOWN)
    view = augment(coarse(face[kept:]), rng)
    words = [t(view).logits[:, columns(t, cfg.model.attributes)] for t in panel.tutors]
    sure = torch.tensor([SURE[name] for name in cfg.model.attributes]).to(face)
    said = [wish_loss(word, told[kept:] == ON, asked_new[kept:], sure) for word in words]
    terms["wish"] = torch.stack(said).mean()
    counts = partly(batch)[kept:, None].expand(-1, len(KEPT)).clone()
    for i, name in enumerate(cfg.model.attributes):
        if name in KEPT:
            decided = batch.covered[:, i] if name == "Smiling" else asked_new[:, i]
            counts[:, KEPT.index(name)] &= ~decided[kept:]
    terms["kept"] = kept_loss(seen.logits[kept:, same], real.logits[kept:, same], counts)
    plain = ~(asked_new & (told != batch.true)).any(1)[kept:]
    terms["guess"] = (l1[kept:] * plain).sum() / plain.sum().clamp(min=1)
    with torch.no_grad():
        facing = panel.score(batch.image, batch.mask, real.feature_maps)
    fooling = panel.score(face, batch.mask, seen.feature_maps)
    some = partly(batch)
    terms["fooling"] = critic_loss(fooling[some], facing[some])
    weights = {
        "wish": cfg.wish_weight,
        "kept": cfg.kept_weight,
        "guess": cfg.guess_weight,
        "fooling": cfg.critic_weight,
    }
    loss = loss + sum(weight * terms[name] for name, weight in weights.items())
    return {"loss": loss} | terms


def critic_terms(
    cfg: Config, panel: Panel, looked: Drawn, batch: FaceBatch, step: int
) -> dict[str, Tensor]:
    """The critic's loss on real faces and on fills, with its penalties now and then."""
    face, maps = looked.face.detach(), [part.detach() for part in looked.seen.feature_maps]
    real = panel.score(batch.image, batch.mask, looked.real.feature_maps)
    filled, rows = panel.score(face, batch.mask, maps), partly(batch)
    loss = critic_loss(real[rows], filled[rows])
    terms = {"critic": loss.detach()}
    if step % cfg.penalty_every == 0:
        some = slice(max(1, len(face) // 4))
        with torch.autocast(face.device.type, enabled=False):
            r1, r2 = (
                gradient_penalty(panel.score, faces[some], batch.mask[some])
                for faces in (batch.image, face)
            )
        loss = loss + cfg.penalty_every * cfg.penalty_weight * (r1 + r2) / 2
        terms |= {"r1": r1.detach(), "r2": r2.detach()}
    return {"loss": loss} | terms


def turn(
    cfg: Config,
    network: Inpainter,
    panel: Panel,
    critic_optimizer: torch.optim.Optimizer,
    batch: FaceBatch,
    told: Tensor,
    noise: Tensor | None,
    free: int,
    step: int,
) -> dict[str, Tensor]:
    """The inpainter's terms, the loss among them; where rows are free, the critic learns first."""
    out = network(batch.image, batch.mask, told, noise, free)
    looked, terms = drawn(out, batch, panel.tutor), {}
    if free:
        terms = critic_terms(cfg, panel, looked, batch, step)
        critic_optimizer.zero_grad(set_to_none=True)
        terms.pop("loss").backward()
        critic_optimizer.step()
        panel.critic.requires_grad_(False)
    rng = np.random.default_rng((cfg.seed, step, 2))
    terms |= drawn_terms(cfg, out, looked, batch, told, free, panel, rng)
    panel.critic.requires_grad_(True)
    terms["read"], terms["find"] = read_loss(network, batch, rng), find_loss(network, batch, rng)
    terms["loss"] = terms["loss"] + cfg.read_weight * (terms["read"] + terms["find"])
    return terms
