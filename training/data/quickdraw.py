"""Google's Quick, Draw!: read the official files, split by drawing, rasterise or simplify a split.

Ha and Eck, "A Neural Representation of Sketch Drawings", 2017. Data: Google, CC BY 4.0.
"""

import gzip
import hashlib
import itertools
import json
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt8

from models.images import CANVAS, downsample, draw_strokes
from training.data.stroke_crops import Strokes, simplify, split_by_length
from training.engine.run_state import atomic_write
from training.engine.workers import worker_pool

CLASSES = (
    "airplane", "alarm clock", "apple", "backpack", "bicycle", "book", "butterfly", "cactus",
    "cake", "car", "cat", "coffee cup", "crab", "eye", "face", "ice cream", "mug", "pig",
    "pineapple", "shoe", "smiley face", "snowman", "sun", "teapot",
)  # fmt: skip
Split = Literal["train", "valid", "test"]
TOLERANCE_PX = 2.5  # simplified strokes have a third fewer points, and look alike under a 12 px pen
CACHE_VERSION = 3  # of the arrays that load_train caches
log = logging.getLogger(__name__)


class Drawing(NamedTuple):
    """One drawing in the 256x256 frame, and the hash that decides its split."""

    word: str
    strokes: list[np.ndarray]
    digest: int


def parse(line: str) -> Drawing:
    """One line of a simplified or raw file; raw drawings are aligned to the top left and scaled to
    255 as Google's simplified ones are. Empty strokes are left out. ValueError says what is wrong
    with a malformed line.
    """
    try:
        record = json.loads(line)
        word, raw = record["word"], [stroke for stroke in record["drawing"] if any(stroke)]
        strokes = [np.array(stroke[:2], np.float64) for stroke in raw]
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a Quick, Draw! line ({error!r})") from None
    if not strokes or any(s.ndim != 2 or len(s) != 2 or s.shape[1] == 0 for s in strokes):
        raise ValueError("a stroke is not two lists of x and y of one length")
    points = np.concatenate(strokes, 1)
    if not isinstance(word, str) or not (np.abs(points) < 1e6).all():
        raise ValueError("a word that is no text, or a coordinate that is no number of pixels")
    if any(len(stroke) > 2 for stroke in raw):
        low = points.min(1, keepdims=True)
        scale = (CANVAS - 1) / max(float((points - low).max()), 1e-9)
        strokes = [np.round((s - low) * scale) for s in strokes]
    elif points.min() < 0 or points.max() > CANVAS - 1:
        raise ValueError("a coordinate outside 0..255")
    text = json.dumps([s.astype(int).tolist() for s in strokes])
    digest = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return Drawing(word, strokes, digest)


def split_of(digest: int) -> Split:
    """90/5/5 by the drawing's own hash: it never changes with the file's order or size."""
    return ("train", "valid", "test")[(digest % 100 >= 90) + (digest % 100 >= 95)]


def find_class(folder: Path, word: str) -> Path:
    """`<word>.ndjson`, else `<word>.ndjson.gz`."""
    for path in (folder / f"{word}.ndjson", folder / f"{word}.ndjson.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(
        f"no {word}.ndjson or {word}.ndjson.gz in {folder}: fetch it with "
        "`python training/train_sketch.py --download`, or point --data-dir at the folder "
        "that holds quickdraw/"
    )


def read_class(folder: Path, word: str) -> tuple[list[Drawing], int]:
    """All drawings of a class, and how many lines were malformed or of another class."""
    path = find_class(folder, word)
    drawings, bad, others = [], 0, 0
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", errors="replace") as lines:
        try:
            for line in lines:
                if not line.strip():
                    continue
                try:
                    drawing = parse(line)
                except ValueError:
                    bad += 1
                    continue
                if drawing.word == word:
                    drawings.append(drawing)
                else:
                    others += 1
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            bad += 1
            log.warning("%s breaks off after %d drawings (%s)", path.name, len(drawings), error)
    if bad:
        log.warning("%s: %d malformed lines were left out", path.name, bad)
    if others:
        log.warning("%s: %d drawings of other things than %s left out", path.name, others, word)
    return drawings, bad + others


def read_split(folder: Path, split: Split) -> Iterator[tuple[int, Strokes]]:
    """Label and strokes of every drawing of one split, as they are in the data set."""
    for label, word in enumerate(CLASSES):
        for drawing in read_class(folder, word)[0]:
            if split_of(drawing.digest) == split:
                yield label, drawing.strokes


def rasterize_split(
    folder: Path, split: Split, fraction: float = 0.5
) -> tuple[UInt8[np.ndarray, "n 64 64"], UInt8[np.ndarray, "n 64 64"], Int64[np.ndarray, " n"]]:
    """Full drawings, their first `fraction` by arc length, and labels; ValueError without any."""
    full, partial, labels = [], [], []
    for label, strokes in read_split(folder, split):
        full.append(downsample(draw_strokes(strokes)))
        partial.append(downsample(draw_strokes(split_by_length(strokes, fraction)[0])))
        labels.append(label)
    if not labels:
        raise ValueError(f"no drawing of the {split} split in {folder}: fetch more drawings")
    return np.stack(full), np.stack(partial), np.array(labels)


@dataclass(frozen=True)
class PackedDrawings:
    """Simplified drawings, concatenated: `drawings[i]` is the list of strokes of drawing i."""

    points: Float[np.ndarray, "p 2"]
    """Points of all strokes, canvas px."""
    stroke_starts: Int64[np.ndarray, " s"]
    """Index of each stroke's first point; the last entry is the number of points."""
    drawing_starts: Int64[np.ndarray, " n"]
    """Index of each drawing's first stroke."""
    labels: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> Strokes:
        starts = self.drawing_starts
        last = starts[i + 1] if i + 1 < len(starts) else len(self.stroke_starts) - 1
        ends = self.stroke_starts[starts[i] : last + 1]
        return [self.points[a:b].T.astype(np.float64) for a, b in itertools.pairwise(ends)]

    def sampling_weights(self, power: float = 0.5) -> np.ndarray:
        """Weight of each drawing so that p(class) ~ size^power: small classes are oversampled."""
        sizes = np.bincount(self.labels, minlength=len(CLASSES))
        return (np.maximum(sizes, 1) ** (power - 1.0))[self.labels]


def _simplified(folder: Path, word: str) -> list[Strokes]:
    return [
        [simplify(stroke, TOLERANCE_PX) for stroke in drawing.strokes]
        for drawing in read_class(folder, word)[0]
        if split_of(drawing.digest) == "train"
    ]


def load_train(folder: Path, cache: Path | None = None, workers: int = 2) -> PackedDrawings:
    """The training split, simplified once and kept in the folder `cache`; about 20 MB."""
    files = [find_class(folder, word) for word in CLASSES]
    stamp = json.dumps([CACHE_VERSION, TOLERANCE_PX, *[(p.name, p.stat().st_size) for p in files]])
    name = f"quickdraw-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}.npz"
    if cache is not None and (cache / name).exists():
        with np.load(cache / name) as arrays:
            return PackedDrawings(**arrays)
    with worker_pool(workers) as pool:
        classes = list(pool.map(_simplified, [folder] * len(CLASSES), CLASSES))
    for word, drawings in zip(CLASSES, classes, strict=True):
        if not drawings:
            raise ValueError(
                f"no readable training drawing of {word!r} in {folder}: fetch it again"
            )
    drawings = [drawing for drawings in classes for drawing in drawings]
    strokes = [stroke for drawing in drawings for stroke in drawing]
    arrays = {
        "points": np.concatenate(strokes, 1).T.astype(np.float32),
        "stroke_starts": np.cumsum([0, *[stroke.shape[1] for stroke in strokes]]),
        "drawing_starts": np.cumsum([0, *[len(drawing) for drawing in drawings]])[:-1],
        "labels": np.repeat(np.arange(len(CLASSES)), [len(drawings) for drawings in classes]),
    }
    if cache is not None:
        with atomic_write(cache / name) as file:
            np.savez(file, **arrays)
    return PackedDrawings(**arrays)
