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
