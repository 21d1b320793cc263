"""What is erased from a face: rectangles anywhere and over its parts, and strokes of a brush."""

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from models.face_alignment import REGIONS, UNITS, Region

SMALL, LARGE, ALL = (0.02, 0.05), (0.08, 0.14), (0.02, 0.30)  # of the picture's area


def rectangle(rng: np.random.Generator, area: tuple[float, float]) -> Region:
    """A rectangle anywhere in the picture, of a share `area` of it, its sides 1:2 to 2:1."""
    share, aspect = rng.uniform(*area), np.exp(rng.uniform(-np.log(2), np.log(2)))
    height = min(UNITS * np.sqrt(share * aspect), UNITS)
    width = min(share * UNITS**2 / height, UNITS)
    top, left = rng.uniform(0, UNITS - height), rng.uniform(0, UNITS - width)
    return Region(top, left, top + height, left + width)


def jittered(rng: np.random.Generator, region: Region, by: float = 3.0) -> Region:
    """A region with each side moved by up to `by` units, inside the picture."""
    return Region(*np.clip(np.asarray(region) + rng.uniform(-by, by, 4), 0, UNITS))


def fill(region: Region, size: int) -> Bool[np.ndarray, "s s"]:
    """The hole that a rectangle makes: at least one pixel."""
    top, left, bottom, right = (round(side * size / UNITS) for side in region)
    top, left = min(top, size - 1), min(left, size - 1)
    hole = np.zeros((size, size), bool)
    hole[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return hole


def brush(rng: np.random.Generator, size: int) -> Bool[np.ndarray, "s s"]:
    """A few thick strokes."""
    canvas = Image.new("1", (size, size))
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(1, 4)):
        width = int(size * rng.uniform(0.06, 0.16))
        steps = rng.normal(0, 0.18 * size, (rng.integers(1, 5), 2))
        points = [tuple(p) for p in (rng.uniform(0.1, 0.9, 2) * size + np.cumsum(steps, 0))]
        if len(points) > 1:
            pen.line(points, fill=1, width=width)
        for x, y in points:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    hole = np.asarray(canvas, bool)
    return hole if hole.any() else fill(rectangle(rng, SMALL), size)


def hole(rng: np.random.Generator, size: int) -> Bool[np.ndarray, "s s"]:
    """36 % one rectangle anywhere, 50 % one over a part of the face, some with a second one; 8 % a
    brush; 6 % everything, so that the network can make faces of its own.
    """
    kind = rng.uniform()
    if kind < 0.06:
        return np.ones((size, size), bool)
    if kind < 0.14:
        return brush(rng, size)
    if kind < 0.5:
        erased = fill(rectangle(rng, ALL), size)
    else:
        erased = fill(jittered(rng, list(REGIONS.values())[rng.integers(len(REGIONS))]), size)
    if rng.uniform() < 0.1:
        erased |= fill(rectangle(rng, SMALL), size)
    return erased


def holes(rng: np.random.Generator, count: int, size: int) -> Bool[np.ndarray, "n s s"]:
    """Independent ones."""
    return np.stack([hole(rng, size) for _ in range(count)])
