"""Pictures of drawings: pen, paper, size and place do not change what the network sees."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage

from models.images import picture_to_ink, rasterise
from models.line_extraction import (
    NO_LINES,
    extract_digit,
    extract_ink,
    label_components,
    otsu,
    thin,
)
from tests.helpers.drawings import smooth

CAT = [
    [[128, 180, 200, 180, 128, 76, 56, 76, 128], [70, 90, 140, 190, 210, 190, 140, 90, 70]],
    [[70, 60, 105], [100, 30, 78]],
    [[150, 195, 188], [78, 30, 100]],
]


def page(side=512, pen=24.0, ink="black", paper="white", extent=1.0, shift=(0, 0), strokes=CAT):
    """The drawing with a round pen on a square page, of which it covers a share."""
    scale = 4 * side * extent / 256
    canvas = Image.new("L", (4 * side // 2, 4 * side // 2))
    draw, r = ImageDraw.Draw(canvas), pen
    for xs, ys in strokes:
        points = [
            (x * scale / 2 + 2 * shift[0], y * scale / 2 + 2 * shift[1])
            for x, y in zip(xs, ys, strict=True)
        ]
        draw.line(points, fill=255, width=round(2 * r))
        for x, y in points:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    mask = canvas.resize((side, side), Image.Resampling.BOX)
    picture = Image.new("RGB", (side, side), paper)
    picture.paste(Image.new("RGB", (side, side), ink), mask=mask)
    return picture


def overlap(a, b):
    """Intersection over union of the ink."""
    a, b = a > 0.5, b > 0.5
    return float((a & b).sum() / (a | b).sum())


PENS = {
    "white on black": {"ink": "white", "paper": "black"},
    "yellow on white": {"ink": "#ffd000"},
    "pale blue on white": {"ink": "#a8d0ff"},
    "pale grey on white": {"ink": "#c8c8c8"},
    "dark blue on brown paper": {"ink": "#102060", "paper": "#c8a070"},
    "chalk on a green board": {"ink": "#f0f0e0", "paper": "#205030"},
    "a thin pen": {"side": 1000, "pen": 2},
    "a pen of 5 px": {"side": 1000, "pen": 5},
}


@pytest.mark.parametrize("name", PENS)
def test_pen_and_paper_do_not_change_what_the_network_sees(name):
    assert overlap(extract_ink(page(**PENS[name])), rasterise(CAT)) > 0.7


def test_a_broad_pen_becomes_the_usual_one():
    found = extract_ink(page(pen=44))
    assert overlap(found, rasterise(CAT)) > 0.55  # thinned ends are a little shorter
    assert abs(float(found.sum() / rasterise(CAT).sum()) - 1) < 0.2


def test_what_is_rendered_as_the_data_is_taken_as_it_is():
    for side, pen in ((256, 12), (512, 24), (1024, 48)):
        picture = page(side, pen)
        assert torch.equal(extract_ink(picture), picture_to_ink(picture))


def test_inverting_a_picture_changes_nothing():
    for arguments in ({}, {"pen": 6}, {"side": 900, "pen": 4}):
        picture = page(**arguments)
        inverse = Image.eval(picture, lambda v: 255 - v)
        assert overlap(extract_ink(picture), extract_ink(inverse)) > 0.75


@pytest.mark.parametrize("shift", [(0, 0), (700, 0), (0, 650), (350, 380)])
@pytest.mark.parametrize("extent", [0.15, 0.3])
def test_size_and_place_of_a_small_drawing_do_not_count(extent, shift):
    small = extract_ink(page(1000, 6, extent=extent, shift=shift))
    other = extract_ink(page(1000, 6, extent=0.25, shift=(100, 100)))
    assert overlap(small, other) > 0.75
    rows = torch.nonzero(small.amax(1) > 0.5)[:, 0]
    assert 44 <= int(rows[-1] - rows[0]) <= 58  # 200 of 256 px, and the pen


def test_transparent_paper_is_light_or_dark_as_the_ink_asks():
    mask = page(ink="white", paper="black").convert("L")
    for ink in ("white", "black", "red"):
        picture = Image.new("RGBA", mask.size, ink)
        picture.putalpha(mask)
        assert overlap(extract_ink(picture), rasterise(CAT)) > 0.7


@pytest.mark.parametrize("darkest", [0.35, 0.6])
def test_unevenly_lit_paper_is_no_ink(darkest):
    y, x = np.mgrid[0:1000, 0:1000] / 1000
    light = 0.9 - (0.9 - darkest) * (0.5 * x + 0.5 * y)
    noise = np.random.default_rng(0).normal(0, 3, (1000, 1000))
    drawn = np.asarray(page(1000, 8, ink="#282828").convert("L"), float)
    photo = Image.fromarray((drawn * light + noise).clip(0, 255).astype(np.uint8))
    assert overlap(extract_ink(photo), rasterise(CAT)) > 0.7


def waves() -> Image.Image:
    """Soft shading in all grey values, as in a photograph."""
    y, x = np.mgrid[0:300, 0:300] / 300
    rng = np.random.default_rng(1)
    value = sum(np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in rng.uniform(-6, 6, (8, 3)))
    return Image.fromarray((127 + 40 * value).clip(0, 255).astype(np.uint8))


def speckle() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (300, 300), "white"),
        Image.new("L", (300, 300), 0),
        Image.new("RGBA", (64, 64), (0, 0, 0, 0)),
        waves(),
        speckle(),
    ],
    ids=["white", "black", "transparent", "a photograph", "noise"],
)
def test_a_picture_without_lines_is_refused(picture):
    with pytest.raises(ValueError, match=NO_LINES):
        extract_ink(picture)


@pytest.mark.parametrize("side", [28, 64, 280, 900])
@pytest.mark.parametrize("colours", [("white", "black"), ("black", "white"), ("blue", "#eeeeee")])
def test_a_digit_of_any_size_and_polarity_is_the_same(side, colours):
    seven = [[[80, 180, 120], [60, 60, 200]]]
    expected = extract_digit(page(512, 40, strokes=seven))
    found = extract_digit(page(side, 40 * side / 512, *colours, strokes=seven))
    assert found.shape == (28, 28)
    limit = 0.06 if side > 28 else 0.12
    assert float((found - expected).abs().mean()) < limit


def test_a_thin_digit_is_drawn_again_with_a_pen_of_the_data():
    seven = [[[80, 180, 120], [60, 60, 200]]]
    thin_one = extract_digit(page(1000, 3, strokes=seven))
    broad = extract_digit(page(512, 30, strokes=seven))
    assert 0.5 < float(thin_one.sum() / broad.sum()) < 1.5


def test_components_are_those_of_scipy():
    rng = np.random.default_rng(0)
    for share in (0.2, 0.4, 0.6):
        mask = rng.uniform(size=(40, 50)) < share
        ours = label_components(mask)
        theirs, count = ndimage.label(mask, np.ones((3, 3)))
        assert len(np.unique(ours[mask])) == count
        assert len(set(zip(ours[mask].tolist(), theirs[mask].tolist(), strict=True))) == count
        assert not ours[~mask].any()


def test_thinned_lines_are_thin_inside_the_strokes_and_in_as_many_parts():
    rng = np.random.default_rng(3)
    for _ in range(4):
        mask = rasterise([stroke.tolist() for stroke in smooth(rng)]).numpy() > 0.5
        lines = thin(mask)
        assert not (lines & ~mask).any()
        assert lines.sum() < mask.sum() / 2
        ones = np.ones((3, 3))
        assert ndimage.label(lines, ones)[1] == ndimage.label(mask, ones)[1]
        blocks = lines[1:, 1:] & lines[:-1, 1:] & lines[1:, :-1] & lines[:-1, :-1]
        assert blocks.sum() <= 3


def test_two_groups_of_values_are_separated():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(40, 5, 500), rng.normal(150, 10, 100)])
    assert 55 < otsu(values) < 120
