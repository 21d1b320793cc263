"""Reading, splitting and cutting up Quick, Draw! drawings, on files written by hand."""

import gzip
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from models.images import CANVAS, draw_strokes, rasterise, shrink
from training.data import quickdraw
from training.data.partials import erase_rectangle, first_part, place, some_strokes
from training.data.quickdraw import CLASSES, SketchArrays, parse, read_class, split_of

SQUARE = [[[0, 255, 255, 0, 0], [0, 0, 255, 255, 0]]]
FACE = [[[0, 90, 255], [128, 0, 128]], [[60, 61], [90, 130]], [[180], [100]]]
TENT = [[[0, 128, 255], [200, 0, 200]], [[0, 255], [200, 201]]]

Strokes = Sequence[Sequence[Sequence[float]]]


def line(drawing: object, word: object = "cat", **fields: object) -> str:
    """One line of an official file."""
    return json.dumps({"word": word, "drawing": drawing, **fields})


def raw(drawing: Strokes, scale: float, shift: tuple[float, float]) -> Strokes:
    """The drawing as the raw files have it: not aligned, in floats, with times in ms."""
    return [
        [[scale * x + shift[0] for x in xs], [scale * y + shift[1] for y in ys], [*range(len(xs))]]
        for xs, ys in drawing
    ]


def doodle(rng: np.random.Generator, strokes: int = 4) -> list[np.ndarray]:
    """Random strokes of 2 to 12 points within the frame."""
    return [rng.integers(0, CANVAS, (2, rng.integers(2, 13))).astype(float) for _ in range(strokes)]


def length(strokes: Sequence[np.ndarray]) -> float:
    """Length of the ink in px."""
    return sum(float(np.linalg.norm(np.diff(s, axis=1), axis=0).sum()) for s in strokes)


def as_lists(strokes: Sequence[np.ndarray]) -> list[list[list[float]]]:
    """What json would hold."""
    return [s.tolist() for s in strokes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every class with twelve drawings."""
    rng = np.random.default_rng(0)
    for word in CLASSES:
        drawings = [as_lists(doodle(rng, 2)) for _ in range(12)]
        (tmp_path / f"{word}.ndjson").write_text("\n".join(line(d, word) for d in drawings))
    return tmp_path


# Reading


@pytest.mark.parametrize("drawing", [SQUARE, FACE, TENT])
def test_simplified_drawings_are_taken_as_they_are(drawing: Strokes) -> None:
    fields = {"countrycode": "HR", "timestamp": "2017", "recognized": False, "key_id": None}
    assert as_lists(parse(line(drawing, **fields)).strokes) == drawing


@pytest.mark.parametrize("drawing", [SQUARE, FACE, TENT])
@pytest.mark.parametrize(("scale", "shift"), [(1, (0, 0)), (3.7, (41.3, -900.5)), (0.11, (5, 9))])
def test_a_raw_drawing_becomes_the_simplified_one(
    drawing: Strokes, scale: float, shift: tuple[float, float]
) -> None:
    simplified, found = parse(line(drawing)), parse(line(raw(drawing, scale, shift)))
    assert as_lists(found.strokes) == drawing
    assert found.digest == simplified.digest


def test_a_raw_drawing_keeps_its_aspect() -> None:
    (stroke,) = parse(line([[[10.5, 30.5, 20.5], [7.25, 12.25, 17.25], [0, 9, 30]]])).strokes
    assert stroke.tolist() == [[0, 255, 128], [0, 64, 128]]


def test_a_raw_dot_is_a_dot() -> None:
    assert as_lists(parse(line([[[99.5], [1.5], [0]]])).strokes) == [[[0], [0]]]


def test_plain_and_gzipped_files_read_the_same(tmp_path: Path) -> None:
    text = "\n".join([line(SQUARE), line(raw(FACE, 2, (3, 4))), line(TENT, key_id="7")])
    (tmp_path / "cat.ndjson").write_text(text)
    with gzip.open(tmp_path / "pig.ndjson.gz", "wt") as file:
        file.write(text)
    plain, packed = read_class(tmp_path, "cat"), read_class(tmp_path, "pig")
    assert (plain[1], packed[1]) == (0, 0)
    for a, b, expected in zip(plain[0], packed[0], [SQUARE, FACE, TENT], strict=True):
        assert as_lists(a.strokes) == as_lists(b.strokes) == expected


MALFORMED = {
    "no json": "<!doctype html>",
    "cut off": line(SQUARE)[:-9],
    "no object": "[1, 2]",
    "null": "null",
    "no word": json.dumps({"drawing": SQUARE}),
    "no drawing": json.dumps({"word": "cat"}),
    "word is no text": line(SQUARE, word=3),
    "drawing is null": line(None),
    "drawing is text": line("abc"),
    "no strokes": line([]),
    "empty stroke": line([[[], []]]),
    "no y": line([[[1, 2]]]),
    "x and y differ": line([[[1, 2], [1]]]),
    "nested": line([[[[1]], [[2]]]]),
    "stroke is an object": line([{"x": 1}]),
    "text for a number": line([[["a"], ["b"]]]),
    "null for a number": line([[[None], [1]]]),
    "not a number": line([[[float("nan")], [1]]]),
    "infinite": line([[[float("inf")], [1], [0]]]),
    "huge": line([[[1e308, -1e308], [0, 1], [0, 1]]]),
    "huge integer": line([[[10**400], [1]]]),
    "outside the frame": line([[[0, 256], [0, 0]]]),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_line_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_malformed_lines_are_counted_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [line(SQUARE), *MALFORMED.values(), line(TENT)]
    (tmp_path / "cat.ndjson").write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING):
        drawings, bad = read_class(tmp_path, "cat")
    assert [as_lists(d.strokes) for d in drawings] == [SQUARE, TENT]
    assert bad == len(MALFORMED)
    assert f"cat.ndjson: {bad} malformed lines" in caplog.text


def test_a_byte_that_is_no_text_costs_its_own_line_at_most(tmp_path: Path) -> None:
    good = line(SQUARE).encode() + b"\n"
    (tmp_path / "cat.ndjson").write_bytes(good + b"\xff\xfe\n" + good)
    drawings, bad = read_class(tmp_path, "cat")
    assert (len(drawings), bad) == (2, 1)


@pytest.mark.parametrize("damage", ["cut off", "flipped bytes", "no gzip"])
def test_a_damaged_archive_gives_what_can_be_read(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(1)
    text = "\n".join(line(as_lists(doodle(rng))) for _ in range(400))
    packed = bytearray(gzip.compress(text.encode()))
    if damage == "cut off":
        del packed[len(packed) // 2 :]
    else:
        start = 0 if damage == "no gzip" else len(packed) // 2
        packed[start : start + 64] = bytes(64)
    (tmp_path / "cat.ndjson.gz").write_bytes(packed)
    drawings, bad = read_class(tmp_path, "cat")
    assert bad >= 1
    assert damage == "no gzip" or len(drawings) > 100
    assert "cat.ndjson.gz" in caplog.text


@pytest.mark.parametrize("name", [".", "no such folder"])
def test_a_missing_class_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no cat\.ndjson .* in .*--download.*--data-dir"):
        read_class(tmp_path / name, "cat")


# Splitting


@pytest.mark.parametrize(
    ("drawing", "digest", "split"),
    [
        (SQUARE, 2108805406264907761, "train"),
        (FACE, 4977918126133455550, "train"),
        (TENT, 8361971946867138321, "train"),
        ([[[0, 255], [0, 17]]], 3904890149492877292, "valid"),
        ([[[0, 255], [0, 25]]], 1541244923639342496, "test"),
    ],
)
def test_the_split_never_changes(drawing: Strokes, digest: int, split: str) -> None:
    found = parse(line(drawing))
    assert (found.digest, split_of(found.digest)) == (digest, split)


def test_the_split_is_of_the_drawing_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    drawings = [as_lists(doodle(rng)) for _ in range(200)]
    (tmp_path / "cat.ndjson").write_text(
        "\n".join(line(d, key_id=str(i)) for i, d in enumerate(drawings))
    )
    with gzip.open(tmp_path / "pig.ndjson.gz", "wt") as file:
        file.write("\n".join(line(d, "pig", key_id=None) for d in reversed(drawings[::2])))
    cat, pig = (read_class(tmp_path, word)[0] for word in ("cat", "pig"))
    assert [d.digest for d in cat[::2]] == [d.digest for d in reversed(pig)]
    assert len({d.digest for d in cat}) == len(cat)


def test_the_split_is_90_5_5() -> None:
    rng = np.random.default_rng(3)
    found = [split_of(parse(line(as_lists(doodle(rng, 2)))).digest) for _ in range(4000)]
    for split, share in (("train", 0.9), ("valid", 0.05), ("test", 0.05)):
        assert abs(found.count(split) / len(found) - share) < 4 * np.sqrt(
            share * (1 - share) / 4000
        )


# Partial drawings


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.37, 0.5, 0.9, 1.0])
def test_the_first_part_has_that_share_of_the_length(fraction: float) -> None:
    rng = np.random.default_rng(4)
    for strokes in (doodle(rng, count) for count in (1, 2, 5, 9)):
        part = first_part(strokes, fraction)
        assert length(part) == pytest.approx(fraction * length(strokes), abs=1e-6)
        for whole, kept in zip(strokes, part[:-1], strict=False):
            assert np.array_equal(kept, whole)
        if part:
            whole, cut = strokes[len(part) - 1], part[-1]
            n = cut.shape[1] - 1  # the last point lies on the way from n - 1 to n
            assert np.array_equal(cut[:, :n], whole[:, :n])
            a, c, b = whole[:, n - 1], cut[:, n], whole[:, n]
            detour = np.linalg.norm(c - a) + np.linalg.norm(b - c) - np.linalg.norm(b - a)
            assert detour == pytest.approx(0, abs=1e-6)


def test_the_first_part_ends_in_mid_stroke() -> None:
    corner = np.array([[0.0, 100, 100], [0, 0, 100]])
    assert as_lists(first_part([corner], 0.75)) == [[[0, 100, 100], [0, 0, 50]]]
    assert as_lists(first_part([corner, corner], 0.2)) == [[[0, 80], [0, 0]]]


def test_the_first_part_takes_dots_and_standstills() -> None:
    dot, still = np.array([[9.0], [9.0]]), np.array([[0.0, 0, 100, 100], [5, 5, 5, 5]])
    assert as_lists(first_part([dot, still, dot], 0.5)) == [[[9], [9]], [[0, 0, 50], [5, 5, 5]]]
    assert as_lists(first_part([dot], 0.5)) == [[[9], [9]]]


def test_the_ink_of_a_part_is_part_of_the_ink() -> None:
    rng = np.random.default_rng(5)
    for strokes in (doodle(rng) for _ in range(50)):
        full = draw_strokes(strokes)
        assert (draw_strokes(some_strokes(strokes, rng)) <= full).all()
        # PIL rounds a cut segment's own edges, so the last one may stray by a pixel or two
        near = np.asarray(Image.fromarray(full).filter(ImageFilter.MaxFilter(5)))
        assert (draw_strokes(first_part(strokes, rng.uniform())) <= near).all()


def test_some_strokes_are_a_true_subset_in_order() -> None:
    rng, strokes = np.random.default_rng(6), [np.full((2, 2), float(i)) for i in range(5)]
    seen = set()
    for _ in range(500):
        kept = [int(s[0, 0]) for s in some_strokes(strokes, rng)]
        assert kept == sorted(set(kept))
        assert 1 <= len(kept) < len(strokes)
        seen.add(tuple(kept))
    assert len(seen) == 2**5 - 2


def test_a_lone_stroke_loses_its_end() -> None:
    rng, stroke = np.random.default_rng(7), np.array([[0.0, 200], [0, 0]])
    ends = [some_strokes([stroke], rng)[0][0, -1] for _ in range(200)]
    assert 20 <= min(ends) < 30
    assert 170 < max(ends) <= 180


def test_erasing_leaves_the_ink_outside_one_rectangle() -> None:
    rng = np.random.default_rng(8)
    ink = shrink(draw_strokes(doodle(rng)))
    kept = ink.copy()
    changed = 0
    for _ in range(200):
        out = erase_rectangle(ink, rng)
        rows, columns = np.nonzero(out != ink)
        if len(rows):
            changed += 1
            box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
            assert not out[box].any()
            assert max(out[box].shape) <= 0.6 * len(ink)
    assert changed > 190
    assert np.array_equal(ink, kept)
    assert not erase_rectangle(np.zeros_like(ink), rng).any()


def test_a_placed_drawing_is_inside_and_of_the_same_shape() -> None:
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


# Arrays


def test_the_training_arrays_hold_the_training_split(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    data = quickdraw.load_train(folder, cache, workers=1)
    row = 0
    for index, word in enumerate(CLASSES):
        for drawing in read_class(folder, word)[0]:
            if split_of(drawing.digest) == "train":
                expected = rasterise(as_lists(drawing.strokes)) * 255
                assert np.array_equal(data.full[row, 0], expected.numpy())
                assert data.label[row] == index
                row += 1
    assert len(data.full) == len(data.first) == len(data.some) == len(data.label) == row
    (kept,) = cache.iterdir()
    stamp = kept.stat().st_mtime_ns
    again = quickdraw.load_train(folder, cache, workers=1)
    assert kept.stat().st_mtime_ns == stamp
    for name in ("full", "first", "some", "label"):
        assert np.array_equal(getattr(data, name), getattr(again, name))
    with (folder / "cat.ndjson").open("a") as file:
        file.write(
            "\n" + "\n".join(line(as_lists(doodle(np.random.default_rng(i)))) for i in range(9))
        )
    assert len(quickdraw.load_train(folder, cache, workers=1).label) > len(data.label)


def test_training_without_a_class_says_what_to_do(folder: Path) -> None:
    (folder / "teapot.ndjson").unlink()
    with pytest.raises(FileNotFoundError, match=r"no teapot\.ndjson .*--download"):
        quickdraw.load_train(folder, workers=1)
    (folder / "teapot.ndjson").write_text("<html>\n")
    with pytest.raises(ValueError, match=r"no readable training drawing of 'teapot'"):
        quickdraw.load_train(folder, workers=1)


def test_halves_are_of_their_split(folder: Path) -> None:
    found = {split: quickdraw.halves(folder, split) for split in ("train", "valid", "test")}
    everything = np.concatenate([full for full, _, _ in found.values()])
    assert len(everything) == len(np.unique(everything, axis=0)) == 12 * len(CLASSES)
    for split, (full, part, label) in found.items():
        drawings = [d for w in CLASSES for d in read_class(folder, w)[0]]
        drawings = [d for d in drawings if split_of(d.digest) == split]
        assert [CLASSES[i] for i in label] == [d.word for d in drawings]
        for pixels, half, drawing in zip(full, part, drawings, strict=True):
            assert np.array_equal(pixels, shrink(draw_strokes(drawing.strokes)))
            kept = first_part(drawing.strokes, 0.5)
            assert np.array_equal(half, shrink(draw_strokes(kept)))


def numbered(sizes: Sequence[int]) -> SketchArrays:
    """Pictures whose pixels name what they are: drawing, variant, and which part."""
    count = sum(sizes)
    full = np.zeros((count, quickdraw.VARIANTS, 64, 64), np.uint8)
    full[..., 1:, 1:] = 200
    full[..., 0, 0] = np.arange(count)[:, None] % 256
    full[..., 0, 1] = np.arange(count)[:, None] // 256
    full[..., 0, 2] = np.arange(quickdraw.VARIANTS)
    first, some = full.copy(), full.copy()
    first[..., 32:, :] = 0
    some[..., :, 32:] = 0
    return SketchArrays(full, first, some, np.repeat(np.arange(len(sizes)), sizes))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_classes_are_drawn_by_a_power_of_their_size(power: float) -> None:
    sizes = np.array([400, 4] + [50] * (len(CLASSES) - 2))
    data = numbered(sizes.tolist())
    chance = np.cumsum(data.weights(power))
    label = np.concatenate([quickdraw.draw_full(data, chance, 500, 0, s)[1] for s in range(20)])
    share = sizes**power / (sizes**power).sum()
    found = np.bincount(label, minlength=len(CLASSES)) / len(label)
    assert np.abs(found - share).max() < 5 * np.sqrt(share.max() / len(label))


def test_a_batch_is_what_it_says() -> None:
    data = numbered([40] * len(CLASSES))
    chance = np.cumsum(data.weights())
    kinds = {"first": 0, "some": 0, "erased": 0}
    frame = dropped = 0
    for step in range(10):
        batch = quickdraw.draw_batch(data, chance, 200, 5, step)
        for one, same in zip(batch, quickdraw.draw_batch(data, chance, 200, 5, step), strict=True):
            assert np.array_equal(one, same)
        assert not np.array_equal(batch[0], quickdraw.draw_batch(data, chance, 200, 6, step)[0])
        for full, partial, label in zip(*batch, strict=True):
            index, variant = int(full[0, 0]) + 256 * int(full[0, 1]), full[0, 2]
            assert label in (data.label[index], len(CLASSES))
            assert (partial <= full).all()
            if np.array_equal(partial, data.first[index, variant]):
                kinds["first"] += 1
            elif np.array_equal(partial, data.some[index, variant]):
                kinds["some"] += 1
            else:
                kinds["erased"] += 1
            frame += variant == 0
            dropped += label == len(CLASSES)
    shares = np.array([kinds["first"], kinds["some"], kinds["erased"], frame]) / 2000
    assert np.allclose(shares, [0.55, 0.15, 0.3, 0.5], atol=0.05)
    assert 0.1 < dropped / 2000 < 0.4
