"""A picture of a drawing, in any ink on any paper, as the sketch networks know drawings.

The paper is estimated and taken away, strokes are found by their contrast, thinned to lines one
pixel wide, brought to size and drawn again with the pen of the data. A picture that already looks
like a rendered drawing stays as it is.
"""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from models.images import CANVAS, PEN, downsample, flatten, ink_to_digit, picture_to_ink, to_ink

MAX_SIDE = 1024  # px to which a large picture is reduced before strokes are looked for
MIN_SIDE = 256  # px to which a small one is enlarged, so that thinned lines are smooth
BLOCKS = 12  # along each side, in which the colour of the paper is estimated
PAPER_SHARE = 80  # percentile of a block's values at which its paper is
MIN_CONTRAST = 22  # of 255, between ink and paper
NOISE_FACTOR = 4.5  # times the paper's own spread, that ink must stand out
MAX_FILLED = 0.45  # share of the picture that can be ink
MAX_BETWEEN = 0.1  # share of the drawing's box that is neither ink nor paper: more is a photo
MAX_BETWEEN_SMALL = 0.35  # the same of a digit, whose picture may be 28 px small
MAX_WIDTH = 0.2  # of a stroke, as a share of the drawing
MAX_SPECKS = 150  # separate marks, larger than specks, that are still a drawing
MIN_SPECK = 0.002  # length of the smallest mark that counts, as a share of the picture's side
USUAL_WIDTH = (7.0, 20.0)  # px of the canvas: pens that need no redrawing
USUAL_EXTENT = 0.4  # least share of the picture's side that a drawing of the usual size covers
EXTENT = 200  # px of the canvas: longer side of a drawing that is brought to size
THIN_DIGIT = 0.07  # least width of a digit's strokes, as a share of its longer side
DIGIT_PEN = 0.11  # the width with which thinner ones are drawn again
NO_LINES = (
    "No drawing was found in this picture: send strokes that stand out from their paper, such as "
    "black lines on white."
)


def extract_ink(picture: Image.Image) -> Float[Tensor, "64 64"]:
    """The ink of a picture of a drawing: what the network sees.

    ValueError, with one sentence for the sender, for a picture without anything like lines.
    """
    pixels = _enlarged(_opaque(picture))
    ink, is_clean = find_ink(pixels)
    top, left, height, width = _extent(ink)
    side = max(ink.shape)
    lines = thin(ink)
    stroke = float(ink.sum()) / max(1, int(lines.sum()))
    on_canvas = stroke * CANVAS / side
    is_clean = is_clean and USUAL_WIDTH[0] <= on_canvas <= USUAL_WIDTH[1]
    if is_clean and max(height, width) >= USUAL_EXTENT * side:
        return picture_to_ink(picture)
    if not is_clean and stroke > MAX_WIDTH * max(height, width) > 0.1 * MAX_WIDTH * side:
        raise ValueError(NO_LINES)
    points = np.argwhere(lines) - (top, left)
    if max(height, width) >= USUAL_EXTENT * side:  # where it is on the page is left as it is
        scale, offset = CANVAS / side, (np.array([top, left]) + _padding(ink.shape)) * CANVAS / side
    else:
        scale = EXTENT / max(height, width)
        offset = (CANVAS - scale * np.array([height, width])) / 2
    canvas = Image.new("L", (CANVAS, CANVAS))
    _draw_points(canvas, (points + 0.5) * scale + offset, PEN)
    return to_ink(downsample(np.asarray(canvas)))


def extract_digit(picture: Image.Image) -> Float[Tensor, "28 28"]:
    """A picture of a digit in MNIST's frame, white on black: its strokes as wide as they are.

    Lines thinner than MNIST's are drawn again. ValueError as in `extract_ink`.
    """
    ink, _ = find_ink(_enlarged(_opaque(picture)), MAX_BETWEEN_SMALL)
    top, left, height, width = _extent(ink)
    extent, lines = max(height, width), thin(ink)
    part = ink[top : top + height, left : left + width].astype(np.uint8)
    if ink.sum() < THIN_DIGIT * extent * lines.sum():
        page = Image.new("L", (2 * extent, 2 * extent))
        _draw_points(page, np.argwhere(lines) - (top, left) + extent / 2, DIGIT_PEN * extent)
        part = np.asarray(page) // 255
    return ink_to_digit(torch.from_numpy(part).float())


def _draw_points(canvas: Image.Image, points: Float[np.ndarray, "n 2"], pen: float | int) -> None:
    """White dots of `pen` px at each (row, column)."""
    draw, r = ImageDraw.Draw(canvas), pen / 2
    for y, x in points:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=255)


def find_ink(
    pixels: Float[np.ndarray, "h w 3"], max_between: float = MAX_BETWEEN
) -> tuple[Bool[np.ndarray, "h w"], bool]:
    """Which pixels are ink, and whether it is dark on paper that is white throughout.

    Ink is what differs from the paper around it by more than a threshold (Otsu 1979) that lies
    above the paper's own spread. ValueError where nothing or nearly everything does.
    """
    paper = estimate_paper(pixels)
    distance = np.abs(pixels - paper).max(2)
    spread = float(np.median(distance)) + 1.0
    least = max(MIN_CONTRAST, NOISE_FACTOR * spread)
    far = distance[distance > least]
    if len(far) < 4:
        raise ValueError(NO_LINES)
    threshold = max(least, 0.8 * otsu(far) if np.ptp(far) > 60 else least)
    ink = remove_specks(distance > threshold)
    if not ink.any() or ink.mean() > MAX_FILLED:
        raise ValueError(NO_LINES)
    inked = pixels[ink].mean(0)
    is_clean = bool(paper.min() > 235 and inked.max() < 90 and np.ptp(inked) < 30)
    top, left, height, width = _extent(ink)
    inside = distance[top : top + height, left : left + width] / np.median(distance[ink])
    if not is_clean and ((inside > 0.3) & (inside < 0.7)).mean() > max_between:
        raise ValueError(NO_LINES)
    return ink, is_clean


def estimate_paper(pixels: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """The colour of the paper at each pixel: percentiles of blocks, made smooth.

    Towards the lighter end where the ink is darker than most of the picture, else the darker one,
    so that a block may be mostly ink; one that is all ink takes the median of its neighbours.
    """
    is_dark = pixels.mean() < np.median(pixels)
    share = PAPER_SHARE if is_dark else 100 - PAPER_SHARE
    h, w, _ = pixels.shape
    rows, columns = (np.linspace(0, n, min(BLOCKS, n) + 1).astype(int) for n in (h, w))
    medians = np.array(
        [
            [np.percentile(pixels[a:b, c:d], share, (0, 1)) for c, d in pairwise(columns)]
            for a, b in pairwise(rows)
        ]
    )
    padded = np.pad(medians, ((2, 2), (2, 2), (0, 0)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (0, 1))
    smooth = np.median(windows, (-2, -1))
    grid = torch.from_numpy(smooth.astype(np.float32)).permute(2, 0, 1)[None]
    full = F.interpolate(grid, (h, w), mode="bilinear", align_corners=False)[0]
    return full.permute(1, 2, 0).numpy()


def otsu(values: Float[np.ndarray, " n"]) -> float:
    """The threshold between two groups of values that lie farthest apart (Otsu 1979)."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1:][np.nanargmax(between)])


def remove_specks(ink: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Without marks of a few pixels; ValueError for more marks than a drawing has strokes."""
    least = max(2.0, MIN_SPECK * max(ink.shape)) ** 2
    labels = label_components(ink)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    keep = sizes >= least
    if keep.sum() > MAX_SPECKS:
        raise ValueError(NO_LINES)
    return keep[labels]


def label_components(mask: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """A number from 1 on for each 8-connected part of the mask, 0 elsewhere: union of row runs."""
    parents = [0]

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    labels = np.zeros(mask.shape, np.int64)
    above: list[tuple[int, int, int]] = []
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        runs = []
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            touching = [name for a, b, name in above if a <= end and b >= start]
            if touching:
                name = min(map(root, touching))
                for other in touching:
                    parents[root(other)] = name
            else:
                name = len(parents)
                parents.append(name)
            labels[y, start:end] = name
            runs.append((start, end, name))
        above = runs
    return np.array([root(i) for i in range(len(parents))])[labels]


def thin(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Lines one pixel wide in the middle of the strokes (Zhang and Suen 1984)."""
    image = np.pad(mask, 1)
    while True:
        removed = 0
        for first in (True, False):
            p = [
                image[1 + dy : image.shape[0] - 1 + dy, 1 + dx : image.shape[1] - 1 + dx]
                for dy, dx in ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
            ]
            neighbours = sum(q.astype(np.int8) for q in p)
            turns = sum((~a & b).astype(np.int8) for a, b in zip(p, p[1:] + p[:1], strict=True))
            n, e, s, w = p[0], p[2], p[4], p[6]
            open_sides = ~(n & e & s) & ~(e & s & w) if first else ~(n & e & w) & ~(n & s & w)
            inner = image[1:-1, 1:-1]
            gone = inner & (neighbours >= 2) & (neighbours <= 6) & (turns == 1) & open_sides
            inner[gone] = False
            removed += int(gone.sum())
        if not removed:
            return image[1:-1, 1:-1]


def _opaque(picture: Image.Image) -> Float[np.ndarray, "h w 3"]:
    """The picture on white, or on black where its marks are too light for white; 0..255."""
    factor = max(1, -(-max(picture.size) // MAX_SIDE))
    on_white = np.asarray(flatten(picture, factor).convert("RGB"), np.float32)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        layer = layer.reduce(factor) if factor > 1 else layer
        alpha = np.asarray(layer.getchannel("A"))
        inked = np.asarray(layer.convert("RGB"), np.float32)[alpha > 127]
        if len(inked) and alpha.min() < 128 and inked.mean() > 200:
            black = Image.new("RGBA", layer.size, "black")
            on_black = Image.alpha_composite(black, layer).convert("RGB")
            return np.asarray(on_black, np.float32)
    return on_white


def _enlarged(pixels: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "H W 3"]:
    """At least MIN_SIDE px large, by a whole factor."""
    factor = MIN_SIDE // max(pixels.shape[:2])
    if factor < 2:
        return pixels
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    large = F.interpolate(planes, scale_factor=factor, mode="bilinear", align_corners=False)
    return large[0].permute(1, 2, 0).numpy()


def _extent(ink: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Top, left, height and width of what is inked."""
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _padding(shape: tuple[int, ...]) -> Float[np.ndarray, "2"]:
    """What is added above and to the left to make the picture a square."""
    return (max(shape) - np.array(shape[:2])) / 2
