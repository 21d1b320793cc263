"""The only place where pictures, strokes, masks and pixel ranges are converted.

Ink is a float in [0, 1]: 0 is white paper, 1 is a fully covered pixel.
"""

import io
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Num, UInt8
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from models.image_sanitizer import sanitize

CANVAS = 256  # px, the side of the drawing canvas and of the Quick, Draw! frame
PEN = 12  # px of the canvas, the diameter of the round pen
ERASER = 24  # px of the canvas, the diameter of the round eraser
SIZE = 64  # px, the side of the sketch networks' input
MAX_PIXELS = 50_000_000  # of any uploaded picture
MAX_PHOTO = 24_000_000  # pixels of a photograph that is inpainted at its own size
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # Exif orientation -> the transposition that undoes it

AxesStrokes = list[list[list[float | int]]]  # strokes [xs, ys]
Stroke = Sequence[Sequence[float | int]] | Num[np.ndarray, "_ _"]  # (xs, ys[, times]) in px


def draw_strokes(
    strokes: Sequence[Stroke],
    *,
    erase: Sequence[bool] | None = None,
    base: UInt8[np.ndarray, "256 256"] | None = None,
) -> UInt8[np.ndarray, "256 256"]:
    """Draw with a round 12 px pen on the 256x256 canvas; 255 is ink, 0 is paper.

    `erase[i]` makes stroke i an eraser, 24 px wide; `base` is a canvas to draw on.
    Coordinates outside the canvas are clipped; one-point strokes are dots.
    """
    canvas = Image.new("L", (CANVAS, CANVAS)) if base is None else Image.fromarray(base)
    pen = ImageDraw.Draw(canvas)
    for i, stroke in enumerate(strokes):
        fill, width = (0, ERASER) if erase is not None and erase[i] else (255, PEN)
        r = width / 2
        points = list(zip(stroke[0], stroke[1], strict=True))
        if len(points) > 1:
            pen.line(points, fill=fill, width=width)
        for x, y in points:
            pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    return np.asarray(canvas)


def to_canvas(strokes: list) -> list:
    """A drawing in any convention in use as strokes [xs, ys] in px of the canvas.

    Strokes may be axes [xs, ys], axes with times [xs, ys, ts], or points [[x, y], ...]; or the
    drawing may be stroke-3 rows [dx, dy, pen up] (Ha and Eck 2017). Coordinates in [0, 1] are
    multiplied by 255. Offsets, screen coordinates with times, and what is too large for the canvas
    are moved to the top left and scaled to 255, as Google's simplified drawings are. ValueError,
    with one sentence for the sender, for what can be read in more than one way, or in none.
    """
    if not all(isinstance(stroke, list | tuple) and stroke for stroke in strokes):
        raise ValueError("Each stroke must be two lists of numbers: [xs, ys].")
    if _is_offsets(strokes):
        return _fit(_from_offsets(strokes))
    if not all(isinstance(row, list | tuple) for stroke in strokes for row in stroke):
        raise ValueError("Each stroke must be two lists of numbers: [xs, ys].")
    readings = {_reading(stroke) for stroke in strokes} - {"both"}
    if len(readings) > 1:
        raise ValueError(
            "Some strokes look like axes [xs, ys] and others like points [[x, y], ...]: send all "
            "in one form."
        )
    timed = any(len(stroke) == 3 for stroke in strokes)
    if readings == {"points"}:
        timed = any(len(row) == 3 for stroke in strokes for row in stroke)
        strokes = [[list(axis) for axis in zip(*stroke, strict=True)] for stroke in strokes]
    if any(len(stroke) not in (2, 3) for stroke in strokes):
        raise ValueError("Each stroke must be two lists of numbers: [xs, ys].")
    axes = [[list(axis) for axis in stroke[:2]] for stroke in strokes]
    for xs, ys in axes:
        if not xs or len(xs) != len(ys):
            raise ValueError(f"A stroke needs as many xs as ys, not {len(xs)} and {len(ys)}.")
    values = [v for stroke in axes for axis in stroke for v in axis]
    if not values or not all(_is_coordinate(v) for v in values):
        return axes  # who asked checks single values
    low, high = min(values), max(values)
    if low >= 0 and high <= 1 and any(v != int(v) for v in values):
        return [[[(CANVAS - 1) * v for v in axis] for axis in stroke] for stroke in axes]
    if low >= -PEN and high <= CANVAS + PEN:
        return axes
    reach = max(
        max(v for s in axes for v in s[k]) - min(v for s in axes for v in s[k]) for k in (0, 1)
    )
    if timed or reach > CANVAS:
        return _fit(axes)
    raise ValueError(
        f"The coordinates run from {low:g} to {high:g}, beyond the canvas of {CANVAS} px: they may "
        "be px of a part of it, or of a screen. Send them in 0..255, or with times as [xs, ys, ts]."
    )


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _is_offsets(rows: list) -> bool:
    """Whether these are stroke-3 rows: three numbers each, the last one 0 or 1."""
    return all(
        len(row) == 3 and all(_is_coordinate(v) for v in row) and row[2] in (0, 1) for row in rows
    ) and bool(rows)


def _reading(stroke: Sequence[Sequence[object]]) -> str:
    """Whether a stroke can only be axes, can only be points, or both; "axes" if it is neither."""
    lengths = {len(row) for row in stroke}
    as_axes = len(stroke) in (2, 3) and len(lengths) == 1
    as_points = lengths in ({2}, {3})
    if as_axes and as_points:
        # [xs, ys, ts] of three points or three points [x, y, t]: times never fall
        if len(stroke) == 3 and lengths == {3}:
            return (
                "both"
                if _rises(stroke[2]) == _rises([row[2] for row in stroke])
                else ("axes" if _rises(stroke[2]) else "points")
            )
        return {(2, 3): "axes", (3, 2): "points"}.get((len(stroke), *lengths), "both")
    return "points" if as_points else "axes"


def _rises(values: Sequence[object]) -> bool:
    numbers = [v for v in values if _is_coordinate(v)]
    return len(numbers) == len(values) and numbers == sorted(numbers)


def _from_offsets(rows: list) -> AxesStrokes:
    """stroke-3 rows to strokes: the pen goes up after a row whose last number is 1."""
    strokes, x, y, is_new = [], 0.0, 0.0, True
    for dx, dy, up in rows:
        x, y = x + dx, y + dy
        if is_new:
            strokes.append([[], []])
        strokes[-1][0].append(x)
        strokes[-1][1].append(y)
        is_new = up == 1
    return strokes


def _fit(strokes: AxesStrokes) -> AxesStrokes:
    """Moved to the top left and scaled so that the longer side is 255 px."""
    low = [min(v for stroke in strokes for v in stroke[k]) for k in (0, 1)]
    high = [max(v for stroke in strokes for v in stroke[k]) for k in (0, 1)]
    scale = (CANVAS - 1) / max(high[0] - low[0], high[1] - low[1], 1e-9)
    return [[[(v - low[k]) * scale for v in stroke[k]] for k in (0, 1)] for stroke in strokes]


def downsample(canvas: UInt8[np.ndarray, "256 256"]) -> UInt8[np.ndarray, "64 64"]:
    """Area-average 4x4 blocks to the networks' 64x64, still 0..255."""
    step = CANVAS // SIZE
    rows = canvas[::step].astype(np.uint16)
    for i in range(1, step):
        rows += canvas[i::step]  # slices: numpy's own sum over short axes takes 14 times as long
    blocks = rows[:, ::step].copy()
    for i in range(1, step):
        blocks += rows[:, i::step]
    return ((blocks + 8) // step**2).astype(np.uint8)


def to_ink(pixels: UInt8[np.ndarray, "*b h w"]) -> Float[Tensor, "*b h w"]:
    """0..255 to [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255


def to_rgb(
    pixels: UInt8[np.ndarray, "b h w 3"], size: int | None = None
) -> Float[Tensor, "b 3 s s"]:
    """0..255 to [0, 1], channels first, area-averaged to `size`, which must divide the sides."""
    picture = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    step = 1 if size is None else pixels.shape[1] // size
    if size is not None and (step * size != pixels.shape[1] or step * size != pixels.shape[2]):
        raise ValueError(f"pictures of {pixels.shape[1:3]} px cannot be averaged to {size}x{size}")
    picture = picture.float() / 255
    return picture if step == 1 else F.avg_pool2d(picture, step)


def rasterise(
    strokes: Sequence[Stroke],
    *,
    erase: Sequence[bool] | None = None,
    base: UInt8[np.ndarray, "64 64"] | None = None,
) -> Float[Tensor, "64 64"]:
    """Strokes in canvas px to the networks' input: draw, then area-average.

    `erase` as in `draw_strokes`; `base` is ink of the networks' size under the strokes, unchanged
    where no stroke touches it.
    """
    step = CANVAS // SIZE
    under = None if base is None else base.repeat(step, 0).repeat(step, 1)
    return to_ink(downsample(draw_strokes(strokes, erase=erase, base=under)))


def read_picture(
    file: str | Path | io.BytesIO, limit: int = MAX_PIXELS, *, full_size: bool = False
) -> Image.Image:
    """Open and decode an uploaded picture, upright as its Exif tag says.

    ValueError, with one sentence for the sender, for an unreadable picture or one of more than
    `limit` pixels, which is not decoded. A large JPEG is decoded at a fraction of its size unless
    `full_size`.
    """
    try:
        sent = file.getvalue() if isinstance(file, io.BytesIO) else Path(file).read_bytes()
        clean = sanitize(sent)
        too_large = math.prod(clean.size) > limit
        if not too_large:
            picture = Image.open(io.BytesIO(clean.data), formats=(clean.format,))
            too_large = picture.width * picture.height > limit
        if not too_large:
            if not full_size:
                picture.draft("RGB", (4 * SIZE, 4 * SIZE))
            picture.load()
            turn = UPRIGHT.get(clean.orientation)
            return picture if turn is None else picture.transpose(turn)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        too_large = True
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        raise ValueError(
            "This picture cannot be read: send a complete PNG, JPEG, WebP, GIF or BMP file."
        ) from error
    raise ValueError(
        f"This picture is too large: at most {limit // 10**6} megapixels are read. "
        "Send a smaller one."
    )


def flatten(picture: Image.Image, factor: int = 1) -> Image.Image:
    """A picture of any mode as L or RGB on white, reduced by `factor`."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) // 257).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    if factor > 1:
        picture = picture.reduce(factor)
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    return picture


def picture_to_ink(picture: Image.Image) -> Float[Tensor, "64 64"]:
    """A picture of dark marks on light paper to ink: pad to a square, area-average to 64x64.

    Transparent parts and the padding count as white paper.
    """
    picture = flatten(picture, max(1, max(picture.size) // (4 * SIZE)))
    side = max(picture.size)
    paper = Image.new("L", (side, side), 255)
    corner = ((side - picture.width) // 2, (side - picture.height) // 2)
    paper.paste(picture.convert("L"), corner)
    return to_ink(255 - np.asarray(paper.resize((SIZE, SIZE), Image.Resampling.BOX)))


def ink_to_digit(ink: Float[Tensor, "h w"]) -> Float[Tensor, "28 28"]:
    """A drawn digit in MNIST's frame: longer side 20 px, centre of mass in the middle of 28x28.

    ValueError where there is no ink.
    """
    rows, columns = (torch.nonzero(ink.amax(axis) > 0.1)[:, 0] for axis in (1, 0))
    if not len(rows):
        raise ValueError("there is no ink: draw a stroke first")
    part = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 20 / max(part.shape)
    size = [max(1, round(side * scale)) for side in part.shape]
    small = F.interpolate(part[None, None], size, mode="bilinear", antialias=True)[0, 0]
    small = small / small.max()
    where = torch.arange(20.0)
    middle = [
        float((small.sum(1 - axis) * where[: small.shape[axis]]).sum() / small.sum()) + 0.5
        for axis in (0, 1)
    ]
    top, left = (
        min(max(round(14 - m), 0), 28 - s) for m, s in zip(middle, small.shape, strict=True)
    )
    digit = torch.zeros(28, 28)
    digit[top : top + small.shape[0], left : left + small.shape[1]] = small
    return digit
