"""The losses where glasses are taken off: they are gone, and the same person is left."""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.inpaint_wishes import GLASSES
from training.data.erased import FaceBatch
from training.inpaint_critic import Panel, hole_l1, wish_loss

KEPT = ("Male", "Young", "Smiling")  # what a fill should leave as it was, if it does not decide it


def coarse(face: Tensor) -> Tensor:
    """Without what is finer than 2 px of 64: else specks that nobody takes for a smile please."""
    step = 2 * face.shape[-1] // 64
    small = F.avg_pool2d(face, step)
    return F.interpolate(small, scale_factor=step, mode="bilinear", align_corners=False)


def partners(batch: FaceBatch) -> Tensor:
    """The real face that the critic compares each fill with: its own, if that has no glasses."""
    rows = torch.arange(len(batch.bare), device=batch.bare.device)
    mine, others = rows[batch.worn], rows[batch.bare & ~batch.worn]
    if len(others):
        rows[mine] = others[torch.arange(len(mine), device=rows.device) % len(others)]
    return rows


def bare_terms(face: Tensor, batch: FaceBatch, panel: Panel) -> dict[str, Tensor]:
    """How far glasses are from gone, each tutor's word on the rest from what it was (in logits),
    and fills from what was under painted glasses.
    """
    if not batch.bare.any():
        return {}
    now, before = face[batch.bare], batch.image[batch.bare]
    gone, same = [], []
    for tutor in panel.tutors:
        at = tutor.config.attributes.index
        kept = [at(name) for name in KEPT]
        for view in (lambda x: x, coarse):
            with torch.no_grad():
                was = tutor(view(before)).logits[:, kept]
            said = tutor(view(now)).logits
            same.append(F.smooth_l1_loss(said[:, kept], was, beta=0.5))
            glasses = said[:, [at(GLASSES)]]
            off = torch.zeros_like(glasses, dtype=torch.bool)
            gone.append(wish_loss(glasses, off, ~off))
    painted = batch.bare & ~batch.worn
    truth = hole_l1(face, batch.image, batch.mask)
    terms = {"gone": torch.stack(gone).mean(), "same": torch.stack(same).mean()}
    return terms | {"painted": (truth * painted).sum() / painted.sum().clamp(min=1)}
