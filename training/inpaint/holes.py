"""Random masks for training: rectangles anywhere and over parts of a face, brush strokes."""

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from models.face_alignment import REGIONS, UNITS, Region

SMALL, LARGE, ANY = (0.02, 0.05), (0.08, 0.14), (0.02, 0.30)  # ranges of the fraction of the area
P_BRUSH = 0.08
P_RECTANGLE = 0.34  # the rest are rectangles over a part of the face
P_SECOND = 0.1  # of the rectangles come with a second, small one


def random_rectangle(rng: np.random.Generator, area: tuple[float, float]) -> Region:
    """A rectangle anywhere in the picture, of a fraction of its area drawn from `area`.

    Its sides have a ratio of 1:2 to 2:1.
    """
    fraction, aspect = rng.uniform(*area), np.exp(rng.uniform(-np.log(2), np.log(2)))
    height = min(UNITS * np.sqrt(fraction * aspect), UNITS)
    width = min(fraction * UNITS**2 / height, UNITS)
    top, left = rng.uniform(0, UNITS - height), rng.uniform(0, UNITS - width)
    return Region(top, left, top + height, left + width)


def jittered(rng: np.random.Generator, region: Region, by: float = 3.0) -> Region:
    """A region with each side moved by up to `by` units, clipped to the picture."""
    return Region(*np.clip(np.asarray(region) + rng.uniform(-by, by, 4), 0, UNITS))


def region_mask(region: Region, size: int) -> Bool[np.ndarray, "s s"]:
    """The mask of a region in a picture of `size` px: at least one pixel."""
    top, left, bottom, right = (round(side * size / UNITS) for side in region)
    top, left = min(top, size - 1), min(left, size - 1)
    mask = np.zeros((size, size), bool)
    mask[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return mask


def brush_mask(rng: np.random.Generator, size: int) -> Bool[np.ndarray, "s s"]:
    """One to three thick strokes; a small rectangle where these miss the picture."""
    canvas = Image.new("1", (size, size))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(1, 4)):
        width = int(size * rng.uniform(0.06, 0.16))
        steps = rng.normal(0, 0.18 * size, (rng.integers(1, 5), 2))
        points = [tuple(p) for p in (rng.uniform(0.1, 0.9, 2) * size + np.cumsum(steps, 0))]
        if len(points) > 1:
            draw.line(points, fill=1, width=width)
        for x, y in points:
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    mask = np.asarray(canvas, bool)
    return mask if mask.any() else region_mask(random_rectangle(rng, SMALL), size)


def random_mask(rng: np.random.Generator, size: int) -> Bool[np.ndarray, "s s"]:
    """One training mask: brush strokes, or one or two rectangles."""
    kind = rng.uniform()
    if kind < P_BRUSH:
        return brush_mask(rng, size)
    if kind < P_BRUSH + P_RECTANGLE:
        mask = region_mask(random_rectangle(rng, ANY), size)
    else:
        part = list(REGIONS.values())[rng.integers(len(REGIONS))]
        mask = region_mask(jittered(rng, part), size)
    if rng.uniform() < P_SECOND:
        mask |= region_mask(random_rectangle(rng, SMALL), size)
    return mask


def random_masks(rng: np.random.Generator, count: int, size: int) -> Bool[np.ndarray, "n s s"]:
    """Independent training masks."""
    return np.stack([random_mask(rng, size) for _ in range(count)])
