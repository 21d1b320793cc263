"""Losses of the inpainter and its discriminator, against brute force and known cases."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.distributions import DiagonalGaussian
from models.inpaint.attributes import ON, UNKNOWN
from models.inpaint.model import InpaintOutput
from training.discriminator_blocks import STAGES
from training.imagenet_features import channels_of
from training.inpaint import losses
from training.inpaint.dataset import FaceBatch, loss_weights
from training.inpaint.discriminator import (
    InpaintDiscriminator,
    masked_moments,
    near_hole,
    ring,
)
from training.inpaint.losses import Fills

SIDES = (24, 12, 6, 3, 3)  # of the feature maps of a window of 48 px


def faces(count: int = 4, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Random faces, each with the same hole."""
    mask = torch.zeros(size, size)
    mask[size // 2 : -4, 6 : size // 2 + 4] = 1
    x = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(2))
    return x, mask.expand(count, 1, size, size)


def face_batch(count: int = 4) -> FaceBatch:
    x, mask = faces(count)
    known = torch.zeros(count, 4)
    return FaceBatch(x, mask, known.bool(), known.long(), known.bool())


def test_l1_in_the_hole_equals_brute_force():
    x, mask = faces(3)
    filled = (x + 0.3 * mask * torch.rand_like(x)).clamp(0, 1)
    by_hand = [
        np.abs((a - b).numpy()[:, hole[0].numpy() > 0]).mean()
        for a, b, hole in zip(filled, x, mask, strict=True)
    ]
    found = losses.hole_l1(Fills(filled, x, mask), 64)
    torch.testing.assert_close(found, torch.tensor(by_hand), atol=1e-5, rtol=1e-4)


def test_l1_of_reduced_pictures_sees_no_texture():
    x, mask = faces(2)
    texture = torch.tensor([[0.2, -0.2], [-0.2, 0.2]]).repeat(32, 32)
    fills = Fills(x + mask * texture, x, mask)
    assert float(losses.hole_l1(fills, 64).min()) > 0.19
    assert float(losses.hole_l1(fills, 16).max()) < 1e-6


def test_two_fills_are_the_same_up_to_the_difference_that_is_enough():
    x, mask = faces(2)
    for difference, expected in ((0.0, 1.0), (0.04, 0.5), (0.08, 0.0), (0.3, 0.0)):
        pairs = torch.cat([x, x + difference * mask])
        fills = Fills(pairs, torch.cat([x, x]), torch.cat([mask, mask]))
        found = losses.sameness(fills, n_prior=4)
        torch.testing.assert_close(found, torch.full((2,), expected), atol=0.02, rtol=0)


def test_the_hinge_is_its_formula_near_the_hole():
    _, mask = faces(3)
    logits = [2 * torch.randn(3, 1, side, side) for side in (16, 8)]
    for sign in (1.0, -1.0):
        terms = []
        for part in logits:
            weight = near_hole(mask, part.shape[-1])
            terms.append((F.relu(1 - sign * part) * weight).sum((1, 2, 3)))
        torch.testing.assert_close(losses.hinge(logits, mask, sign), sum(terms) / 2)
    beyond = [torch.full((3, 1, 8, 8), 1.5)]
    assert not losses.hinge(beyond, mask, 1.0).any()
    torch.testing.assert_close(losses.hinge(beyond, mask, -1.0), torch.full((3,), 2.5))


def test_segmentation_loss_equals_brute_force():
    logits, target = torch.randn(3, 1, 8, 8), (torch.rand(3, 1, 8, 8) > 0.7).float()
    found = losses.segmentation_loss(logits, target)
    for z, y, value in zip(logits.double(), target.double(), found, strict=True):
        p = z.sigmoid()
        entropy = -(losses.POS_WEIGHT * y * p.log() + (1 - y) * (1 - p).log()).mean()
        dice = (2 * (p * y).sum() + 20) / (p.sum() + y.sum() + 20)
        assert float(value) == pytest.approx(float(entropy + 0.3 * (1 - dice)), rel=1e-4)


@pytest.mark.parametrize("half_size", [True, False])
def test_only_the_hole_is_composed_from_the_decoder(half_size):
    batch = face_batch(2)
    gaussian = DiagonalGaussian(torch.zeros(2, 4), torch.zeros(2, 4))
    logits = torch.randn(2, 3, *([32, 32] if half_size else [64, 64]), requires_grad=True)
    fills = losses.compose(InpaintOutput(logits, gaussian, gaussian), batch)
    assert fills.face.shape == logits.shape
    visible = (fills.mask == 0).expand_as(fills.face)
    assert torch.equal(fills.face[visible], fills.image[visible])
    fills.face.sum().backward()
    assert not logits.grad[visible].any()
    assert logits.grad[~visible].abs().mean() > 0


def test_the_cells_in_and_next_to_the_hole_are_judged():
    _, mask = faces(2)
    near = near_hole(mask, 8)
    torch.testing.assert_close(near.sum((2, 3)), torch.ones(2, 1))
    assert (near[:, :, 5, 2] > 0).all()
    assert (near[:, :, 3, 2] > 0).all()
    assert not near[:, :, 0].any()
    assert not near[:, :, :, 7].any()
    nothing = near_hole(torch.zeros(2, 1, 64, 64), 8)
    assert nothing.isfinite().all()
    assert not nothing.any()


def test_moments_are_those_of_the_hole_and_of_its_ring():
    m, hole = torch.randn(2, 5, 8, 8), torch.zeros(2, 1, 8, 8)
    hole[:, :, 2:5, 3:6] = 1
    for weight in (hole, ring(hole)):
        mean, spread = masked_moments(m, weight)
        for i in range(2):
            cells = m[i][:, weight[i, 0] > 0]
            torch.testing.assert_close(mean[i], cells.mean(1))
            variance = cells.var(1, correction=0)
            torch.testing.assert_close(spread[i], 0.5 * (variance + 1e-3).log())
    assert int(ring(hole)[0].sum()) == 16


def test_known_attributes_condition_the_discriminator():
    torch.manual_seed(0)
    discriminator = InpaintDiscriminator(4, width=8).eval()
    x, mask = torch.rand(2, 3, 48, 48), torch.zeros(2, 1, 48, 48)
    mask[:, :, 10:30, 10:30] = 1
    maps = [torch.randn(2, c, s, s) for c, s in zip(channels_of(STAGES), SIDES, strict=True)]
    seen = discriminator.features(x, mask, maps)
    unknown = torch.full((2, 4), UNKNOWN)
    asked = unknown.clone()
    asked[0, 0] = ON
    free, conditioned = discriminator.judge(seen, unknown), discriminator.judge(seen, asked)
    assert [part.shape[-1] for part in free] == [*SIDES, 13, 1]
    for a, b in zip(free, conditioned, strict=True):
        assert not torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


def test_loss_weights_are_means_over_the_faces_that_each_term_is_for():
    rng = torch.Generator().manual_seed(0)
    x, mask = faces(40)
    labels = torch.rand(40, 4, generator=rng) > 0.5
    attributes = torch.randint(0, 3, (40, 4), generator=rng)
    attributes[3] = UNKNOWN
    covered = torch.rand(40, 4, generator=rng) > 0.5
    batch = FaceBatch(x, mask, labels, attributes, covered)
    found = loss_weights(batch, n_prior=24, n_glasses=3)
    chosen = {name: np.zeros(tuple(getattr(found, name).shape), bool) for name in found._fields}
    for name in ("segmentation", "every", "pairs"):
        chosen[name][:] = True
    for i in range(40):
        from_prior = i >= 16
        asked = [covered[i, k] and attributes[i, k] != UNKNOWN for k in range(4)]
        against = [asked[k] and attributes[i, k] != (ON if labels[i, k] else 0) for k in range(4)]
        chosen["reconstruction"][i] = not from_prior
        chosen["prior_l1"][i] = from_prior and not any(against)
        chosen["wrong"][i] = (attributes[i] != UNKNOWN).any()
    assert len(found.pairs) == 12
    assert not found.wrong[3]
    for name, rows in chosen.items():
        expected = torch.from_numpy(rows / rows.sum()).float()
        torch.testing.assert_close(getattr(found, name), expected)
    none = loss_weights(batch, n_prior=0, n_glasses=0)
    assert not none.prior_l1.any()
    assert not len(none.pairs)
