"""The drawing pad: its component, and the parser of every form of a drawing.

The pad's value is the strokes themselves, so that strokes of the page and of the data set are
rasterised by one function: {"strokes": [[xs, ys], ...], "erase": [bool, ...],
"base": None or a 64x64 PNG as data URL, "live": bool}, in px of the 256x256 canvas.
"""

import base64
import binascii
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image

from tabs import permalink
from tabs.components.custom_html import CustomHTML
from tabs.validation import short_repr, uploaded_path, user_error

SIDE, PEN, ERASER = 256, 12, 24  # models.images.CANVAS, PEN, ERASER; a test compares them
MAX_STROKES, MAX_POINTS, REACH = 1_000, 20_000, 4 * SIDE
MAX_URL = 12 * 2**20  # characters of a picture sent as data URL
PNG_URL = "data:image/png;base64,"
EMPTY = {"strokes": [], "erase": [], "base": None, "live": True}
LINK_OFFSET = 128  # quarters of a px: a link has places a little outside of the canvas, too

Ink = Float32[np.ndarray, "64 64"]


class DrawingPad(CustomHTML):
    """The pad; its event `edit` is a change, also while one draws, and `live` one in live mode."""

    asset, scripts = "drawing_pad", ("dom", "canvas", "drawing_pad")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        sizes = {"side": SIDE, "pen": PEN, "eraser": ERASER}
        super().__init__(value, elem_classes="pad", **sizes, **settings)


def parse_drawing(drawing: object) -> Ink:
    """The ink of a drawing in any form that the endpoint accepts; an empty one is a `gr.Error`.

    The pad's value, an ImageEditor's, strokes in any convention of `images.to_canvas`, also as JSON
    text, an uploaded picture, a PNG data URL.
    """
    match drawing:
        case None | "":
            raise user_error("Draw something first: one stroke is enough.")
        case {"strokes": strokes}:
            ink = _rasterize(strokes, drawing.get("erase"), drawing.get("base"))
        case {"composite": _} | {"layers": _} | {"background": _}:
            ink = _flatten(drawing)
        case {"path": _}:
            ink = _picture_ink(_open(uploaded_path(drawing)))
        case list():
            ink = _rasterize(_to_canvas(drawing), None, None)
        case str() if drawing.lstrip()[:1] in ("[", "{"):
            return parse_drawing(_from_json(drawing))
        case str():
            ink = _picture_ink(_open(decode_url(drawing, MAX_URL)))
        case _:
            raise user_error(
                "The drawing must be a picture, the pad's value or a list of strokes "
                f"[[xs, ys], ...], not {short_repr(drawing)}."
            )
    if ink.max() < 0.1:
        raise user_error("Draw something first: one stroke is enough.")
    return ink


def drawing_from_link(query: dict[str, str]) -> dict:
    """The pad's value of a link: `pen` in quarters of a px, `ink` of older links in px, `base`.

    Strokes of x and y, "-" before what is erased. ValueError or gr.Error for an invalid one.
    """
    scale, offset = (4, LINK_OFFSET) if "ink" not in query else (1, 0)
    text = query.get("ink", query.get("pen", ""))
    parts = text.split(".") if text else []
    rows = [permalink.decode_base36(part.removeprefix("-"), 2) for part in parts]
    points = [[(v - offset) / scale for v in row] for row in rows]
    drawing = {
        "strokes": [[row[0::2], row[1::2]] for row in points],
        "erase": [part.startswith("-") for part in parts],
        "base": PNG_URL + query["base"] if "base" in query else None,
    }
    parse_drawing(drawing)
    return {**EMPTY, **drawing}


def parse_digit(drawing: object) -> Float32[np.ndarray, "28 28"]:
    """A drawing in any form that `parse_drawing` takes in MNIST's frame, white on black."""
    import torch

    from models import images, line_extraction

    try:
        if isinstance(drawing, dict) and "path" in drawing:
            return line_extraction.extract_digit(_open(uploaded_path(drawing))).numpy()
        if isinstance(drawing, str) and drawing.startswith(PNG_URL):
            return line_extraction.extract_digit(_open(decode_url(drawing, MAX_URL))).numpy()
        return images.ink_to_digit(torch.from_numpy(parse_drawing(drawing))).numpy()
    except ValueError as error:
        raise user_error(str(error)) from error


def _from_json(text: str) -> object:
    """What a pasted text says."""
    try:
        if len(text) > MAX_URL:
            raise ValueError("too long")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise user_error("This text is no list of strokes in JSON: paste all of it.") from error


def _to_canvas(strokes: list) -> list:
    """Strokes in any convention as [xs, ys] in px of the canvas."""
    from models import images

    if len(strokes) > MAX_POINTS:
        raise user_error(f"The drawing has too many points: at most {MAX_POINTS:,} are read.")
    try:
        return images.to_canvas(strokes)
    except ValueError as error:
        raise user_error(str(error)) from error


def _rasterize(strokes: object, erase: object, base: object) -> Ink:
    """The ink of strokes, which are checked first."""
    from models import images  # imports torch: not before the page answers

    if not isinstance(strokes, list) or len(strokes) > MAX_STROKES:
        raise user_error(f"The drawing must be a list of at most {MAX_STROKES:,} strokes [xs, ys].")
    left = MAX_POINTS
    for stroke in strokes:
        left -= _count_points(stroke, left)
    if erase is None:
        erase = [False] * len(strokes)
    if not isinstance(erase, list) or len(erase) != len(strokes):
        raise user_error("`erase` must be a list with one true or false for each stroke.")
    under = None
    if base is not None:
        picture = _open(decode_url(base, 2**16))
        if picture.size != (images.SIZE, images.SIZE):
            raise user_error(f"`base` must be a PNG of {images.SIZE}x{images.SIZE} px.")
        under = 255 - np.asarray(picture.convert("L"))
    return images.rasterise(strokes, erase=[bool(e) for e in erase], base=under).numpy()


def _count_points(stroke: object, limit: int) -> int:
    """The number of a stroke's points; a `gr.Error` unless all are finite and near the canvas."""
    shaped = isinstance(stroke, list | tuple) and len(stroke) >= 2
    if not shaped or not all(isinstance(axis, list | tuple) for axis in stroke[:2]):
        raise user_error("Each stroke must be two lists of numbers: [xs, ys].")
    xs, ys = stroke[:2]
    if not xs or len(xs) != len(ys):
        raise user_error(f"A stroke needs as many xs as ys, not {len(xs)} and {len(ys)}.")
    if len(xs) > limit:
        raise user_error(f"The drawing has too many points: at most {MAX_POINTS:,} are read.")
    for value in (*xs, *ys):
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not abs(value) <= REACH:  # also true of NaN
            raise user_error(
                f"Coordinates must be numbers in px of the {SIDE}x{SIDE} canvas, "
                f"not {short_repr(value)}."
            )
    return len(xs)


def _flatten(value: dict) -> Ink:
    """The ink of an ImageEditor's value: its composite, or its layers over its background."""
    files = [value.get("composite")]
    if files[0] is None:
        layers = value.get("layers") or []
        if not isinstance(layers, list) or len(layers) > 10:
            raise user_error("`layers` must be a list of at most 10 uploaded pictures.")
        files = [value.get("background"), *layers]
    inks = [_picture_ink(_open(uploaded_path(file))) for file in files if file is not None]
    if not inks:
        raise user_error("Draw something first: one stroke is enough.")
    return np.maximum.reduce(inks)


def decode_url(url: object, limit: int) -> io.BytesIO:
    """The bytes of a PNG data URL."""
    if not isinstance(url, str) or not url.startswith(PNG_URL):
        raise user_error(
            "A picture sent as text must be a 'data:image/png;base64,...' URL; "
            "paths and links are not opened."
        )
    if len(url) > limit:
        raise user_error("This picture is too large to be sent as text: upload it as a file.")
    try:
        return io.BytesIO(base64.b64decode(url[len(PNG_URL) :], validate=True))
    except binascii.Error as error:
        raise user_error("This data URL is not valid base64: send it whole.") from error


def _open(file: Path | io.BytesIO) -> Image.Image:
    """A decoded picture; a `gr.Error` if it is broken or too large."""
    from models import images

    try:
        return images.read_picture(file)
    except ValueError as error:
        raise user_error(str(error)) from error


def _picture_ink(picture: Image.Image) -> Ink:
    """A picture of a drawing, whatever its pen and paper, as the network's input."""
    from models import line_extraction

    try:
        return line_extraction.extract_ink(picture).numpy()
    except ValueError as error:
        raise user_error(str(error)) from error
