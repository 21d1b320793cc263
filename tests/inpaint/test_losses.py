"""Losses of the inpainter and the discriminator, against brute force and known cases."""

import numpy as np
import pytest
import torch

from models.classifiers import AttributeClassifier, AttributeClassifierConfig
from models.inpaint.attributes import OFF, ON, PRESERVED, UNKNOWN
from training.inpaint import losses
from training.inpaint.dataset import FaceBatch, loss_weights
from training.inpaint.discriminator import Discriminator, DiscriminatorOutput

NAMES = ("Smiling", "Eyeglasses", "Male", "Young")


def faces(count: int = 4, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Random faces, each with the same hole."""
    mask = torch.zeros(size, size)
    mask[size // 2 : -4, 6 : size // 2 + 4] = 1
    x = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(2))
    return x, mask.expand(count, 1, size, size)


def test_l1_in_the_hole_equals_brute_force():
    x, mask = faces(3)
    filled = (x + 0.3 * mask * torch.rand_like(x)).clamp(0, 1)
    by_hand = [
        np.abs((a - b).numpy()[:, hole[0].numpy() > 0]).mean()
        for a, b, hole in zip(filled, x, mask, strict=True)
    ]
    found = losses.hole_l1(filled, x, mask)
    torch.testing.assert_close(found, torch.tensor(by_hand), atol=1e-5, rtol=1e-4)


def test_attribute_hinge_equals_brute_force():
    logits, asked = torch.randn(5, 2), torch.rand(5, 2) > 0.5
    found = losses.attribute_hinge(logits, asked, torch.tensor([1.5, 0.5]))
    for row, flags, values in zip(logits.tolist(), asked.tolist(), found.tolist(), strict=True):
        expected = [
            max(0.0, margin - (1 if flag else -1) * logit)
            for logit, flag, margin in zip(row, flags, (1.5, 0.5), strict=True)
        ]
        assert values == pytest.approx(expected, abs=1e-6)


def test_attribute_kl_equals_the_formula_and_is_zero_for_equal_logits():
    logits, real = torch.randn(6, 3), torch.randn(6, 3)
    q, p = logits.double().sigmoid(), real.double().sigmoid()
    expected = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    found = losses.attribute_kl(logits, real)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-5)
    assert (losses.attribute_kl(real, real) == 0).all()


def test_segmentation_loss_equals_brute_force():
    logits, target = torch.randn(3, 1, 8, 8), (torch.rand(3, 1, 8, 8) > 0.7).float()
    found = losses.segmentation_loss(logits, target)
    for z, y, value in zip(logits.double(), target.double(), found, strict=True):
        p = z.sigmoid()
        entropy = -(losses.POS_WEIGHT * y * p.log() + (1 - y) * (1 - p).log()).mean()
        dice = (2 * (p * y).sum() + 20) / (p.sum() + y.sum() + 20)
        assert float(value) == pytest.approx(float(entropy + 0.3 * (1 - dice)), rel=1e-4)


class QuadraticLogits(torch.nn.Module):
    """Logits w . face + mask . face^2, so that their gradient is known."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(
            torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(4))
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (self.w * x + mask * x**2).sum((1, 2, 3))


def test_the_gradient_penalty_is_the_mean_squared_gradient():
    logits_of, (x, mask) = QuadraticLogits(), faces(2)
    expected = (logits_of.w + 2 * mask * x).square().sum((1, 2, 3)).mean()
    found = losses.gradient_penalty(logits_of, x, mask)
    torch.testing.assert_close(found, expected)
    found.backward()
    by_hand = 2 * (logits_of.w + 2 * mask * x).mean(0)
    torch.testing.assert_close(logits_of.w.grad, by_hand.detach())


def test_the_relativistic_loss_is_symmetric_around_log_2():
    a, b = torch.randn(5), torch.randn(5)
    difference = losses.relativistic_loss(a, b) - losses.relativistic_loss(b, a)
    torch.testing.assert_close(difference, b - a)
    torch.testing.assert_close(losses.relativistic_loss(a, a), torch.full((5,), np.log(2)).float())


def test_only_patches_at_the_hole_are_pooled():
    x, mask = faces(2)
    classifier = AttributeClassifier(AttributeClassifierConfig(("Smiling", "Young"), 4))
    out = Discriminator(64, (4, 8, 16), (8, 8, 8))(x, mask, classifier(x).feature_maps)
    assert out.patch_logits.shape == (2, 1, 8, 8)
    assert out.global_logits.shape == (2,)
    far = torch.zeros(2, 1, 8, 8)
    far[:, :, 0, 7] = 100
    assert (DiscriminatorOutput(far, torch.zeros(2)).pool(mask) == 0).all()
    near = torch.zeros(2, 1, 8, 8)
    near[:, :, 5, 2] = 100
    assert (DiscriminatorOutput(near, torch.zeros(2)).pool(mask) > 0).all()


def test_loss_weights_are_means_over_the_faces_that_each_term_is_for():
    rng = torch.Generator().manual_seed(0)
    x, mask = faces(40)
    mask = mask.clone()
    mask[::5] = 1
    labels = torch.rand(40, 4, generator=rng) > 0.5
    attributes = torch.randint(0, 3, (40, 4), generator=rng)
    covered = torch.rand(40, 4, generator=rng) > 0.5
    batch = FaceBatch(x, mask, labels, attributes, covered)
    found = loss_weights(batch, NAMES, n_prior=24, n_glasses=3)
    chosen = {name: np.zeros(tuple(getattr(found, name).shape), bool) for name in found._fields}
    chosen["segmentation"][:] = True
    for i in range(40):
        from_prior, partial = i >= 16, i % 5 > 0
        asked = [covered[i, k] and attributes[i, k] != UNKNOWN for k in range(4)]
        against = [asked[k] and attributes[i, k] != (ON if labels[i, k] else OFF) for k in range(4)]
        chosen["reconstruction"][i] = not from_prior
        chosen["prior_l1"][i] = from_prior and not any(against)
        chosen["adversarial"][i] = partial
        for k, name in enumerate(NAMES):
            chosen["attribute"][i, k] = from_prior and asked[k]
            if name in PRESERVED:
                decided = covered[i, k] if name == "Smiling" else asked[k]
                column = PRESERVED.index(name)
                chosen["preservation"][i, column] = from_prior and partial and not decided
    for name, rows in chosen.items():
        expected = torch.from_numpy(rows / rows.sum()).float()
        torch.testing.assert_close(getattr(found, name), expected)
    none = loss_weights(batch, NAMES, n_prior=0, n_glasses=0)
    assert not none.attribute.any()
    assert not none.prior_l1.any()
