"""A photograph on the page: read it, find the face, show it on the pad, read the holes back."""

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw

from tabs.common import brief, component, problem
from tabs.pictures import jpeg

EMPTY = {
    "view": None,
    "holes": [],
    "strokes": [],
    "brush": 8,
    "presets": {},
    "eyes": None,
    "ask": "",
}
SHOWN = 768  # px, the longer side of the picture on the pad
BRUSH = 5  # units of 1/64 of the face's square, the width of the brush
MAX_HOLES, MAX_STROKES, MAX_POINTS = 20, 200, 20_000
NO_FACE = "No face was found. Click the two eyes on the photo."

Pixels = UInt8[np.ndarray, "h w 3"]
Hole = Bool[np.ndarray, "h w"]
Box = tuple[int, int, int, int]  # left, top, right, bottom in px


class Portrait(NamedTuple):
    """Where the file lies, and the face's frame in it, if it is known."""

    path: str
    frame: tuple[float, float, float, float] | None


def pad(**layout: str) -> gr.HTML:
    """The photo with its holes; events `fill` (the holes changed) and `eyes` (both clicked)."""
    return component(EMPTY, "face", elem_classes="pad face-pad", **layout)


def read(path: str | Path) -> Pixels:
    """The photograph, upright, at its own size; what cannot be read is the visitor's sentence.

    The last ones are kept, read-only, for the next fill of the same photo.
    """
    path = Path(path)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise problem("This photo is no longer here: upload it again.") from error


@lru_cache(maxsize=2)  # of up to 72 MB each
def _read(path: Path, _changed: int) -> Pixels:
    from models import images  # imports torch: not before the page answers

    try:
        picture = images.read_picture(path, images.MAX_PHOTO, whole=True)
        if min(picture.size) < 32:
            raise ValueError("This photo is too small: at least 32 px each way are needed.")
        pixels = np.array(images.plain(picture).convert("RGB"))
    except ValueError as error:
        raise problem(str(error)) from error
    pixels.flags.writeable = False
    return pixels


def find(photo: Pixels) -> tuple[tuple[float, float, float, float] | None, int]:
    """The frame of the largest face, and how many faces there are."""
    from models import face_alignment
    from tabs import face_finder  # and this one OpenCV

    faces = face_finder.find(photo)
    if not faces:
        return None, 0
    return tuple(face_alignment.from_eyes(faces[0].left, faces[0].right)), len(faces)


def from_eyes(eyes: object) -> tuple[float, float, float, float]:
    """The frame that two eyes [[x, y], [x, y]] give, in px of the photo, in any order."""
    from models import face_alignment

    good = isinstance(eyes, list | tuple) and len(eyes) == 2
    if not good or not all(isinstance(e, list | tuple) and len(e) == 2 for e in eyes):
        raise problem("The eyes must be two places, [[x, y], [x, y]], in px of the photo.")
    places = sorted(tuple(_real(v, "An eye's place") for v in eye) for eye in eyes)
    try:
        return tuple(face_alignment.from_eyes(*places))
    except ValueError as error:
        raise problem(f"Click again: {error}.") from error


def region(photo: Pixels, frame: tuple | None) -> Box:
    """The part of the photo that is shown: the face's square and something around it."""
    height, width = photo.shape[:2]
    if frame is None:
        return 0, 0, width, height
    from models import face_alignment

    corners = face_alignment.Frame(*frame).to_photo(
        np.array([[-12.0, -12], [76, -12], [76, 76], [-12, 76]])
    )
    left, top = np.floor(corners.min(0)).astype(int)
    right, bottom = np.ceil(corners.max(0)).astype(int)
    box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if box[2] - box[0] < 8 or box[3] - box[1] < 8:
        raise problem("The face lies outside the photo: click the two eyes in it.")
    return tuple(map(int, box))


def value(photo: Pixels, frame: tuple | None) -> dict:
    """The pad's value for a photo without holes; where no face is known it asks for the eyes."""
    box = region(photo, frame)
    left, top, right, bottom = box
    view = {"left": left, "top": top, "width": right - left, "height": bottom - top}
    view["src"] = jpeg(photo[top:bottom, left:right], SHOWN)
    if frame is None:
        return EMPTY | {"view": view, "ask": "eyes"}
    from models import face_alignment, regions

    named = face_alignment.Frame(*frame)
    presets = {}
    for name, part in regions.REGIONS.items():
        corners = face_alignment.region_in_photo(part, named)
        low, high = np.rint(corners.min(0)), np.rint(corners.max(0))
        edges = np.clip([*low, *high], [left, top] * 2, [right, bottom] * 2)
        presets[name] = [int(edge) for edge in edges]
    return EMPTY | {"view": view, "presets": presets, "brush": BRUSH * named.scale}


def hole(value: object, photo: Pixels) -> Hole:
    """What the pad's rectangles and strokes erase."""
    if not isinstance(value, dict):
        raise problem("Drag a rectangle over what is to be filled.")
    boxes, strokes = value.get("holes") or [], value.get("strokes") or []
    if not isinstance(boxes, list) or not isinstance(strokes, list):
        raise problem("`holes` must be a list of rectangles, `strokes` one of strokes [xs, ys].")
    if len(boxes) > MAX_HOLES or len(strokes) > MAX_STROKES:
        raise problem(f"At most {MAX_HOLES} rectangles and {MAX_STROKES} strokes are filled.")
    canvas = Image.new("1", (photo.shape[1], photo.shape[0]))
    pen = ImageDraw.Draw(canvas)
    for box in boxes:
        left, top, right, bottom = rectangle(box, photo)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=1)
    width = max(1.0, min(_real(value.get("brush", 8), "The brush"), max(canvas.size)))
    left_over = MAX_POINTS
    for stroke in strokes:
        points = _points(stroke)
        left_over -= len(points)
        if left_over < 0:
            raise problem(f"The brush has too many points: at most {MAX_POINTS:,} are read.")
        if len(points) > 1:
            pen.line(points, fill=1, width=round(width))
        for x, y in points:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    erased = np.array(canvas)
    if not erased.any():
        raise problem("Drag a rectangle over what is to be filled.")
    return erased


def rectangle(box: object, photo: Pixels) -> Box:
    """[left, top, right, bottom] in px, at least partly in the photo, as whole px within it."""
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise problem("A rectangle must be [left, top, right, bottom] in px of the photo.")
    left, top, right, bottom = (_real(v, "A rectangle's side") for v in box)
    if right <= left or bottom <= top:
        raise problem("This rectangle is empty: right must be beyond left, bottom beyond top.")
    height, width = photo.shape[:2]
    inside = (
        max(math.floor(left), 0),
        max(math.floor(top), 0),
        min(math.ceil(right), width),
        min(math.ceil(bottom), height),
    )
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise problem(f"This rectangle lies outside the photo, which is {width}x{height} px.")
    return inside


def _points(stroke: object) -> list[tuple[float, float]]:
    pair = isinstance(stroke, list | tuple) and len(stroke) == 2
    if not pair or not all(isinstance(axis, list) for axis in stroke):
        raise problem("Each stroke must be two lists of numbers: [xs, ys].")
    if not stroke[0] or len(stroke[0]) != len(stroke[1]):
        raise problem("A stroke needs as many xs as ys.")
    axes = ([_real(v, "A stroke's point") for v in axis] for axis in stroke)
    return list(zip(*axes, strict=True))


def _real(number: object, name: str) -> float:
    """A finite number of px; anything else is refused."""
    real = isinstance(number, int | float) and not isinstance(number, bool)
    if not real or not abs(number) <= 100_000:  # also true of NaN
        raise problem(f"{name} must be a number of px, not {brief(number)}.")
    return float(number)
