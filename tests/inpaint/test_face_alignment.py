"""Alignment of faces: from a photograph to the crop and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from models import face_alignment
from models.face_alignment import CROP_BOX, LEFT_EYE, REGIONS, RIGHT_EYE, UNITS

EYES = st.tuples(
    st.floats(50, 250), st.floats(50, 250), st.floats(8, 200), st.floats(-0.7, 0.7)
).map(lambda e: ((e[0], e[1]), (e[0] + e[2] * np.cos(e[3]), e[1] + e[2] * np.sin(e[3]))))


def smooth_photo(width: int = 300, height: int = 340) -> np.ndarray:
    """A photograph of blurred noise."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    soft = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(4)), float)
    spots = ((soft - soft.mean()) / soft.std() * 40 + 128).clip(0, 255)
    return np.stack([spots, 255 - spots / 2, spots / 2], -1).astype(np.uint8)


@given(EYES)
def test_the_transform_puts_the_eyes_where_celeba_has_them(eyes):
    transform = face_alignment.from_eyes(*eyes)
    units = transform.to_units(np.array(eyes)) * CROP_BOX[2] / UNITS + CROP_BOX[:2] - 0.5
    np.testing.assert_allclose(units, [LEFT_EYE, RIGHT_EYE], atol=1e-6)


@given(EYES, st.lists(st.tuples(st.floats(-20, 90), st.floats(-20, 90)), min_size=1, max_size=9))
def test_to_photo_and_to_units_are_inverse(eyes, points):
    transform = face_alignment.from_eyes(*eyes)
    there = np.array(points)
    np.testing.assert_allclose(transform.to_units(transform.to_photo(there)), there, atol=1e-6)


def test_an_aligned_photograph_is_cropped_like_the_training_faces():
    photo = smooth_photo(178, 218)
    eyes = [(x + 0.5, y + 0.5) for x, y in (LEFT_EYE, RIGHT_EYE)]
    found = face_alignment.crop(Image.fromarray(photo), face_alignment.from_eyes(*eyes), 128)
    left, top, side = CROP_BOX
    expected = photo[top : top + side, left : left + side].transpose(2, 0, 1) / 255
    assert np.abs(found.numpy() - expected).max() < 2 / 255


@settings(max_examples=25, deadline=None)
@given(EYES.filter(lambda e: 25 < np.hypot(e[1][0] - e[0][0], e[1][1] - e[0][1]) < 90))
def test_crop_then_composite_moves_nothing(eyes):
    photo, transform = smooth_photo(), face_alignment.from_eyes(*eyes)
    centre = transform.to_photo(np.array([[32.0, 32.0]]))[0].astype(int)
    hole = np.zeros(photo.shape[:2], bool)
    reach = int(8 * transform.scale)
    top, left = (max(0, c - reach) for c in centre[::-1])
    hole[top : centre[1] + reach, left : centre[0] + reach] = True
    if not hole.any():
        return
    square = face_alignment.crop(Image.fromarray(photo), transform, 128)
    back = face_alignment.composite(photo, square, hole, transform)
    assert np.array_equal(back[~hole], photo[~hole])
    if hole.sum() > 400:
        assert np.abs(displacement(back, photo, hole)).max() < 0.4  # px


def displacement(after: np.ndarray, before: np.ndarray, where: np.ndarray) -> np.ndarray:
    """By how many px (down, right) a picture has moved: least squares on its gradient."""
    grey = before.astype(float).mean(2)
    slopes = np.stack([s[where] for s in np.gradient(grey)], 1)
    return np.linalg.lstsq(slopes, (grey - after.astype(float).mean(2))[where], rcond=None)[0]


def test_a_shift_of_half_a_pixel_is_measured():
    photo = smooth_photo()
    transform = face_alignment.from_eyes((110.0, 150.0), (170.0, 150.0))
    hole = np.zeros(photo.shape[:2], bool)
    hole[170:220, 110:170] = True
    square = face_alignment.crop(Image.fromarray(photo), transform, 128)
    for shift in (0.0, 0.5):
        back = face_alignment.composite(
            photo, square, hole, transform._replace(tx=transform.tx + shift), seam=0.01
        )
        np.testing.assert_allclose(displacement(back, photo, hole), [0, shift], atol=0.1)


def test_the_feathered_border_lies_inside_the_mask():
    photo, transform = smooth_photo(), face_alignment.from_eyes((110.0, 150.0), (170.0, 150.0))
    hole = np.zeros(photo.shape[:2], bool)
    hole[170:220, 110:170] = True
    hole[100:104, 20:280] = True
    result = face_alignment.composite(photo, torch.ones(3, 64, 64), hole, transform)
    assert np.array_equal(result[~hole], photo[~hole])
    assert (result[190, 130:150] == 255).all()
    rim = np.abs(result[170, 115:165].astype(int) - photo[170, 115:165])
    assert rim.max() < np.abs(255 - photo[170, 115:165].astype(int)).max()
    untouched = face_alignment.composite(photo, torch.ones(3, 64, 64), hole & False, transform)
    assert np.array_equal(untouched, photo)


def test_unchanged_pixels_of_the_crop_keep_the_photograph():
    photo, transform = smooth_photo(), face_alignment.from_eyes((110.0, 150.0), (170.0, 150.0))
    hole = np.zeros(photo.shape[:2], bool)
    hole[140:240, 90:190] = True
    changed = np.zeros((64, 64), bool)
    changed[30:40] = True
    result = face_alignment.composite(
        photo, torch.ones(3, 64, 64), hole, transform, changed=changed
    )
    down = np.arange(float(len(photo)))
    rows = transform.to_units(np.stack([np.full_like(down, 140.0), down], 1))[:, 1]
    far = (np.abs(rows - 35) > 6) | ~hole[:, 140]
    assert np.array_equal(result[far], photo[far])
    assert (result[(np.abs(rows - 35) < 4) & hole[:, 140], 120:160] == 255).all()
    whole = face_alignment.composite(photo, torch.ones(3, 64, 64), hole, transform)
    everywhere = face_alignment.composite(
        photo, torch.ones(3, 64, 64), hole, transform, changed=np.ones((64, 64), bool)
    )
    assert np.array_equal(everywhere, whole)


def test_a_region_maps_to_the_same_region_of_the_crop():
    transform = face_alignment.from_eyes((110.0, 150.0), (170.0, 130.0))
    for region in REGIONS.values():
        hole = Image.new("1", (300, 340))
        corners = face_alignment.region_corners(region, transform)
        ImageDraw.Draw(hole).polygon([tuple(c) for c in corners], fill=1)
        found = face_alignment.crop_mask(np.asarray(hole), transform, 64).numpy() > 0
        top, left, bottom, right = (int(side) for side in region)
        assert found[top + 1 : bottom - 1, left + 1 : right - 1].all()
        beyond = found.copy()
        beyond[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = False
        assert not beyond.any()


@pytest.mark.parametrize("eyes", [((5, 5), (7, 5)), ((np.nan, 1), (50, 1)), ((np.inf, 1), (5, 1))])
def test_eyes_in_one_place_raise_an_error(eyes):
    with pytest.raises(ValueError, match="two different places"):
        face_alignment.from_eyes(*(tuple(map(float, eye)) for eye in eyes))


def test_a_crop_beyond_the_edge_repeats_the_outermost_pixels():
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[:, :2] = 200
    square = face_alignment.crop(
        Image.fromarray(photo), face_alignment.from_eyes((0.0, 20.0), (20.0, 20.0)), 64
    )
    assert (square[:, :, :4] * 255).round().eq(200).all()


def test_a_difference_is_added_where_the_crop_lies():
    photo = np.full((300, 400, 3), 100, np.uint8)
    transform = face_alignment.SimilarityTransform(2.0, 0.0, 150.0, 100.0)  # 128 px from (150, 100)
    difference = torch.zeros(3, 64, 64)
    difference[0, 20:40, 20:40] = 0.2
    result = face_alignment.add_difference(photo, difference, transform)
    changed = np.argwhere((result != photo).any(2))
    assert changed.min(0).tolist() == pytest.approx([140, 190], abs=4)
    assert changed.max(0).tolist() == pytest.approx([179, 229], abs=4)
    assert result[160, 210].tolist() == [151, 100, 100]
    far = transform._replace(tx=1000.0)
    assert np.array_equal(face_alignment.add_difference(photo, difference, far), photo)
