"""Glasses: their segmentation, the mask that removes them, and what the shipped model does."""

import numpy as np
import pytest
import torch
from PIL import Image

from models import checkpoint
from models.face_alignment import REGIONS, UNITS
from models.images import to_rgb
from models.inpaint.attributes import OFF, UNKNOWN
from models.inpaint.glasses import (
    CLOSING_RADIUS_PX,
    DILATION_PX,
    EYE_BAND,
    GlassesSegmenter,
    glasses_mask,
)
from tabs.inpaint.tab import SAMPLES
from training.inpaint import holes
from training.inpaint.synthetic_glasses import MIN_OPACITY, glasses_hole, synthetic_glasses


def painted(size: int, seed: int = 1) -> torch.Tensor:
    """Glasses (colour and opacity) for a face of `size` px."""
    return torch.from_numpy(synthetic_glasses(np.random.default_rng(seed), size))


def mask_of(region: str, size: int) -> torch.Tensor:
    return torch.from_numpy(holes.region_mask(REGIONS[region], size))[None, None].float()


@pytest.mark.parametrize("size", [64, 128])
def test_a_mask_over_the_eyes_is_reduced_to_the_glasses(size):
    seen = (painted(size)[3] > MIN_OPACITY)[None, None]
    logits, mask = seen.float() * 4 - 2, mask_of("glasses", size)
    reduced = glasses_mask(logits, mask)
    assert ((reduced == 0) | (reduced == 1)).all()
    assert (reduced <= mask).all()
    assert (reduced[seen & (mask > 0)] == 1).all()
    rows, columns = np.nonzero(reduced[0, 0].numpy())
    glasses = np.argwhere(seen[0, 0].numpy())
    far = [np.abs(glasses - place).max(1).min() for place in zip(rows, columns, strict=True)]
    assert 0 < max(far) <= (CLOSING_RADIUS_PX + DILATION_PX) * size / 128 + 1
    assert reduced.sum() < 0.8 * mask.sum()


def test_a_mask_without_glasses_in_it_stays_as_it_is():
    seen = (painted(64)[3] > MIN_OPACITY)[None, None].float() * 4 - 2
    assert torch.equal(glasses_mask(seen * 0 - 2, mask_of("glasses", 64)), mask_of("glasses", 64))
    for region in ("mouth", "lower face"):
        assert torch.equal(glasses_mask(seen, mask_of(region, 64)), mask_of(region, 64))


def test_a_mask_below_the_eyes_is_not_reduced():
    seen = (painted(64)[3] > MIN_OPACITY)[None, None].float() * 4 - 2
    mask = (mask_of("glasses", 64) + mask_of("mouth", 64)).clamp(max=1)
    reduced = glasses_mask(seen, mask)
    bottom = round(EYE_BAND.bottom * 64 / UNITS)
    assert torch.equal(reduced[:, :, bottom:], mask[:, :, bottom:])
    assert reduced[:, :, :bottom].sum() < 0.8 * mask[:, :, :bottom].sum()


def test_each_face_of_a_batch_is_treated_alone():
    seen = (painted(64)[3] > MIN_OPACITY)[None, None].float() * 4 - 2
    both, mask = torch.cat([seen, seen * 0 - 2]), mask_of("glasses", 64)
    together = glasses_mask(both, mask.expand(2, 1, 64, 64))
    for row, logits in zip(together, both, strict=True):
        assert torch.equal(row[None], glasses_mask(logits[None], mask))


def test_the_segmenter_takes_other_sizes():
    segmenter = GlassesSegmenter()
    for size in (64, 96, 128):
        assert segmenter(torch.rand(2, 3, size, size)).shape == (2, 1, size, size)


def test_glasses_holes_cover_the_glasses_and_little_more():
    for seed in range(8):
        hole = glasses_hole(np.random.default_rng(seed), 128)
        rng = np.random.default_rng(seed)
        rng.uniform()
        seen = synthetic_glasses(rng, 128)[3] > MIN_OPACITY
        assert not (seen & ~hole).any()
        assert 0.02 < hole.mean() < 0.35


def effective_mask(model, face, mask, glasses=OFF) -> torch.Tensor:
    """The effective mask (h, w) of one face."""
    attributes = torch.tensor([[UNKNOWN, glasses, UNKNOWN, UNKNOWN]])
    return model.effective_mask(face[None], mask, attributes)[0, 0]


@pytest.fixture(scope="module")
def samples() -> torch.Tensor:
    """The page's generated faces, except the two with painted glasses."""
    without_glasses = SAMPLES[:-2]
    faces = [
        np.asarray(Image.open(file).convert("RGB").resize((128, 128))) for file in without_glasses
    ]
    return to_rgb(np.stack(faces), 128)


def test_the_shipped_model_segments_painted_glasses(samples):
    model, mask, covered, spared = checkpoint.load("inpaint"), mask_of("glasses", 128), [], []
    for i, face in enumerate(samples):
        glasses = painted(128, i)
        worn, truth = torch.lerp(face, glasses[:3], glasses[3]), glasses[3] > MIN_OPACITY
        reduced = effective_mask(model, worn, mask) > 0
        covered.append(float(reduced[truth].float().mean()))
        spared.append(1 - float(reduced.sum() / mask.sum()))
    assert np.mean(covered) > 0.85
    assert np.mean(spared) > 0.4


def test_the_shipped_model_removes_glasses_and_leaves_the_eyes(samples):
    model, classifier = checkpoint.load("inpaint"), checkpoint.load("face-classifier")
    mask, before, after, nearer = mask_of("glasses", 128)[0, 0], [], [], []
    for i, face in enumerate(samples):
        glasses = painted(128, i)
        worn = torch.lerp(face, glasses[:3], glasses[3])
        fill = model.inpaint(worn, mask, glasses=False, count=1, seed=i)[0]
        hole = effective_mask(model, worn, mask[None, None])
        assert torch.equal(fill[:, hole == 0], worn[:, hole == 0])
        assert torch.equal(effective_mask(model, worn, mask[None, None], UNKNOWN), mask)
        before += classifier.probabilities(worn[None])["Eyeglasses"]
        after += classifier.probabilities(fill[None])["Eyeglasses"]
        whole = model.inpaint(worn, mask, glasses=None, count=1, seed=i)[0]
        nearer.append(float((fill - face).abs().mean() < (whole - face).abs().mean()))
    seen = np.array(before) > 0.5
    assert seen.sum() >= 5
    assert (np.array(after)[seen] < 0.5).mean() >= 0.85
    assert np.mean(nearer) > 0.8
