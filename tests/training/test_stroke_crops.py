"""Parts of drawings, against slow and plain answers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.images import CANVAS
from tests.helpers.drawings import (
    COORDINATES,
    DRAWINGS,
    FRACTIONS,
    Strokes,
    distance,
    length,
    no_deadline,
    random_strokes,
    same,
    stroke_strategy,
)
from training.data.quickdraw import TOLERANCE_PX
from training.data.stroke_crops import (
    clip_to_rectangle,
    random_placement,
    random_rectangle,
    random_subset,
    simplify,
    split_by_length,
)

# Cutting


@no_deadline
@given(DRAWINGS, FRACTIONS)
def test_the_two_parts_of_a_cut_are_the_drawing(strokes: Strokes, fraction: float):
    first, rest = split_by_length(strokes, fraction)
    assert length(first) == pytest.approx(fraction * length(strokes), abs=1e-6)
    assert length(rest) == pytest.approx((1 - fraction) * length(strokes), abs=1e-6)
    if len(first) + len(rest) == len(strokes):
        assert same([*first, *rest], strokes)
        return
    before, after = first[-1], rest[0]
    assert np.array_equal(before[:, -1], after[:, 0])
    whole = strokes[len(first) - 1]
    assert np.array_equal(np.concatenate([before[:, :-1], after[:, 1:]], 1), whole)
    assert distance(after[:, :1], whole) == pytest.approx(0, abs=1e-6)
    assert same([*first[:-1], whole, *rest[1:]], strokes)


@no_deadline
@given(DRAWINGS)
def test_nothing_is_left_of_a_whole_drawing(strokes: Strokes):
    first, rest = split_by_length(strokes, 1.0)
    assert same(first, strokes)
    assert rest == []
    first, rest = split_by_length(strokes, 0.0)
    assert length(first) == 0
    assert same([*first, *rest], strokes)
    assert rest == [] or length(rest[:1]) > 0


def test_a_cut_in_mid_stroke():
    corner = np.array([[0.0, 100, 100], [0, 0, 100]])
    (first,), (rest,) = split_by_length([corner], 0.75)
    assert first.tolist() == [[0, 100, 100], [0, 0, 50]]
    assert rest.tolist() == [[100, 100], [50, 100]]
    (first,), rest = split_by_length([corner, corner], 0.2)
    assert first.tolist() == [[0, 80], [0, 0]]
    assert [s.tolist() for s in rest] == [[[80, 100, 100], [0, 0, 100]], corner.tolist()]


def test_dots_and_standstills_are_cut_by_their_place():
    dot, still = np.array([[9.0], [9.0]]), np.array([[0.0, 0, 100, 100], [5, 5, 5, 5]])
    first, rest = split_by_length([dot, still, dot], 0.5)
    assert same(first, [dot, np.array([[0.0, 0, 50], [5, 5, 5]])])
    assert same(rest, [np.array([[50.0, 100, 100], [5, 5, 5]]), dot])
    assert same(split_by_length([dot, dot], 0.5)[0], [dot, dot])


def test_some_strokes_and_the_others_are_all_of_them():
    rng, strokes = np.random.default_rng(6), [np.full((2, 2), float(i)) for i in range(5)]
    seen = set()
    for _ in range(500):
        kept, missing = ([int(s[0, 0]) for s in part] for part in random_subset(strokes, rng))
        assert kept == sorted(kept)
        assert missing == sorted(missing)
        assert sorted([*kept, *missing]) == [0, 1, 2, 3, 4]
        seen.add(tuple(kept))
    assert len(seen) == 2**5 - 2  # neither none nor all


def test_a_lone_stroke_loses_its_end():
    rng, stroke = np.random.default_rng(7), np.array([[0.0, 200], [0, 0]])
    ends = []
    for _ in range(200):
        (kept,), (missing,) = random_subset([stroke], rng)
        assert kept[0, -1] == missing[0, 0]
        ends.append(kept[0, -1])
    assert 20 <= min(ends) < 30
    assert 170 < max(ends) <= 180


# Rectangles


def test_a_rectangle_is_of_some_size_and_holds_ink():
    rng = np.random.default_rng(8)
    sides = []
    for _ in range(300):
        strokes = random_strokes(rng)
        low, high = random_rectangle(strokes, rng)
        points = np.concatenate(strokes, 1).T
        assert ((points > low) & (points < high)).all(1).any()
        sides.append((high - low) / CANVAS)
    assert 0.1 <= np.min(sides) < 0.12
    assert 0.58 < np.max(sides) <= 0.6


CORNERS = st.tuples(*[st.tuples(COORDINATES, COORDINATES)] * 2).map(lambda pair: np.sort(pair, 0))


@no_deadline
@given(stroke_strategy(8), CORNERS)
def test_what_is_inside_is_what_dense_sampling_finds(stroke: np.ndarray, corners: np.ndarray):
    low, high = corners
    runs = clip_to_rectangle([stroke], low, high)
    for run in runs:
        assert (run >= low[:, None] - 1e-9).all()
        assert (run <= high[:, None] + 1e-9).all()
        assert distance(run, stroke.repeat(2, 1)) == pytest.approx(0, abs=1e-6)
    samples = 1000
    middles = (np.arange(samples) + 0.5) / samples
    expected = 0.0
    for a, b in itertools.pairwise(stroke.T[:, :, None]):
        dense = a + middles * (b - a)
        within = ((dense >= low[:, None]) & (dense <= high[:, None])).all(0)
        expected += float(np.linalg.norm(b - a) * within.mean())
    assert length(runs) == pytest.approx(expected, abs=length([stroke]) / samples + 1e-6)


@no_deadline
@given(stroke_strategy(8), CORNERS)
def test_a_run_ends_with_its_stroke_or_at_a_side(stroke: np.ndarray, corners: np.ndarray):
    for run in clip_to_rectangle([stroke], *corners):
        for end, of_stroke in ((run[:, 0], stroke[:, 0]), (run[:, -1], stroke[:, -1])):
            at_side = np.abs(end - corners).min() < 1e-9
            assert at_side or np.allclose(end, of_stroke)


@no_deadline
@given(DRAWINGS)
def test_strokes_wholly_inside_stay_as_they_are(strokes: Strokes):
    runs = clip_to_rectangle(strokes, np.zeros(2), np.full(2, 255.0))
    assert len(runs) == len(strokes)
    for run, stroke in zip(runs, strokes, strict=True):
        np.testing.assert_allclose(run, stroke, atol=1e-9)


SQUARE = (np.array([50.0, 50]), np.array([150.0, 150]))


@pytest.mark.parametrize(
    ("stroke", "expected"),
    [
        ([[100], [100]], [[[100], [100]]]),
        ([[150], [50]], [[[150], [50]]]),
        ([[151], [100]], []),
        ([[100, 100], [100, 100]], [[[100, 100], [100, 100]]]),
        ([[10, 10], [100, 100]], []),
        ([[0, 200, 200, 0], [60, 60, 140, 140]], [[[50, 150], [60, 60]], [[150, 50], [140, 140]]]),
        ([[0, 100, 100, 0], [60, 60, 90, 90]], [[[50, 100, 100, 50], [60, 60, 90, 90]]]),
        ([[100, 150, 100], [60, 70, 80]], [[[100, 150, 100], [60, 70, 80]]]),
        ([[0, 50, 100], [60, 60, 60]], [[[50, 50, 100], [60, 60, 60]]]),
        ([[50, 50], [0, 200]], [[[50, 50], [50, 150]]]),
        ([[0, 200], [0, 200]], [[[50, 150], [50, 150]]]),
        ([[0, 99], [101, 200]], []),
    ],
    ids=[
        *("dot", "dot on a corner", "dot outside", "standstill", "standstill outside"),
        *("two runs", "in and out", "touches a side", "starts at a side", "along a side"),
        *("diagonal", "past a corner"),
    ],
)
def test_runs_inside_a_square(stroke: list[list[float]], expected: list[list[list[float]]]):
    runs = clip_to_rectangle([np.array(stroke, float)], *SQUARE)
    assert [run.tolist() for run in runs] == expected


# Fewer points


@no_deadline
@given(stroke_strategy(12), st.sampled_from([0.0, 1.0, TOLERANCE_PX, 40.0]))
def test_points_left_out_are_near_the_simplified_stroke(stroke: np.ndarray, tolerance: float):
    kept = simplify(stroke, tolerance)
    assert np.array_equal(kept[:, 0], stroke[:, 0])
    assert np.array_equal(kept[:, -1], stroke[:, -1])
    left = iter(stroke.T.tolist())
    assert all(point in left for point in kept.T.tolist())  # in this order
    assert distance(stroke, kept.repeat(2, 1)).max() <= tolerance + 1e-6
    assert np.array_equal(simplify(kept, tolerance), kept)


@pytest.mark.parametrize(
    ("stroke", "expected"),
    [
        ([[0, 10, 20, 30], [0, 1, -1, 0]], [[0, 30], [0, 0]]),
        ([[0, 10, 20, 30], [0, 9, -9, 0]], [[0, 10, 20, 30], [0, 9, -9, 0]]),
        ([[0, 100, 10], [0, 0, 0]], [[0, 100, 10], [0, 0, 0]]),
        ([[0, 0, 100, 0], [0, 90, 0, 0]], [[0, 0, 100, 0], [0, 90, 0, 0]]),
        ([[7], [7]], [[7], [7]]),
        ([[7, 7, 7], [7, 7, 7]], [[7, 7], [7, 7]]),
    ],
    ids=["wobble", "zigzag", "turns back", "closed", "dot", "standstill"],
)
def test_a_simplified_stroke(stroke: list[list[float]], expected: list[list[float]]):
    assert simplify(np.array(stroke, float), TOLERANCE_PX).tolist() == expected


# Another place


def test_a_placed_drawing_is_inside_and_of_the_same_shape():
    rng = np.random.default_rng(9)
    frame = [np.array([[0.0, 255, 255, 0], [0, 0, 255, 255]]), np.array([[0.0, 255], [0, 255]])]
    scales = []
    for _ in range(300):
        square, diagonal = random_placement(frame, rng)
        assert square.min() >= 0
        assert square.max() <= CANVAS - 1
        assert np.allclose(diagonal, square[:, [0, 2]])
        scales.append(np.ptp(square, axis=1) / 255)
    scales = np.array(scales)
    ratio = scales[:, 0] / scales[:, 1]
    assert scales.min() >= 0.5 * 0.85
    assert scales.max() <= 1
    assert 0.85 <= ratio.min() < 0.9
    assert 1.1 < ratio.max() <= 1 / 0.85
