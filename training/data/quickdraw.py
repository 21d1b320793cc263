"""Google's Quick, Draw!: read the official files, split by drawing, render to uint8 arrays in RAM.

Ha and Eck, "A Neural Representation of Sketch Drawings", 2017. Data: Google, CC BY 4.0.
"""

import gzip
import hashlib
import json
import logging
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from models.images import CANVAS, SIZE, draw_strokes, shrink
from training.data.partials import erase_rectangle, first_part, place, some_strokes

CLASSES = (
    "airplane", "alarm clock", "apple", "backpack", "bicycle", "book", "butterfly", "cactus",
    "cake", "car", "cat", "coffee cup", "crab", "eye", "face", "ice cream", "mug", "pig",
    "pineapple", "shoe", "smiley face", "snowman", "sun", "teapot",
)  # fmt: skip
Split = Literal["train", "valid", "test"]
VARIANTS = 3  # renderings of a training drawing: as it is, then moved and scaled at random
log = logging.getLogger(__name__)


class Drawing(NamedTuple):
    """One drawing in the 256x256 frame, and the hash that decides its split."""

    word: str
    strokes: list[np.ndarray]
    digest: int


def parse(line: str) -> Drawing:
    """One line of a simplified or raw file; raw drawings are aligned to the top left and scaled to
    255 as Google's simplified ones are. ValueError says what is wrong with a malformed line.
    """
    try:
        record = json.loads(line)
        word, raw = record["word"], record["drawing"]
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
    """All drawings of a class, and how many lines were malformed."""
    path = find_class(folder, word)
    drawings, bad = [], 0
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as lines:
        try:
            for line in lines:
                try:
                    drawings.append(parse(line))
                except ValueError:
                    bad += 1
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            bad += 1
            log.warning("%s breaks off after %d drawings (%s)", path.name, len(drawings), error)
    if bad:
        log.warning("%s: %d malformed lines were left out", path.name, bad)
    return drawings, bad


@dataclass(frozen=True)
class SketchArrays:
    """Rendered drawings, ink 0..255: the whole one, its first part, some of its strokes."""

    full: UInt8[np.ndarray, "n v 64 64"]
    first: UInt8[np.ndarray, "n v 64 64"]
    some: UInt8[np.ndarray, "n v 64 64"]
    label: Int64[np.ndarray, " n"]

    def weights(self, power: float = 0.5) -> np.ndarray:
        """Chance of each drawing when a class is drawn with p ~ size^power: small ones gain."""
        sizes = np.bincount(self.label, minlength=len(CLASSES))
        return (np.maximum(sizes, 1) ** (power - 1.0))[self.label]


def render(drawing: Drawing, variants: int) -> UInt8[np.ndarray, "3 v 64 64"]:
    """Full, first part and some strokes of one drawing; variant 0 is the data set's own frame."""
    rng = np.random.default_rng(drawing.digest)
    out = np.empty((3, variants, SIZE, SIZE), np.uint8)
    for v in range(variants):
        strokes = place(drawing.strokes, rng) if v else drawing.strokes
        parts = (strokes, first_part(strokes, rng.uniform(0.1, 0.9)), some_strokes(strokes, rng))
        for kind, part in enumerate(parts):
            out[kind, v] = shrink(draw_strokes(part))
    return out


def halves(
    folder: Path, split: Split, fraction: float = 0.5
) -> tuple[UInt8[np.ndarray, "n 64 64"], UInt8[np.ndarray, "n 64 64"], Int64[np.ndarray, " n"]]:
    """Full drawings, their first `fraction` by arc length, and labels: what `evaluate.py` asks."""
    full, part, label = [], [], []
    for index, word in enumerate(CLASSES):
        for drawing in read_class(folder, word)[0]:
            if split_of(drawing.digest) == split:
                full.append(shrink(draw_strokes(drawing.strokes)))
                part.append(shrink(draw_strokes(first_part(drawing.strokes, fraction))))
                label.append(index)
    return np.stack(full), np.stack(part), np.array(label)


def _render_class(folder: Path, word: str, variants: int) -> UInt8[np.ndarray, "n 3 v 64 64"]:
    kept = [d for d in read_class(folder, word)[0] if split_of(d.digest) == "train"]
    if not kept:
        raise ValueError(f"no readable training drawing of {word!r} in {folder}: fetch it again")
    return np.stack([render(d, variants) for d in kept])


def load_train(folder: Path, cache: Path | None = None, workers: int = 2) -> SketchArrays:
    """The training split in RAM (12 KB a variant and drawing), rendered once, kept in `cache`."""
    files = [find_class(folder, word) for word in CLASSES]
    stamp = json.dumps([VARIANTS, *[(p.name, p.stat().st_size) for p in files]])
    name = f"quickdraw-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}.npz"
    if cache is not None and (cache / name).exists():
        with np.load(cache / name) as kept:
            return SketchArrays(**kept)
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(_render_class, folder, word, VARIANTS) for word in CLASSES]
        parts = [job.result() for job in jobs]
    label = np.repeat(np.arange(len(CLASSES)), [len(part) for part in parts])
    full, first, some = (np.concatenate([part[:, k] for part in parts]) for k in range(3))
    arrays = SketchArrays(full, first, some, label)
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f"{name}.part"
        with partial.open("wb") as file:
            np.savez(file, full=full, first=first, some=some, label=label)
        partial.replace(cache / name)
    return arrays


def draw_full(
    data: SketchArrays, chance: np.ndarray, size: int, seed: int, step: int
) -> tuple[UInt8[np.ndarray, "b 64 64"], Int64[np.ndarray, " b"]]:
    """Whole drawings and labels for a classifier, half in the data set's frame."""
    rng = np.random.default_rng((seed, step))
    pick = np.searchsorted(chance, rng.uniform(0, chance[-1], size), side="right")
    variant = np.where(rng.uniform(size=size) < 0.5, 0, rng.integers(1, VARIANTS, size))
    return data.full[pick, variant], data.label[pick]


def draw_batch(
    data: SketchArrays, chance: np.ndarray, size: int, seed: int, step: int
) -> tuple[UInt8[np.ndarray, "b 64 64"], UInt8[np.ndarray, "b 64 64"], Int64[np.ndarray, " b"]]:
    """Batch number `step`: full, partial, label, a pure function of (seed, step), so that a resumed
    run sees what the unbroken one saw. `chance` is the cumulative sum of `data.weights()`.

    Half are in the data set's frame. Partials: 55 % first part, 15 % some strokes, 30 % erased.
    25 % of the labels are dropped: they read len(CLASSES), which means any.
    """
    rng = np.random.default_rng((seed, step))
    pick = np.searchsorted(chance, rng.uniform(0, chance[-1], size), side="right")
    variant = np.where(rng.uniform(size=size) < 0.5, 0, rng.integers(1, VARIANTS, size))
    full = data.full[pick, variant]
    kind = rng.uniform(size=size)
    partial = np.where((kind < 0.55)[:, None, None], data.first[pick, variant], full)
    partial = np.where(
        ((kind >= 0.55) & (kind < 0.7))[:, None, None], data.some[pick, variant], partial
    )
    for i in np.flatnonzero(kind >= 0.7):
        partial[i] = erase_rectangle(full[i], rng)
    dropped = rng.uniform(size=size) < 0.25
    return full, partial, np.where(dropped, len(CLASSES), data.label[pick])
