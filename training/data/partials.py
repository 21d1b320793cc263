"""What a visitor might have drawn so far: parts of a drawing, and where on the canvas it sits.

A stroke is a float array (2, n) of x and y in canvas px.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from models.images import CANVAS

StrokeArray = Float[np.ndarray, "2 n"]


def first_part(strokes: Sequence[np.ndarray], fraction: float) -> list[np.ndarray]:
    """The first `fraction` of the ink by arc length, cut in mid-stroke where it falls there.

    Dots have no length: one that comes before the cut is kept.
    """
    lengths = [np.hypot(*np.diff(s, axis=1)) for s in strokes]
    left = fraction * sum(float(step.sum()) for step in lengths)
    kept = []
    for stroke, steps in zip(strokes, lengths, strict=True):
        along = np.concatenate([[0.0], np.cumsum(steps)])
        if along[-1] <= left:
            kept.append(stroke)
            left -= along[-1]
            continue
        whole = int(np.searchsorted(along, left, side="right"))
        end = [[np.interp(left, along, axis)] for axis in stroke]
        if left > 0:
            kept.append(np.concatenate([stroke[:, :whole], end], 1))
        break
    return kept


def some_strokes(strokes: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """A random subset of the strokes, at least one; a lone stroke loses a random tail instead."""
    if len(strokes) == 1:
        return first_part(strokes, rng.uniform(0.1, 0.9))
    count = rng.integers(1, len(strokes))
    return [strokes[i] for i in sorted(rng.permutation(len(strokes))[:count])]


def place(strokes: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Scale by 0.5-1 and shift at random inside the canvas: nobody draws in the data set's frame.

    Width and height are stretched apart by up to 15 %; some margin is left for the pen.
    """
    low = np.min([s.min(1) for s in strokes], 0)[:, None]
    extent = np.max([s.max(1) for s in strokes], 0)[:, None] - low
    scale = rng.uniform(0.5, 1.0) * rng.uniform(0.85, 1.0, (2, 1))
    offset = rng.uniform(0, 1, (2, 1)) * (CANVAS - 1 - scale * extent)
    return [(s - low) * scale + offset for s in strokes]


def erase_rectangle(
    ink: UInt8[np.ndarray, "64 64"], rng: np.random.Generator
) -> UInt8[np.ndarray, "64 64"]:
    """A copy with a random rectangle of 10-60 % of each side rubbed out, aimed at the ink."""
    rows, columns = np.nonzero(ink)
    out = ink.copy()
    if len(rows):
        pick = rng.integers(len(rows))
        h, w = (rng.uniform(0.1, 0.6, 2) * ink.shape).astype(int)
        top, left = max(0, rows[pick] - h // 2), max(0, columns[pick] - w // 2)
        out[top : top + h, left : left + w] = 0
    return out
