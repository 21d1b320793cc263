"""Google's Quick, Draw!: read the official files, split by drawing.

Ha and Eck, "A Neural Representation of Sketch Drawings", 2017. Data: Google, CC BY 4.0.
"""

import gzip
import hashlib
import json
import logging
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from models.images import CANVAS

CLASSES = (
    "airplane", "alarm clock", "apple", "backpack", "bicycle", "book", "butterfly", "cactus",
    "cake", "car", "cat", "coffee cup", "crab", "eye", "face", "ice cream", "mug", "pig",
    "pineapple", "shoe", "smiley face", "snowman", "sun", "teapot",
)  # fmt: skip
Split = Literal["train", "valid", "test"]
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
