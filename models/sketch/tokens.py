"""Strokes as token sequences, and the config of the network that predicts them.

A token is a point (kind, x, y): DRAW continues the stroke from the previous point, MOVE starts a
new stroke, END closes the sequence; x and y are positions on a grid of 2 px on the 256x256 canvas.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from models.images import CANVAS, SIZE

DRAW, MOVE, END = range(3)
GRID_PX = 2  # px
BINS = CANVAS // GRID_PX  # grid positions a side
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
    """Largest number of points in a completion."""
    logit_temperature: float = 0.4
    """Factor on the temperature of the points' logits: temperature 1 divides them by this.

    Below 1, because samples of the unscaled distribution look less like real drawings.
    """
    label_temperature: float = 0.5
    """The same factor for the label's logits, where the label is sampled."""
    end_logit_penalty: float = 0.8
    """Subtracted from END's logit: completions of halves of drawings end slightly too early."""

    def __post_init__(self):
        if not self.labels or len(set(self.labels)) != len(self.labels) or ANY in self.labels:
            raise ValueError(f"labels must be distinct names other than 'any': {self.labels}")
        if self.image_size != SIZE:
            raise ValueError(f"image_size must be {SIZE}, as the rasteriser's: {self.image_size}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if self.max_points < 1:
            raise ValueError(f"max_points must be positive: {self.max_points}")
        for name in ("logit_temperature", "label_temperature"):
            if not 0 < getattr(self, name) <= 10:
                raise ValueError(f"{name} must be above 0, at most 10: {getattr(self, name)}")
        if not abs(self.end_logit_penalty) < math.inf:
            raise ValueError(f"end_logit_penalty must be finite: {self.end_logit_penalty}")


class Points(NamedTuple):
    """A batch of point sequences; whatever follows an END is padding and ignored."""

    kind: Int64[Tensor, "b n"]
    x: Int64[Tensor, "b n"]
    y: Int64[Tensor, "b n"]


def to_points(strokes: list[np.ndarray], max_points: int) -> np.ndarray:
    """Strokes (2, n) in canvas px -> (points, 3) of kind, x, y, END included, truncated."""
    total = sum(stroke.shape[1] for stroke in strokes)
    points = np.full((total + 1, 3), (END, 0, 0))
    if strokes:
        starts = np.cumsum([0, *[stroke.shape[1] for stroke in strokes[:-1]]])
        points[:-1, 0], points[starts, 0] = DRAW, MOVE
        points[:-1, 1:] = np.round(np.concatenate(strokes, 1).T / GRID_PX).clip(0, BINS - 1)
    return points[:max_points]


def to_strokes(points: np.ndarray) -> list[np.ndarray]:
    """(points, 3) of kind, x, y -> strokes (2, n) in canvas px, up to the first END."""
    strokes: list[list[tuple[int, int]]] = []
    for kind, x, y in points.tolist():
        if kind == END:
            break
        if kind == MOVE or not strokes:
            strokes.append([])
        strokes[-1].append((GRID_PX * x, GRID_PX * y))
    return [np.array(stroke).T for stroke in strokes]
