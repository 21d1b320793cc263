"""The training examples made of drawings, against slow and plain answers."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.sketch.tokens import DRAW, END, GRID_PX, MOVE, to_points, to_strokes
from tests.helpers.drawings import (
    DRAWINGS,
    Strokes,
    iou,
    no_deadline,
    raster,
    same,
    smooth,
)
from training.data import quickdraw, stroke_crops
from training.data.quickdraw import (
    CLASSES,
    TOLERANCE_PX,
    PackedDrawings,
    Split,
    parse,
    read_class,
    split_of,
)
from training.data.stroke_crops import simplify, split_by_length
from training.sketch import dataset
from training.sketch.dataset import BATCHES_PER_GROUP, Batch, CompletionDataset

# Sequences of points


@no_deadline
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
        assert np.abs(one - two).max() <= GRID_PX / 2
    assert np.array_equal(to_points(back, 1000), points)


@no_deadline
@given(DRAWINGS, st.integers(1, 12))
def test_a_long_sequence_is_cut(strokes: Strokes, limit: int):
    points = to_points(strokes, 1000)
    part = to_points(strokes, limit)
    assert np.array_equal(part, points[:limit])
    joined = np.concatenate([np.zeros((2, 0)), *to_strokes(part)], 1)
    assert np.array_equal(joined, np.concatenate(to_strokes(points), 1)[:, :limit])


def test_no_strokes_become_a_single_end():
    assert to_points([], 9).tolist() == [[END, 0, 0]]
    assert to_strokes(to_points([], 9)) == []


def test_points_after_an_end_are_ignored():
    points = np.array([[DRAW, 1, 2], [DRAW, 3, 4], [END, 0, 0], [MOVE, 5, 6]])
    (stroke,) = to_strokes(points)  # a first point sets the pen down, whatever it says
    assert stroke.tolist() == [[2, 6], [4, 8]]


# One example


def test_an_example_is_a_partial_drawing_and_its_missing_strokes(monkeypatch: pytest.MonkeyPatch):
    called: list[str] = []

    def spy(name: str) -> Callable:
        function = getattr(stroke_crops, name)

        def spied(*args: object) -> object:
            called.append(name)
            return function(*args)

        return spied

    for name in ("random_placement", "split_by_length", "random_subset", "clip_to_rectangle"):
        monkeypatch.setattr(stroke_crops, name, spy(name))
    kinds = {"split_by_length": 0, "random_subset": 0, "clip_to_rectangle": 0}
    placed, count = 0, 300
    for seed in range(count):
        rng = np.random.default_rng((1, seed))
        strokes = smooth(rng)
        called.clear()
        whole, partial, missing = dataset.make_example(strokes, rng)
        if called[0] == "random_placement":
            placed += 1
        else:
            assert same(whole, strokes)
        kinds[called[-1]] += 1
        full = raster(whole)
        assert iou(np.maximum(partial, raster(missing)), full) > 0.9
        assert iou(np.maximum(partial, full), full) > 0.95
        assert not np.array_equal(partial, full)
    shares = np.array([*kinds.values(), placed]) / count
    np.testing.assert_allclose(shares, [0.75, 0.1, 0.15, 0.5], atol=0.08)


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
def data(folder: Path) -> PackedDrawings:
    return quickdraw.load_train(folder)


def in_split(folder: Path, split: Split) -> list[tuple[int, Strokes]]:
    """Label and strokes, read plainly."""
    return [
        (label, drawing.strokes)
        for label, word in enumerate(CLASSES)
        for drawing in read_class(folder, word)[0]
        if split_of(drawing.digest) == split
    ]


def test_packed_drawings_unpack_to_the_simplified_strokes(folder: Path, data: PackedDrawings):
    expected = in_split(folder, "train")
    assert data.labels.tolist() == [label for label, _ in expected]
    for i, (_, strokes) in enumerate(expected):
        assert same(data[i], [simplify(s, TOLERANCE_PX) for s in strokes])
    with pytest.raises(IndexError):
        data[len(expected)]


def test_the_cache_is_used_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, cache = write(tmp_path, 6), tmp_path / "some" / "cache"
    data = quickdraw.load_train(folder, cache, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(quickdraw, "worker_pool", None)
        again = quickdraw.load_train(folder, cache, workers=1)
    for name in ("points", "stroke_starts", "drawing_starts", "labels"):
        assert np.array_equal(getattr(data, name), getattr(again, name))
    with (folder / "cat.ndjson").open("a") as file:
        for x in range(40):
            row = {"word": "cat", "drawing": [[[0, 255, x], [0, 200, 99]]]}
            file.write(json.dumps(row) + "\n")
    longer = quickdraw.load_train(folder, cache, workers=1)
    cats = [np.bincount(d.labels)[CLASSES.index("cat")] for d in (data, longer)]
    assert cats[1] > cats[0] + 25
    assert len(longer) - len(data) == cats[1] - cats[0]
    assert all(path.suffix == ".npz" for path in cache.iterdir())


def test_training_without_a_class_says_what_to_do(tmp_path: Path):
    folder = write(tmp_path, 6)
    (folder / "teapot.ndjson").unlink()
    with pytest.raises(FileNotFoundError, match=r"no teapot\.ndjson .*--download"):
        quickdraw.load_train(folder, workers=1)
    (folder / "teapot.ndjson").write_text("<html>\n")
    with pytest.raises(ValueError, match=r"no readable training drawing of 'teapot' in .*: fetch"):
        quickdraw.load_train(folder, workers=1)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_class_is_sampled_by_a_power_of_its_size(power: float):
    sizes = np.array([400, 4] + [50] * (len(CLASSES) - 2))
    label = np.repeat(np.arange(len(sizes)), sizes)
    no_point = np.zeros((0, 2), np.float32)
    weights = PackedDrawings(no_point, np.zeros(1, int), 0 * label, label).sampling_weights(power)
    share = np.bincount(label, weights) / weights.sum()
    np.testing.assert_allclose(share, sizes**power / (sizes**power).sum())


# Partial drawings


def test_partial_drawings_and_missing_points_make_the_full_drawing(folder: Path):
    seen = 0
    for split in ("train", "valid", "test"):
        expected = in_split(folder, split)
        full, part, label = quickdraw.rasterize_split(folder, split)
        points = dataset.missing_points(folder, split, 1000)
        assert len(points) == len(full) == len(expected)
        assert label.tolist() == [index for index, _ in expected]
        for row, (_, strokes) in enumerate(expected):
            assert np.array_equal(full[row], raster(strokes))
            assert np.array_equal(part[row], raster(split_by_length(strokes, 0.5)[0]))
            rest = raster(to_strokes(points[row]))
            assert iou(np.maximum(part[row], rest), full[row]) > 0.75  # curves lose points
            assert points[row][-1, 0] == END
        short = dataset.missing_points(folder, split, 5)
        assert all(np.array_equal(a, b[:5]) for a, b in zip(short, points, strict=True))
        seen += len(full)
    assert seen == 12 * len(CLASSES)


def test_a_split_without_a_drawing_says_what_to_do(tmp_path: Path):
    drawing = [[[0, 255, 255, 0, 0], [0, 0, 255, 255, 0]]]
    for word in CLASSES:
        row = json.dumps({"word": word, "drawing": drawing})
        assert split_of(parse(row).digest) == "train"
        (tmp_path / f"{word}.ndjson").write_text(row)
    assert len(quickdraw.rasterize_split(tmp_path, "train")[0]) == len(CLASSES)
    with pytest.raises(ValueError, match=r"no drawing of the test split in .*: fetch more"):
        quickdraw.rasterize_split(tmp_path, "test")


# Batches


@pytest.fixture(scope="module")
def examples(data: PackedDrawings) -> CompletionDataset:
    """Nineteen batches of six: two groups, and three batches of a third."""
    return CompletionDataset(data, batch_size=6, seed=5, steps=19, max_points=24, noise_dim=3)


def flat(batch: Batch) -> list[torch.Tensor]:
    return [batch.x, batch.partial, *batch.points, batch.label, batch.noise]


def equal(one: Batch, two: Batch) -> bool:
    return all(map(torch.equal, flat(one), flat(two)))


def lengths(batch: Batch) -> torch.Tensor:
    """Points of every row, END included."""
    ended = batch.points.kind == END
    return torch.where(ended.any(1), ended.int().argmax(1) + 1, ended.shape[1])


def test_a_group_depends_on_the_seed_and_its_number_alone(examples: CompletionDataset):
    assert len(examples) == 3
    one, other = examples[1], examples[0]
    assert len(one) == BATCHES_PER_GROUP
    for a, b in zip(one, examples[1], strict=True):
        assert equal(a, b)
    for a, b in itertools.product(one, [*other, *replace(examples, seed=6)[1]]):
        assert a.partial.shape == b.partial.shape
        assert not torch.equal(a.partial, b.partial)
        assert not torch.equal(a.noise, b.noise)


@pytest.mark.parametrize("step", [3, BATCHES_PER_GROUP, 18])
def test_a_resumed_run_sees_the_batches_that_are_left(examples: CompletionDataset, step: int):
    whole = [batch for g in range(3) for batch in examples[g]][: examples.steps]
    rest = list(examples.from_step(step))
    assert len(rest) == examples.steps - step
    assert all(map(equal, rest, whole[step:]))


def test_all_batches_come_from_the_start_and_none_from_the_end(examples: CompletionDataset):
    assert len(list(examples.from_step(0))) == examples.steps
    assert list(examples.from_step(examples.steps)) == []


def test_what_follows_an_end_is_padding(examples: CompletionDataset):
    for batch in examples[0]:
        many = lengths(batch)
        assert batch.points.kind.shape == (6, many.max())
        assert many.max() <= examples.max_points
        for row, n in enumerate(many.tolist()):
            assert (batch.points.kind[row, n - 1 :] == END).all() or n == examples.max_points
            assert not batch.points.x[row, n:].any()
            assert not batch.points.y[row, n:].any()
            assert batch.points.kind[row, 0] != DRAW


def test_a_batch_holds_sequences_of_similar_length(examples: CompletionDataset):
    orders = []
    for g in range(4):
        spans = [(int(n.min()), int(n.max())) for n in map(lengths, examples[g])]
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(sorted(spans)))
        orders.append(spans == sorted(spans))
    assert not any(orders)  # short ones do not come first


def test_the_columns_of_a_row_are_of_one_drawing(
    data: PackedDrawings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dataset, "make_example", lambda whole, _: (whole, raster(whole), whole))
    drawings = {raster(data[i]).tobytes(): i for i in range(len(data))}
    assert len(drawings) == len(data)
    for batch in CompletionDataset(data, 6, 0, 8, 1000, render_full=True)[0]:
        assert torch.equal(batch.x, batch.partial)
        for row in range(6):
            i = drawings[batch.x[row].numpy().tobytes()]
            assert batch.label[row] == data.labels[i]
            points = torch.stack(batch.points, -1)[row][: lengths(batch)[row]]
            assert np.array_equal(points.numpy(), to_points(data[i], 1000))


def test_full_drawings_are_rendered_on_request(examples: CompletionDataset):
    for part, both in zip(examples[0], replace(examples, render_full=True)[0], strict=True):
        assert torch.equal(part.x, part.partial)
        assert all(map(torch.equal, flat(part)[1:], flat(both)[1:]))
        for x, y in zip(both.x.numpy(), both.partial.numpy(), strict=True):
            assert iou(np.maximum(x, y), x) > 0.95
        assert (both.x > both.partial).flatten(1).any(1).all()


def test_the_shards_of_all_processes_are_the_batch(examples: CompletionDataset):
    batch = examples[0][0]
    shares = [batch.shard(rank, 3, torch.device("cpu")) for rank in range(3)]
    for whole, *parts in zip(flat(batch), *map(flat, shares), strict=True):
        joined = torch.stack(parts, 1).flatten(0, 1)
        if whole.dtype == torch.uint8:
            whole = whole[:, None] / 255
        assert torch.equal(joined, whole)


def test_noise_is_standard_normal(data: PackedDrawings):
    batches = CompletionDataset(data, 16, 0, 8, 4, noise_dim=100)[0]
    noise = torch.cat([batch.noise for batch in batches])
    assert noise.shape == (BATCHES_PER_GROUP * 16, 100)
    assert abs(float(noise.mean())) < 0.03
    assert float(noise.std()) == pytest.approx(1, abs=0.03)
