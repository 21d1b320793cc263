"""Strokes in the conventions in use: the same drawing is the same ink, or it is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.images import CANVAS, rasterise, to_canvas
from tabs.components.drawing_pad import parse_drawing

CAT = [
    [[198, 150, 128, 58, 128], [150, 217, 220, 150, 80]],
    [[70, 65, 110], [110, 40, 85]],
    [[146, 191, 186, 150], [85, 40, 110, 120]],
]
places = st.integers(0, 255)
strokes = st.lists(
    st.integers(3, 8).flatmap(
        lambda n: st.lists(st.lists(places, min_size=n, max_size=n), min_size=2, max_size=2)
    ),
    min_size=1,
    max_size=4,
)


def points(drawing):
    return [[list(point) for point in zip(*stroke, strict=True)] for stroke in drawing]


def timed(drawing):
    return [[*stroke, [16 * i for i in range(len(stroke[0]))]] for stroke in drawing]


def offsets(drawing):
    rows, last = [], (0, 0)
    for xs, ys in drawing:
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            rows.append([x - last[0], y - last[1], int(i + 1 == len(xs))])
            last = x, y
    return rows


def fitted(drawing):
    """Moved to the top left, the longer side 255 px."""
    all_points = np.concatenate([np.array(stroke, float) for stroke in drawing], 1)
    low = all_points.min(1)
    scale = (CANVAS - 1) / (all_points.max(1) - low).max()
    return [((np.array(stroke, float) - low[:, None]) * scale).tolist() for stroke in drawing]


def same(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(np.array(one, float), np.array(other, float), atol=1e-6)


@given(strokes)
@settings(max_examples=60, deadline=None)
def test_points_and_times_are_read_as_axes(drawing):
    same(to_canvas(drawing), drawing)
    same(to_canvas(points(drawing)), drawing)
    same(to_canvas(timed(drawing)), drawing)
    if any(len(stroke[0]) == 3 for stroke in drawing):
        return  # three points [x, y, t] may also be three rows [xs, ys, ts]
    with_times = [[[*p, 50 * i] for i, p in enumerate(stroke)] for stroke in points(drawing)]
    same(to_canvas(with_times), drawing)


@given(strokes)
@settings(max_examples=60, deadline=None)
def test_numbers_from_0_to_1_are_shares_of_the_canvas(drawing):
    drawing[0][0][0] = 101
    shares = [[[v / 255 for v in axis] for axis in stroke] for stroke in drawing]
    same(to_canvas(shares), drawing)
    same(to_canvas(points(shares)), drawing)


@pytest.mark.parametrize(("scale", "shift"), [(4.0, 0), (1.7, -300), (9.0, 77.5)])
def test_a_larger_canvas_is_scaled_down(scale, shift):
    larger = [[[scale * v + shift for v in axis] for axis in stroke] for stroke in CAT]
    same(to_canvas(larger), fitted(CAT))
    same(to_canvas(points(larger)), fitted(CAT))


@pytest.mark.parametrize(("scale", "shift"), [(4.0, 0), (0.4, 500), (1.0, -90)])
def test_raw_strokes_of_the_data_set_are_aligned_as_its_simplified_ones(scale, shift):
    raw = timed([[[scale * v + shift for v in axis] for axis in stroke] for stroke in CAT])
    same(to_canvas(raw), fitted(CAT))


def test_offsets_are_added_up():
    same(to_canvas(offsets(CAT)), fitted(CAT))
    small = [[dx / 40, dy / 40, up] for dx, dy, up in offsets(CAT)]
    same(to_canvas(small), fitted(CAT))


def test_the_form_of_the_documentation_stays_what_it_is():
    line = [[[40, 200], [60, 60]]]
    same(to_canvas(line), line)
    dot = [[[9], [9]]]
    same(to_canvas(dot), dot)


def test_an_ambiguous_stroke_is_read_as_the_others_are():
    short = [[40, 200], [60, 90]]
    same(to_canvas([short, points(CAT)[0]]), [[[40, 60], [200, 90]], CAT[0]])
    same(to_canvas([short, CAT[0]]), [short, CAT[0]])


@pytest.mark.parametrize("shift", [-100, 100, 700])
def test_what_would_be_cut_off_is_refused_with_both_readings(shift):
    moved = [[[v + shift for v in axis] for axis in stroke] for stroke in CAT]
    with pytest.raises(ValueError, match=r"beyond the canvas .* of a part of it, or of a screen"):
        to_canvas(moved)


def test_pasted_text_is_read_as_the_list_that_it_is():
    text = json.dumps(points(CAT))
    np.testing.assert_array_equal(parse_drawing(text), rasterise(CAT).numpy())
    pad = json.dumps({"strokes": CAT, "erase": [False] * 3})
    np.testing.assert_array_equal(parse_drawing(pad), rasterise(CAT).numpy())


def test_the_page_itself_may_draw_beyond_its_canvas():
    beyond = {"strokes": [[[100, 300], [100, 100]]]}
    np.testing.assert_array_equal(parse_drawing(beyond), rasterise(beyond["strokes"]).numpy())


def test_points_of_three_numbers_are_told_from_offsets():
    rows = [[[10, 20, 0], [30, 40, 5], [50, 60, 9]]]
    same(to_canvas(rows), [[[10, 30, 50], [20, 40, 60]]])


def test_the_docs_say_so():
    text = (Path(__file__).parents[1] / "docs/api.md").read_text()
    assert "stroke-3" in text
