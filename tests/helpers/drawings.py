"""Random drawings, and simple slow measures of them."""

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from models.images import CANVAS, downsample, draw_strokes

Strokes = list[np.ndarray]
no_deadline = settings(deadline=None)

# Few values, so that points, lines and sides coincide; and sixteenths of a pixel in between.
COORDINATES = st.sampled_from([0.0, 64, 128, 192]) | st.integers(0, 255 * 16).map(lambda i: i / 16)
FRACTIONS = st.floats(0, 1)


def stroke_strategy(points: int) -> st.SearchStrategy[np.ndarray]:
    """Strokes of up to so many points."""
    rows = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=points)
    return rows.map(lambda row: np.array(row, float).T)


DRAWINGS = st.lists(stroke_strategy(6), min_size=1, max_size=4)


def random_strokes(rng: np.random.Generator, strokes: int = 4) -> Strokes:
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
    """Whether two drawings have the same strokes, point by point."""
    return len(one) == len(two) and all(map(np.array_equal, one, two))


def raster(strokes: Sequence[np.ndarray]) -> np.ndarray:
    """Ink of the networks' size."""
    return downsample(draw_strokes(strokes))


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
