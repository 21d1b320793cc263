"""Parts of drawings, and the training examples made of them, against slow and plain answers."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.images import CANVAS, draw_strokes, shrink
from models.sketch_points import DRAW, END, MOVE, STEP, to_points, to_strokes
from training.data import completions, partials
from training.data.completions import GROUP, TOLERANCE, Batch, Drawings, Examples
from training.data.partials import cut, inside, part_strokes, place, rectangle, simplify
from training.data.quickdraw import CLASSES, Split, parse, read_class, split_of

Strokes = list[np.ndarray]
lawful = settings(deadline=None)

# Few places, so that points, lines and sides fall together; and sixteenths of a pixel in between.
COORDINATES = st.sampled_from([0.0, 64, 128, 192]) | st.integers(0, 255 * 16).map(lambda i: i / 16)
FRACTIONS = st.floats(0, 1)


def strokes_of(points: int) -> st.SearchStrategy[np.ndarray]:
    """Strokes of up to so many points."""
    rows = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=points)
    return rows.map(lambda row: np.array(row, float).T)


DRAWINGS = st.lists(strokes_of(6), min_size=1, max_size=4)


def doodle(rng: np.random.Generator, strokes: int = 4) -> Strokes:
    """Random strokes of 2 to 12 points within the frame."""
    return [rng.integers(0, CANVAS, (2, rng.integers(2, 13))).astype(float) for _ in range(strokes)]


def smooth(rng: np.random.Generator, strokes: int = 4) -> Strokes:
    """Random arcs of whole pixels within the frame."""
    arcs = []
    for _ in range(strokes):
        t = np.linspace(0, rng.uniform(2, 6), rng.integers(8, 20)) + rng.uniform(0, 6.3, (2, 1))
        middle, radius = rng.uniform(64, 192, (2, 1)), rng.uniform(15, 60, (2, 1))
        arcs.append((middle + radius * np.cos(t)).round())
    return arcs


def length(strokes: Sequence[np.ndarray]) -> float:
    """Length of the ink in px."""
    return sum(float(np.linalg.norm(np.diff(s, axis=1), axis=0).sum()) for s in strokes)


def same(one: Sequence[np.ndarray], two: Sequence[np.ndarray]) -> bool:
    """Whether these are the same strokes, point by point."""
    return len(one) == len(two) and all(map(np.array_equal, one, two))


def raster(strokes: Sequence[np.ndarray]) -> np.ndarray:
    """Ink of the networks' size."""
    return shrink(draw_strokes(strokes))


def iou(one: np.ndarray, two: np.ndarray) -> float:
    """Intersection over union of what is more than half ink."""
    return float(((one > 127) & (two > 127)).sum() / ((one > 127) | (two > 127)).sum())


def distance(points: np.ndarray, stroke: np.ndarray) -> np.ndarray:
    """Distances (n,) of points (2, n) to a polyline (2, m)."""
    found = np.full(points.shape[1], np.inf)
    for a, b in itertools.pairwise(stroke.T[:, :, None]):
        square = max(float(((b - a) ** 2).sum()), 1e-12)
        along = (((points - a) * (b - a)).sum(0) / square).clip(0, 1)
        found = np.minimum(found, np.linalg.norm(points - a - along * (b - a), axis=0))
    return found


# Cutting


@lawful
@given(DRAWINGS, FRACTIONS)
def test_the_two_parts_of_a_cut_are_the_drawing(strokes: Strokes, fraction: float):
    first, rest = cut(strokes, fraction)
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


@lawful
@given(DRAWINGS)
def test_nothing_is_left_of_a_whole_drawing(strokes: Strokes):
    first, rest = cut(strokes, 1.0)
    assert same(first, strokes)
    assert rest == []
    first, rest = cut(strokes, 0.0)
    assert length(first) == 0
    assert same([*first, *rest], strokes)
    assert rest == [] or length(rest[:1]) > 0


def test_a_cut_in_mid_stroke():
    corner = np.array([[0.0, 100, 100], [0, 0, 100]])
    (first,), (rest,) = cut([corner], 0.75)
    assert first.tolist() == [[0, 100, 100], [0, 0, 50]]
    assert rest.tolist() == [[100, 100], [50, 100]]
    (first,), rest = cut([corner, corner], 0.2)
    assert first.tolist() == [[0, 80], [0, 0]]
    assert [s.tolist() for s in rest] == [[[80, 100, 100], [0, 0, 100]], corner.tolist()]


def test_dots_and_standstills_are_cut_by_their_place():
    dot, still = np.array([[9.0], [9.0]]), np.array([[0.0, 0, 100, 100], [5, 5, 5, 5]])
    first, rest = cut([dot, still, dot], 0.5)
    assert same(first, [dot, np.array([[0.0, 0, 50], [5, 5, 5]])])
    assert same(rest, [np.array([[50.0, 100, 100], [5, 5, 5]]), dot])
    assert same(cut([dot, dot], 0.5)[0], [dot, dot])


def test_some_strokes_and_the_others_are_all_of_them():
    rng, strokes = np.random.default_rng(6), [np.full((2, 2), float(i)) for i in range(5)]
    seen = set()
    for _ in range(500):
        kept, missing = ([int(s[0, 0]) for s in part] for part in part_strokes(strokes, rng))
        assert kept == sorted(kept)
        assert missing == sorted(missing)
        assert sorted([*kept, *missing]) == [0, 1, 2, 3, 4]
        seen.add(tuple(kept))
    assert len(seen) == 2**5 - 2  # neither none nor all


def test_a_lone_stroke_loses_its_end():
    rng, stroke = np.random.default_rng(7), np.array([[0.0, 200], [0, 0]])
    ends = []
    for _ in range(200):
        (kept,), (missing,) = part_strokes([stroke], rng)
        assert kept[0, -1] == missing[0, 0]
        ends.append(kept[0, -1])
    assert 20 <= min(ends) < 30
    assert 170 < max(ends) <= 180


# Rectangles


def test_a_rectangle_is_of_some_size_and_holds_ink():
    rng = np.random.default_rng(8)
    sides = []
    for _ in range(300):
        strokes = doodle(rng)
        low, high = rectangle(strokes, rng)
        points = np.concatenate(strokes, 1).T
        assert ((points > low) & (points < high)).all(1).any()
        sides.append((high - low) / CANVAS)
    assert 0.1 <= np.min(sides) < 0.12
    assert 0.58 < np.max(sides) <= 0.6


CORNERS = st.tuples(*[st.tuples(COORDINATES, COORDINATES)] * 2).map(lambda pair: np.sort(pair, 0))


@lawful
@given(strokes_of(8), CORNERS)
def test_what_is_inside_is_what_dense_sampling_finds(stroke: np.ndarray, corners: np.ndarray):
    low, high = corners
    runs = inside([stroke], low, high)
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


@lawful
@given(strokes_of(8), CORNERS)
def test_a_run_ends_with_its_stroke_or_at_a_side(stroke: np.ndarray, corners: np.ndarray):
    for run in inside([stroke], *corners):
        for end, of_stroke in ((run[:, 0], stroke[:, 0]), (run[:, -1], stroke[:, -1])):
            at_side = np.abs(end - corners).min() < 1e-9
            assert at_side or np.allclose(end, of_stroke)


@lawful
@given(DRAWINGS)
def test_strokes_wholly_inside_stay_as_they_are(strokes: Strokes):
    runs = inside(strokes, np.zeros(2), np.full(2, 255.0))
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
    runs = inside([np.array(stroke, float)], *SQUARE)
    assert [run.tolist() for run in runs] == expected


# Fewer points


@lawful
@given(strokes_of(12), st.sampled_from([0.0, 1.0, TOLERANCE, 40.0]))
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
    assert simplify(np.array(stroke, float), TOLERANCE).tolist() == expected


# Another place


def test_a_placed_drawing_is_inside_and_of_the_same_shape():
    rng = np.random.default_rng(9)
    frame = [np.array([[0.0, 255, 255, 0], [0, 0, 255, 255]]), np.array([[0.0, 255], [0, 255]])]
    scales = []
    for _ in range(300):
        square, diagonal = place(frame, rng)
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


# Sequences of points


@lawful
@given(DRAWINGS)
def test_strokes_come_back_from_their_points(strokes: Strokes):
    points = to_points(strokes, 1000)
    assert points[:, 0].tolist() == [
        kind for s in strokes for kind in (MOVE, *[DRAW] * (s.shape[1] - 1))
    ] + [END]
    back = to_strokes(points)
    assert len(back) == len(strokes)
    for one, two in zip(back, strokes, strict=True):
        assert one.shape == two.shape
        assert np.abs(one - two).max() <= STEP / 2
    assert np.array_equal(to_points(back, 1000), points)


@lawful
@given(DRAWINGS, st.integers(1, 12))
def test_a_long_sequence_is_cut(strokes: Strokes, limit: int):
    points = to_points(strokes, 1000)
    part = to_points(strokes, limit)
    assert np.array_equal(part, points[:limit])
    joined = np.concatenate([np.zeros((2, 0)), *to_strokes(part)], 1)
    assert np.array_equal(joined, np.concatenate(to_strokes(points), 1)[:, :limit])


def test_no_strokes_are_an_end():
    assert to_points([], 9).tolist() == [[END, 0, 0]]
    assert to_strokes(to_points([], 9)) == []


def test_what_follows_an_end_is_not_drawn():
    points = np.array([[DRAW, 1, 2], [DRAW, 3, 4], [END, 0, 0], [MOVE, 5, 6]])
    (stroke,) = to_strokes(points)  # a first point sets the pen down, whatever it says
    assert stroke.tolist() == [[2, 6], [4, 8]]


# One example


def test_an_example_is_a_part_and_what_it_lacks(monkeypatch: pytest.MonkeyPatch):
    called: list[str] = []

    def spy(name: str) -> Callable:
        function = getattr(partials, name)

        def spied(*args: object) -> object:
            called.append(name)
            return function(*args)

        return spied

    for name in ("place", "cut", "part_strokes", "inside"):
        monkeypatch.setattr(partials, name, spy(name))
    kinds = {"cut": 0, "part_strokes": 0, "inside": 0}
    placed, count = 0, 300
    for seed in range(count):
        rng = np.random.default_rng((1, seed))
        strokes = smooth(rng)
        called.clear()
        whole, partial, missing = completions.example(strokes, rng)
        if called[0] == "place":
            placed += 1
        else:
            assert same(whole, strokes)
        kinds[called[-1]] += 1
        full = raster(whole)
        assert iou(np.maximum(partial, raster(missing)), full) > 0.9
        assert iou(np.maximum(partial, full), full) > 0.95
        assert not np.array_equal(partial, full)
    shares = np.array([*kinds.values(), placed]) / count
    np.testing.assert_allclose(shares, [0.6, 0.15, 0.25, 0.5], atol=0.1)


# The training split


def write(folder: Path, count: int) -> Path:
    """So many drawings of each class."""
    rng = np.random.default_rng(0)
    for word in CLASSES:
        drawings = [[s.tolist() for s in smooth(rng, rng.integers(1, 6))] for _ in range(count)]
        rows = [json.dumps({"word": word, "drawing": drawing}) for drawing in drawings]
        (folder / f"{word}.ndjson").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every class with twelve drawings."""
    return write(tmp_path_factory.mktemp("quickdraw"), 12)


@pytest.fixture(scope="module")
def data(folder: Path) -> Drawings:
    return completions.load_train(folder)


def in_split(folder: Path, split: Split) -> list[tuple[int, Strokes]]:
    """Label and strokes, read plainly."""
    return [
        (label, drawing.strokes)
        for label, word in enumerate(CLASSES)
        for drawing in read_class(folder, word)[0]
        if split_of(drawing.digest) == split
    ]


def test_drawings_come_back_as_they_were_put_in(folder: Path, data: Drawings):
    expected = in_split(folder, "train")
    assert data.label.tolist() == [label for label, _ in expected]
    for i, (_, strokes) in enumerate(expected):
        assert same(data[i], [simplify(s, TOLERANCE) for s in strokes])
    with pytest.raises(IndexError):
        data[len(expected)]


def test_the_cache_is_used_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, cache = write(tmp_path, 6), tmp_path / "some" / "cache"
    data = completions.load_train(folder, cache, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(completions, "ProcessPoolExecutor", None)
        again = completions.load_train(folder, cache, workers=1)
    for name in ("points", "strokes", "first", "label"):
        assert np.array_equal(getattr(data, name), getattr(again, name))
    with (folder / "cat.ndjson").open("a") as file:
        for x in range(40):
            row = {"word": "cat", "drawing": [[[0, 255, x], [0, 200, 99]]]}
            file.write(json.dumps(row) + "\n")
    longer = completions.load_train(folder, cache, workers=1)
    cats = [np.bincount(d.label)[CLASSES.index("cat")] for d in (data, longer)]
    assert cats[1] > cats[0] + 25
    assert len(longer.label) - len(data.label) == cats[1] - cats[0]
    assert all(path.suffix == ".npz" for path in cache.iterdir())


def test_training_without_a_class_says_what_to_do(tmp_path: Path):
    folder = write(tmp_path, 6)
    (folder / "teapot.ndjson").unlink()
    with pytest.raises(FileNotFoundError, match=r"no teapot\.ndjson .*--download"):
        completions.load_train(folder, workers=1)
    (folder / "teapot.ndjson").write_text("<html>\n")
    with pytest.raises(ValueError, match=r"no readable training drawing of 'teapot' in .*: fetch"):
        completions.load_train(folder, workers=1)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_class_is_drawn_by_a_power_of_its_size(power: float):
    sizes = np.array([400, 4] + [50] * (len(CLASSES) - 2))
    label = np.repeat(np.arange(len(sizes)), sizes)
    no_point = np.zeros((0, 2), np.float32)
    weights = Drawings(no_point, np.zeros(1, int), 0 * label, label).weights(power)
    share = np.bincount(label, weights) / weights.sum()
    np.testing.assert_allclose(share, sizes**power / (sizes**power).sum())


# Halves


def test_halves_and_missing_points_are_one_drawing(folder: Path):
    seen = 0
    for split in ("train", "valid", "test"):
        expected = in_split(folder, split)
        full, part, label = completions.halves(folder, split)
        points = completions.missing_points(folder, split, 1000)
        assert len(points) == len(full) == len(expected)
        assert label.tolist() == [index for index, _ in expected]
        for row, (_, strokes) in enumerate(expected):
            assert np.array_equal(full[row], raster(strokes))
            assert np.array_equal(part[row], raster(cut(strokes, 0.5)[0]))
            rest = raster(to_strokes(points[row]))
            assert iou(np.maximum(part[row], rest), full[row]) > 0.75  # curves lose points
            assert points[row][-1, 0] == END
        short = completions.missing_points(folder, split, 5)
        assert all(np.array_equal(a, b[:5]) for a, b in zip(short, points, strict=True))
        seen += len(full)
    assert seen == 12 * len(CLASSES)


def test_a_split_without_a_drawing_says_what_to_do(tmp_path: Path):
    row = json.dumps({"word": "cat", "drawing": [[[0, 255, 255, 0, 0], [0, 0, 255, 255, 0]]]})
    assert split_of(parse(row).digest) == "train"
    for word in CLASSES:
        (tmp_path / f"{word}.ndjson").write_text(row)
    assert len(completions.halves(tmp_path, "train")[0]) == len(CLASSES)
    with pytest.raises(ValueError, match=r"no drawing of the test split in .*: fetch more"):
        completions.halves(tmp_path, "test")


# Batches


@pytest.fixture(scope="module")
def examples(data: Drawings) -> Examples:
    """Nineteen batches of six: two groups, and three batches of a third."""
    return Examples(data, size=6, seed=5, steps=19, limit=24, latent=3)


def flat(batch: Batch) -> list[torch.Tensor]:
    return [batch.x, batch.partial, *batch.points, batch.label, batch.noise]


def equal(one: Batch, two: Batch) -> bool:
    return all(map(torch.equal, flat(one), flat(two)))


def lengths(batch: Batch) -> torch.Tensor:
    """Points of every row, END included."""
    ended = batch.points.kind == END
    return torch.where(ended.any(1), ended.int().argmax(1) + 1, ended.shape[1])


def test_a_group_depends_on_the_seed_and_its_number_alone(examples: Examples):
    assert len(examples) == 3
    one, other = examples[1], examples[0]
    assert len(one) == GROUP
    for a, b in zip(one, examples[1], strict=True):
        assert equal(a, b)
    for a, b in itertools.product(one, [*other, *replace(examples, seed=6)[1]]):
        assert a.partial.shape == b.partial.shape
        assert not torch.equal(a.partial, b.partial)
        assert not torch.equal(a.noise, b.noise)


@pytest.mark.parametrize("step", [3, GROUP, 18])
def test_a_resumed_run_sees_the_batches_that_are_left(examples: Examples, step: int):
    whole = [batch for g in range(3) for batch in examples[g]][: examples.steps]
    rest = list(examples.from_step(step))
    assert len(rest) == examples.steps - step
    assert all(map(equal, rest, whole[step:]))


def test_all_batches_come_from_the_start_and_none_from_the_end(examples: Examples):
    assert len(list(examples.from_step(0))) == examples.steps
    assert list(examples.from_step(examples.steps)) == []


def test_what_follows_an_end_is_padding(examples: Examples):
    for batch in examples[0]:
        many = lengths(batch)
        assert batch.points.kind.shape == (6, many.max())
        assert many.max() <= examples.limit
        for row, n in enumerate(many.tolist()):
            assert (batch.points.kind[row, n - 1 :] == END).all() or n == examples.limit
            assert not batch.points.x[row, n:].any()
            assert not batch.points.y[row, n:].any()
            assert batch.points.kind[row, 0] != DRAW


def test_a_batch_holds_sequences_of_similar_length(examples: Examples):
    orders = []
    for g in range(4):
        spans = [(int(n.min()), int(n.max())) for n in map(lengths, examples[g])]
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(sorted(spans)))
        orders.append(spans == sorted(spans))
    assert not any(orders)  # short ones do not come first


def test_a_row_is_of_one_drawing(data: Drawings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(completions, "example", lambda whole, _: (whole, raster(whole), whole))
    drawings = {raster(data[i]).tobytes(): i for i in range(len(data.label))}
    assert len(drawings) == len(data.label)
    for batch in Examples(data, 6, 0, 8, 1000, wholes=True, drop=0.0)[0]:
        assert torch.equal(batch.x, batch.partial)
        for row in range(6):
            i = drawings[batch.x[row].numpy().tobytes()]
            assert batch.label[row] == data.label[i]
            points = torch.stack(batch.points, -1)[row][: lengths(batch)[row]]
            assert np.array_equal(points.numpy(), to_points(data[i], 1000))


def test_a_share_of_the_labels_is_dropped(data: Drawings):
    for drop in (0.0, 0.25, 1.0):
        batches = Examples(data, 40, 0, 8, 4, drop=drop)[0]
        labels = torch.cat([batch.label for batch in batches])
        assert 0 <= labels.min() <= labels.max() <= len(CLASSES)
        found = float((labels == len(CLASSES)).float().mean())
        assert abs(found - drop) <= 4 * np.sqrt(drop * (1 - drop) / len(labels))


def test_whole_drawings_are_rendered_if_asked_for(examples: Examples):
    for part, both in zip(examples[0], replace(examples, wholes=True)[0], strict=True):
        assert torch.equal(part.x, part.partial)
        assert all(map(torch.equal, flat(part)[1:], flat(both)[1:]))
        for x, y in zip(both.x.numpy(), both.partial.numpy(), strict=True):
            assert iou(np.maximum(x, y), x) > 0.95
        assert (both.x > both.partial).flatten(1).any(1).all()


def test_the_shares_of_several_processes_are_the_batch(examples: Examples):
    batch = examples[0][0]
    shares = [batch.share(rank, 3, torch.device("cpu")) for rank in range(3)]
    for whole, *parts in zip(flat(batch), *map(flat, shares), strict=True):
        joined = torch.stack(parts, 1).flatten(0, 1)
        if whole.dtype == torch.uint8:
            whole = whole[:, None] / 255
        assert torch.equal(joined, whole)


def test_noise_is_standard_normal(data: Drawings):
    batches = Examples(data, 16, 0, 8, 4, latent=100)[0]
    noise = torch.cat([batch.noise for batch in batches])
    assert noise.shape == (GROUP * 16, 100)
    assert abs(float(noise.mean())) < 0.03
    assert float(noise.std()) == pytest.approx(1, abs=0.03)
