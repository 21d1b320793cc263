"""Taking glasses off: what is found, what of a hole then goes, and that only this changes."""

import numpy as np
import pytest
import torch
from PIL import Image

from models import checkpoint
from models.face_alignment import REGIONS, UNITS
from models.images import to_rgb
from models.inpaint.glasses import EYES, GAP, WIDER, GlassesFinder, to_go
from tabs.inpaint.tab import SAMPLES
from training.inpaint import holes
from training.inpaint.synthetic_glasses import SEEN, frames, spectacles


def painted(size: int, seed: int = 1) -> torch.Tensor:
    """Glasses (3 colours and how opaque) for a face of `size` px."""
    return torch.from_numpy(spectacles(np.random.default_rng(seed), size))


def mask_of(region: str, size: int) -> torch.Tensor:
    return torch.from_numpy(holes.fill(REGIONS[region], size))[None, None].float()


@pytest.mark.parametrize("size", [64, 128])
def test_of_a_hole_over_the_eyes_only_the_glasses_go(size):
    seen = (painted(size)[3] > SEEN)[None, None]
    logits, mask = seen.float() * 4 - 2, mask_of("glasses", size)
    gone = to_go(logits, mask)
    assert ((gone == 0) | (gone == 1)).all()
    assert (gone <= mask).all()
    assert (gone[seen & (mask > 0)] == 1).all()
    rows, columns = np.nonzero(gone[0, 0].numpy())
    there = np.argwhere(seen[0, 0].numpy())
    far = [np.abs(there - place).max(1).min() for place in zip(rows, columns, strict=True)]
    assert 0 < max(far) <= (GAP + WIDER) * size / 128 + 1
    assert gone.sum() < 0.8 * mask.sum()


def test_without_glasses_in_it_all_of_a_hole_goes():
    seen = (painted(64)[3] > SEEN)[None, None].float() * 4 - 2
    assert torch.equal(to_go(seen * 0 - 2, mask_of("glasses", 64)), mask_of("glasses", 64))
    for region in ("mouth", "lower face"):
        assert torch.equal(to_go(seen, mask_of(region, 64)), mask_of(region, 64))


def test_what_lies_below_the_eyes_goes_as_well():
    seen = (painted(64)[3] > SEEN)[None, None].float() * 4 - 2
    mask = (mask_of("glasses", 64) + mask_of("mouth", 64)).clamp(max=1)
    gone = to_go(seen, mask)
    bottom = round(EYES.bottom * 64 / UNITS)
    assert torch.equal(gone[:, :, bottom:], mask[:, :, bottom:])
    assert gone[:, :, :bottom].sum() < 0.8 * mask[:, :, :bottom].sum()


def test_each_face_has_its_own():
    seen = (painted(64)[3] > SEEN)[None, None].float() * 4 - 2
    both, mask = torch.cat([seen, seen * 0 - 2]), mask_of("glasses", 64)
    together = to_go(both, mask.expand(2, 1, 64, 64))
    for row, logits in zip(together, both, strict=True):
        assert torch.equal(row[None], to_go(logits[None], mask))


def test_the_finder_does_not_care_about_the_size():
    finder = GlassesFinder()
    for size in (64, 96, 128):
        assert finder(torch.rand(2, 3, size, size)).shape == (2, 1, size, size)


def test_holes_in_the_shape_of_glasses_cover_them_and_little_more():
    for seed in range(8):
        hole = frames(np.random.default_rng(seed), 128)
        wider = np.random.default_rng(seed)
        wider.uniform()
        seen = spectacles(wider, 128)[3] > SEEN
        assert not (seen & ~hole).any()
        assert 0.02 < hole.mean() < 0.35


@pytest.fixture(scope="module")
def samples() -> torch.Tensor:
    """The page's faces, which our own model made up, but for the two with painted glasses."""
    bare = SAMPLES[:-2]
    faces = [np.asarray(Image.open(file).convert("RGB").resize((128, 128))) for file in bare]
    return to_rgb(np.stack(faces), 128)


def test_what_ships_finds_painted_glasses(samples):
    model, mask, covered, spared = checkpoint.load("inpaint"), mask_of("glasses", 128), [], []
    for i, face in enumerate(samples):
        glasses = painted(128, i)
        worn, truth = torch.lerp(face, glasses[:3], glasses[3]), glasses[3] > SEEN
        gone = model.hole(worn, mask[0, 0], False) > 0
        covered.append(float(gone[truth].float().mean()))
        spared.append(1 - float(gone.sum() / mask.sum()))
    assert np.mean(covered) > 0.85
    assert np.mean(spared) > 0.4


def test_what_ships_takes_them_off_and_leaves_the_eyes(samples):
    model, classifier = checkpoint.load("inpaint"), checkpoint.load("face-classifier")
    mask, before, after, nearer = mask_of("glasses", 128)[0, 0], [], [], []
    for i, face in enumerate(samples):
        glasses = painted(128, i)
        worn = torch.lerp(face, glasses[:3], glasses[3])
        fill = model.inpaint(worn, mask, glasses=False, count=1, seed=i)[0]
        hole = model.hole(worn, mask, False)
        assert torch.equal(fill[:, hole == 0], worn[:, hole == 0])
        assert torch.equal(model.hole(worn, mask, None), mask)
        before += classifier.probabilities(worn[None])["Eyeglasses"]
        after += classifier.probabilities(fill[None])["Eyeglasses"]
        whole = model.inpaint(worn, mask, glasses=None, count=1, seed=i)[0]
        nearer.append(float((fill - face).abs().mean() < (whole - face).abs().mean()))
    seen = np.array(before) > 0.5
    assert seen.sum() >= 5
    assert (np.array(after)[seen] < 0.5).mean() >= 0.85
    assert np.mean(nearer) > 0.8
