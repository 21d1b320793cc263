"""Geometry of strokes: split, crop, simplify, move.

A stroke is a float array (2, n) of x and y in canvas px.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from models.images import CANVAS

Strokes = list[Float[np.ndarray, "2 _"]]


def split_by_length(strokes: Sequence[np.ndarray], fraction: float) -> tuple[Strokes, Strokes]:
    """The first `fraction` of the ink by arc length, and the rest; splits a stroke if need be.

    Dots have no length: one that comes before the split belongs to the first part.
    """
    lengths = [np.hypot(*np.diff(s, axis=1)) for s in strokes]
    left = fraction * sum(float(step.sum()) for step in lengths)
    for i, (stroke, steps) in enumerate(zip(strokes, lengths, strict=True)):
        along = np.concatenate([[0.0], np.cumsum(steps)])
        if along[-1] <= left + 1e-9:  # px: sums round, and no sliver of a stroke may be left
            left -= along[-1]
            continue
        if left <= 1e-9:
            return list(strokes[:i]), list(strokes[i:])
        whole = int(np.searchsorted(along, left, side="right"))
        end = np.array([[np.interp(left, along, axis)] for axis in stroke])
        first = np.concatenate([stroke[:, :whole], end], 1)
        rest = np.concatenate([end, stroke[:, whole:]], 1)
        return [*strokes[:i], first], [rest, *strokes[i + 1 :]]
    return list(strokes), []


def random_subset(
    strokes: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[Strokes, Strokes]:
    """A random non-empty proper subset of the strokes, and the rest; a single stroke is split."""
    if len(strokes) == 1:
        return split_by_length(strokes, rng.uniform(0.1, 0.9))
    kept = set(rng.permutation(len(strokes))[: rng.integers(1, len(strokes))].tolist())
    return (
        [s for i, s in enumerate(strokes) if i in kept],
        [s for i, s in enumerate(strokes) if i not in kept],
    )


def random_rectangle(
    strokes: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two corners (x, y) in px of a random rectangle, 10-60 % of the canvas a side, near ink."""
    points = strokes[rng.integers(len(strokes))].T
    size = rng.uniform(0.1, 0.6, 2) * CANVAS
    low = points[rng.integers(len(points))] - size * rng.uniform(0.2, 0.8, 2)
    return low, low + size


def clip_to_rectangle(strokes: Sequence[np.ndarray], low: np.ndarray, high: np.ndarray) -> Strokes:
    """The parts of the strokes within a rectangle, clipped at its sides (Liang and Barsky 1984)."""
    runs: Strokes = []
    for stroke in strokes:
        if stroke.shape[1] == 1:
            if ((stroke[:, 0] >= low) & (stroke[:, 0] <= high)).all():
                runs.append(stroke)
            continue
        start, step = stroke[:, :-1].T, np.diff(stroke, axis=1).T
        still = step == 0
        safe = np.where(still, 1.0, step)
        one, two = (low - start) / safe, (high - start) / safe
        within = (start >= low) & (start <= high)
        enter = np.where(still, np.where(within, 0.0, 2.0), np.minimum(one, two)).max(1).clip(0)
        leave = np.where(still, 1.0, np.maximum(one, two)).min(1).clip(max=1)
        run: list[np.ndarray] = []
        for i in np.flatnonzero(enter <= leave):
            if not (run and enter[i] == 0):
                if run:
                    runs.append(np.array(run).T)
                run = [start[i] + enter[i] * step[i]]
            run.append(start[i] + leave[i] * step[i])
            if leave[i] < 1:
                runs.append(np.array(run).T)
                run = []
        if run:
            runs.append(np.array(run).T)
    return runs


def simplify(stroke: np.ndarray, tolerance: float) -> np.ndarray:
    """Drop points that lie within `tolerance` px of the simplified polyline (Ramer 1972)."""
    keep = np.zeros(stroke.shape[1], bool)
    keep[[0, -1]] = True
    open_spans = [(0, stroke.shape[1] - 1)]
    while open_spans:
        a, b = open_spans.pop()
        if b - a < 2:
            continue
        line, between = stroke[:, [b]] - stroke[:, [a]], stroke[:, a + 1 : b] - stroke[:, [a]]
        along = (line * between).sum(0) / max(float((line**2).sum()), 1e-12)
        distance = np.hypot(*(between - along.clip(0, 1) * line))
        far = int(distance.argmax())
        if distance[far] > tolerance:
            keep[a + 1 + far] = True
            open_spans += [(a, a + 1 + far), (a + 1 + far, b)]
    return stroke[:, keep]


def random_placement(strokes: Sequence[np.ndarray], rng: np.random.Generator) -> Strokes:
    """Scale by 0.5-1 and shift at random inside the canvas: users do not draw in the data's frame.

    The aspect ratio changes by up to 15 %; a margin is left for the pen.
    """
    low = np.min([s.min(1) for s in strokes], 0)[:, None]
    extent = np.max([s.max(1) for s in strokes], 0)[:, None] - low
    scale = rng.uniform(0.5, 1.0) * rng.uniform(0.85, 1.0, (2, 1))
    offset = rng.uniform(0, 1, (2, 1)) * (CANVAS - 1 - scale * extent)
    return [(s - low) * scale + offset for s in strokes]
