"""Training batches of the inpainter: masks, synthetic glasses, attributes, shards."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.face_alignment import REGIONS, UNITS
from models.inpaint.attributes import OFF, ON, UNKNOWN
from tests.helpers.faces import with_random_photos, write_celeba
from training.data import celeba
from training.inpaint import holes
from training.inpaint.dataset import (
    ATTRIBUTE_REGIONS,
    MAX_BRIGHTNESS,
    P_FLIP,
    SATURATION,
    InpaintDataset,
    Windows,
    covers,
    sample_attributes,
    turned_round,
    window_side,
)
from training.inpaint.synthetic_glasses import synthetic_glasses

NAMES = ("Smiling", "Eyeglasses", "Male", "Young")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> celeba.Faces:
    folder: Path = tmp_path_factory.mktemp("celeba")
    return celeba.load(with_random_photos(write_celeba(folder / "celeba", 24)), "train")


def test_rectangles_have_the_area_that_was_asked_for():
    rng = np.random.default_rng(0)
    for low, high in (holes.SMALL, holes.LARGE, holes.ANY):
        for _ in range(300):
            region = holes.random_rectangle(rng, (low, high))
            assert min(region) >= 0
            assert max(region) <= UNITS
            exact = (region.bottom - region.top) * (region.right - region.left) / UNITS**2
            assert low - 1e-9 <= exact <= high + 1e-9
            for size in (64, 128):
                area = holes.region_mask(region, size).mean()
                assert abs(area - exact) < 2.5 * np.sqrt(exact) / size + 1 / size**2


def test_masks_are_varied_and_never_empty():
    masks = holes.random_masks(np.random.default_rng(1), 500, 64)
    area = masks.mean((1, 2))
    assert area.min() > 0
    assert area.max() < 0.6
    assert len(np.unique(masks, axis=0)) > 440


def test_a_region_covers_its_own_attribute():
    for region, attribute, expected in (
        ("mouth", "Smiling", True),
        ("lower face", "Smiling", True),
        ("eyes", "Smiling", False),
        ("glasses", "Eyeglasses", True),
        ("eyes", "Eyeglasses", True),
        ("mouth", "Eyeglasses", False),
    ):
        for size in (64, 128):
            mask = holes.region_mask(REGIONS[region], size)[None]
            assert covers(mask, attribute)[0] == expected
    assert set(ATTRIBUTE_REGIONS) == set(NAMES)


def test_synthetic_glasses_lie_on_the_eyes():
    glasses = [synthetic_glasses(np.random.default_rng(i), 64) for i in range(12)]
    opacity = np.mean([one[3] for one in glasses], 0)
    assert all(one.min() >= 0 and one.max() <= 1 for one in glasses)
    top, left, bottom, right = REGIONS["glasses"]
    inside = opacity[int(top) : int(bottom), int(left) : int(right)]
    assert inside.sum() > 0.95 * opacity.sum()
    assert inside.mean() > 0.1
    assert len({one.tobytes() for one in glasses}) == 12


def test_batches_are_a_function_of_seed_and_number(faces):
    dataset = InpaintDataset(faces, 32, 40, 7, ("Smiling", "Eyeglasses"))
    one, two, other = dataset[3], dataset[3], dataset[4]
    for a, b in zip(one, two, strict=True):
        assert (a == b).all()
    assert (one.mask != other.mask).any()
    known = one.attributes != UNKNOWN
    assert (one.attributes[known] == one.labels[known]).all()
    assert 0.5 < float(known.float().mean()) < 0.9


def test_attributes_are_sampled_for_fills_from_the_prior_where_the_mask_allows_it(faces):
    batch = InpaintDataset(faces, 64, 400, 0, NAMES)[0]
    attributes = sample_attributes(batch, NAMES, 300, np.random.default_rng(0))
    assert torch.equal(attributes[:100], batch.attributes[:100])
    fixed = ~batch.covered[100:]
    assert torch.equal(attributes[100:][fixed], batch.attributes[100:][fixed])
    smiles = attributes[100:, 0][batch.covered[100:, 0]]
    fractions = [float((smiles == state).float().mean()) for state in (OFF, ON, UNKNOWN)]
    np.testing.assert_allclose(fractions, 1 / 3, atol=0.1)
    glasses = attributes[100:, 1][batch.covered[100:, 1]]
    assert 0 < float((glasses == ON).float().mean()) < 0.25
    for i, name in enumerate(NAMES[2:], 2):
        asked, labels = attributes[100:, i], batch.labels[100:, i].long()
        known = batch.covered[100:, i] & (asked != UNKNOWN)
        flipped = float((asked != labels)[known].float().mean())
        assert abs(flipped - P_FLIP[name]) < 0.15
    same = sample_attributes(batch, NAMES, 0, np.random.default_rng(0))
    assert torch.equal(same, batch.attributes)


@pytest.mark.parametrize("n_prior", [0, 8])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_shards_partition_a_training_batch(faces, n_prior, count):
    whole = InpaintDataset(faces, 64, 16, 1, NAMES).training_batch(5, n_prior, 4)
    shards = [whole.shard(i, count) for i in range(count)]
    assert {shard.n_prior for shard in shards} == {n_prior // count}
    flat = [_tensors(shard) for shard in (whole, *shards)]
    n_weights = len(whole.weights)
    for k, (expected, *parts) in enumerate(zip(*flat, strict=True)):
        joined = torch.zeros_like(expected)
        for i, part in enumerate(parts):
            joined[i::count] = part
        is_weight = 8 <= k < 8 + n_weights
        torch.testing.assert_close(joined, expected * count if is_weight else expected)
    for shard in shards:  # the faces that are filled from the prior stay the last ones
        n_posterior = 16 // count - shard.n_prior
        assert (shard.weights.reconstruction[:n_posterior] > 0).all()
        assert not shard.weights.reconstruction[n_posterior:].any()


def _tensors(batch) -> list[torch.Tensor]:
    """Five of the faces, real faces, wrong attributes, noise, the weights, then the others."""
    faces, real, wrong, noise, weights, windows, *inputs, _ = batch
    return [*faces, real, wrong, noise, *weights, *windows, *inputs]


def test_each_face_that_is_filled_from_the_prior_is_filled_twice(faces):
    batch = InpaintDataset(faces, 64, 16, 1, NAMES).training_batch(5, 8, 4)
    for part in batch.faces:
        assert torch.equal(part[8:12], part[12:])
    assert not torch.equal(batch.noise[8:12], batch.noise[12:])


def test_real_faces_show_what_is_asked_for(faces):
    dataset = InpaintDataset(faces, 128, 16, 1, ("Smiling", "Male"))
    asked = torch.tensor([[ON, UNKNOWN], [OFF, ON], [UNKNOWN, UNKNOWN], [ON, OFF]] * 5)
    found = dataset.matching(asked, np.random.default_rng(0))
    smiling, male = faces.column("Smiling"), faces.column("Male")
    pictures = torch.from_numpy(faces.images).permute(0, 3, 1, 2).float() / 255
    for picture, (smile, man) in zip(found, asked.tolist(), strict=True):
        same = [
            i
            for i, face in enumerate(pictures)
            if min(float((picture - x).abs().max()) for x in (face, face.flip(2))) < 0.01
        ]
        assert same
        assert smile == UNKNOWN or any(smiling[i] == (smile == ON) for i in same)
        assert man == UNKNOWN or any(male[i] == (man == ON) for i in same)


def test_the_faces_of_reconstructions_are_their_own_real_faces(faces):
    batch = InpaintDataset(faces, 64, 16, 1, NAMES).training_batch(2, 8, 4)
    assert torch.equal(batch.real[:8], batch.faces.image[:8])
    assert not torch.equal(batch.real[8:], batch.faces.image[8:])


def test_one_known_attribute_is_turned_round():
    asked = torch.tensor([[ON, UNKNOWN, OFF], [UNKNOWN] * 3, [UNKNOWN, OFF, UNKNOWN]] * 20)
    wrong = turned_round(asked, np.random.default_rng(0))
    changed = (wrong != asked).sum(1).view(20, 3)
    assert (changed == torch.tensor([1, 0, 1])).all()
    assert ((wrong == UNKNOWN) == (asked == UNKNOWN)).all()
    assert (wrong[2::3, 1] == ON).all()


def test_windows_hold_the_hole_and_are_cut_as_by_slices():
    rng = np.random.default_rng(0)
    mask = torch.from_numpy(np.stack([holes.region_mask(REGIONS[name], 128) for name in REGIONS]))[
        :, None
    ].float()
    windows, x = Windows.draw(rng, mask), torch.rand(len(mask), 3, 128, 128)
    side = window_side(128)
    assert side == 96
    for i, (cut, hole) in enumerate(zip(windows.cut(x), windows.cut(mask), strict=True)):
        top, left = int(windows.top[i]), int(windows.left[i])
        assert torch.equal(cut, x[i, :, top : top + side, left : left + side])
        assert hole.sum() > 0.8 * mask[i].sum()
    grey = x.mean(1, keepdim=True)
    shown = windows.show(x)
    expected = windows.cut(grey + windows.saturation * (x - grey) + windows.brightness)
    torch.testing.assert_close(shown, expected)
    assert windows.brightness.abs().max() <= MAX_BRIGHTNESS
    assert SATURATION[0] <= windows.saturation.min() <= windows.saturation.max() <= SATURATION[1]
