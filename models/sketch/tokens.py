"""Strokes as sequences of points.

A point is (kind, x, y): kind DRAW goes on from the point before, MOVE sets the pen down anew, END
says that the drawing is finished; x and y count steps of 2 px on the 256x256 canvas.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from models.images import CANVAS, SIZE

DRAW, MOVE, END = range(3)
STEP = 2  # px
BINS = CANVAS // STEP
ANY = "any"


@dataclass(frozen=True)
class SketchConfig:
    """Rebuilds the network; saved beside the weights."""

    labels: tuple[str, ...]
    image_size: int = 64
    fine_channels: int = 64
    coarse_channels: int = 128
    width: int = 192
    heads: int = 4
    context_layers: int = 2
    layers: int = 3
    max_points: int = 48
    """Points that a completion may have at most."""

    def __post_init__(self):
        if not self.labels or len(set(self.labels)) != len(self.labels) or ANY in self.labels:
            raise ValueError(f"labels must be different names other than 'any': {self.labels}")
        if self.image_size != SIZE:
            raise ValueError(f"image_size must be {SIZE}, as the rasteriser's: {self.image_size}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        if self.max_points < 1:
            raise ValueError(f"max_points must be positive: {self.max_points}")


class Points(NamedTuple):
    """A batch of point sequences; what follows an END is padding and counts nothing."""

    kind: Int64[Tensor, "b n"]
    x: Int64[Tensor, "b n"]
    y: Int64[Tensor, "b n"]


def to_points(strokes: list[np.ndarray], limit: int) -> np.ndarray:
    """Strokes (2, n) in canvas px -> (points, 3) of kind, x, y, END included, cut at `limit`."""
    total = sum(stroke.shape[1] for stroke in strokes)
    points = np.full((total + 1, 3), (END, 0, 0))
    if strokes:
        starts = np.cumsum([0, *[stroke.shape[1] for stroke in strokes[:-1]]])
        points[:-1, 0], points[starts, 0] = DRAW, MOVE
        points[:-1, 1:] = np.round(np.concatenate(strokes, 1).T / STEP).clip(0, BINS - 1)
    return points[:limit]


def to_strokes(points: np.ndarray) -> list[np.ndarray]:
    """(points, 3) of kind, x, y -> strokes (2, n) in canvas px, up to the first END."""
    strokes: list[list[tuple[int, int]]] = []
    for kind, x, y in points.tolist():
        if kind == END:
            break
        if kind == MOVE or not strokes:
            strokes.append([])
        strokes[-1].append((STEP * x, STEP * y))
    return [np.array(stroke).T for stroke in strokes]
