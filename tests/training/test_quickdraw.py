"""Reading and splitting Quick, Draw! drawings, on files written by hand."""

import gzip
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.images import CANVAS
from training.data.quickdraw import parse, read_class, split_of

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


def random_strokes(rng: np.random.Generator, strokes: int = 4) -> list[np.ndarray]:
    """Random strokes of 2 to 12 points within the frame."""
    return [rng.integers(0, CANVAS, (2, rng.integers(2, 13))).astype(float) for _ in range(strokes)]


def as_lists(strokes: Sequence[np.ndarray]) -> list[list[list[float]]]:
    """What json would hold."""
    return [s.tolist() for s in strokes]


# Reading


@pytest.mark.parametrize("drawing", [SQUARE, FACE, TENT])
def test_simplified_drawings_are_unchanged(drawing: Strokes) -> None:
    fields = {"countrycode": "HR", "timestamp": "2017", "recognized": False, "key_id": None}
    assert as_lists(parse(line(drawing, **fields)).strokes) == drawing


@pytest.mark.parametrize("drawing", [SQUARE, FACE, TENT])
@pytest.mark.parametrize(("scale", "shift"), [(1, (0, 0)), (3.7, (41.3, -900.5)), (0.11, (5, 9))])
def test_a_raw_drawing_is_aligned_and_scaled_as_the_simplified_one(
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
    (tmp_path / "packed").mkdir()
    with gzip.open(tmp_path / "packed" / "cat.ndjson.gz", "wt") as file:
        file.write(text)
    plain, packed = read_class(tmp_path, "cat"), read_class(tmp_path / "packed", "cat")
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


def test_an_invalid_byte_loses_at_most_its_line(tmp_path: Path) -> None:
    good = line(SQUARE).encode() + b"\n"
    (tmp_path / "cat.ndjson").write_bytes(good + b"\xff\xfe\n" + good)
    drawings, bad = read_class(tmp_path, "cat")
    assert (len(drawings), bad) == (2, 1)


@pytest.mark.parametrize("damage", ["cut off", "flipped bytes", "no gzip"])
def test_the_readable_part_of_a_damaged_archive_is_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(1)
    text = "\n".join(line(as_lists(random_strokes(rng))) for _ in range(400))
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


def test_a_byte_order_mark_and_blank_lines_are_no_malformed_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "\n".join([line(SQUARE), "", "  ", line(TENT), ""])
    (tmp_path / "cat.ndjson").write_text(text, encoding="utf-8-sig")
    drawings, bad = read_class(tmp_path, "cat")
    assert [as_lists(d.strokes) for d in drawings] == [SQUARE, TENT]
    assert bad == 0
    assert caplog.text == ""


def test_an_empty_stroke_inside_a_drawing_is_left_out() -> None:
    for empty in ([], [[], []], [[], [], []]):
        found = parse(line([FACE[0], empty, *FACE[1:]]))
        assert as_lists(found.strokes) == FACE
        assert found.digest == parse(line(FACE)).digest


def test_drawings_of_another_word_are_counted_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [line(SQUARE), line(FACE, "dog"), line(TENT), line(TENT, "Cat")]
    (tmp_path / "cat.ndjson").write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING):
        drawings, left_out = read_class(tmp_path, "cat")
    assert [as_lists(d.strokes) for d in drawings] == [SQUARE, TENT]
    assert left_out == 2
    assert "2 drawings of other things than cat" in caplog.text


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


def test_the_split_depends_on_the_drawing_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    drawings = [as_lists(random_strokes(rng)) for _ in range(200)]
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
    found = [split_of(parse(line(as_lists(random_strokes(rng, 2)))).digest) for _ in range(4000)]
    for split, share in (("train", 0.9), ("valid", 0.05), ("test", 0.05)):
        assert abs(found.count(split) / len(found) - share) < 4 * np.sqrt(
            share * (1 - share) / 4000
        )
