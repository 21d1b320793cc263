"""A photograph of a face: read the file, find the face, show it on the pad, read the mask back."""

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
VIEW_PX = 768  # px, the longer side of the picture on the pad
BRUSH_UNITS = 5  # width of the brush in units of 1/64 of the face crop's side
MAX_HOLES, MAX_STROKES, MAX_POINTS = 20, 200, 20_000
NO_FACE = "No face was found. Click the two eyes on the photo."

Pixels = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]  # True in the hole
Box = tuple[int, int, int, int]  # left, top, right, bottom in px


class FacePhoto(NamedTuple):
    """A file, and the face's `SimilarityTransform` in it as a tuple, None where it is unknown."""

    path: str
    transform: tuple[float, float, float, float] | None


def pad(**layout: str) -> gr.HTML:
    """The photo with its holes; events `fill` (the holes changed) and `eyes` (both clicked)."""
    return component(EMPTY, "face", elem_classes="pad face-pad", **layout)


def read(path: str | Path) -> Pixels:
    """The photograph, upright, at its own size, read-only; the last two are cached.

    A file that cannot be read raises a `gr.Error` for the visitor.
    """
    path = Path(path)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise problem("This photo is no longer here: upload it again.") from error


@lru_cache(maxsize=2)  # of up to 72 MB each
def _read(path: Path, _modified_ns: int) -> Pixels:
    from models import images  # imports torch: not before the page answers

    try:
        picture = images.read_picture(path, images.MAX_PHOTO, full_size=True)
        if min(picture.size) < 32:
            raise ValueError("This photo is too small: at least 32 px each way are needed.")
        pixels = np.array(images.flatten(picture).convert("RGB"))
    except ValueError as error:
        raise problem(str(error)) from error
    pixels.flags.writeable = False
    return pixels


def find(photo: Pixels) -> tuple[tuple[float, float, float, float] | None, int]:
    """The transform of the largest face, and the number of faces."""
    from models import face_alignment
    from tabs import face_finder  # imports OpenCV: not before it is needed

    faces = face_finder.find(photo)
    if not faces:
        return None, 0
    return tuple(face_alignment.from_eyes(faces[0].left, faces[0].right)), len(faces)


def from_eyes(eyes: object) -> tuple[float, float, float, float]:
    """The transform from two eyes [[x, y], [x, y]] in px of the photo, in any order."""
    from models import face_alignment

    is_pair = isinstance(eyes, list | tuple) and len(eyes) == 2
    if not is_pair or not all(isinstance(e, list | tuple) and len(e) == 2 for e in eyes):
        raise problem("The eyes must be two places, [[x, y], [x, y]], in px of the photo.")
    points = sorted(tuple(_px(v, "An eye's place") for v in eye) for eye in eyes)
    try:
        return tuple(face_alignment.from_eyes(*points))
    except ValueError as error:
        raise problem(f"Click again: {error}.") from error


def view_box(photo: Pixels, transform: tuple | None) -> Box:
    """The part of the photo that the pad shows: the face's crop and a margin of 12 units."""
    height, width = photo.shape[:2]
    if transform is None:
        return 0, 0, width, height
    from models import face_alignment

    corners = face_alignment.SimilarityTransform(*transform).to_photo(
        np.array([[-12.0, -12], [76, -12], [76, 76], [-12, 76]])
    )
    left, top = np.floor(corners.min(0)).astype(int)
    right, bottom = np.ceil(corners.max(0)).astype(int)
    box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if box[2] - box[0] < 8 or box[3] - box[1] < 8:
        raise problem("The face lies outside the photo: click the two eyes in it.")
    return tuple(map(int, box))


def pad_value(photo: Pixels, transform: tuple | None) -> dict:
    """The pad's value for a photo without holes; without a transform it asks for the eyes."""
    box = view_box(photo, transform)
    left, top, right, bottom = box
    view = {"left": left, "top": top, "width": right - left, "height": bottom - top}
    view["src"] = jpeg(photo[top:bottom, left:right], VIEW_PX)
    if transform is None:
        return EMPTY | {"view": view, "ask": "eyes"}
    from models import face_alignment

    similarity = face_alignment.SimilarityTransform(*transform)
    presets = {}
    for name, region in face_alignment.REGIONS.items():
        corners = face_alignment.region_corners(region, similarity)
        low, high = np.rint(corners.min(0)), np.rint(corners.max(0))
        edges = np.clip([*low, *high], [left, top] * 2, [right, bottom] * 2)
        presets[name] = [int(edge) for edge in edges]
    return EMPTY | {"view": view, "presets": presets, "brush": BRUSH_UNITS * similarity.scale}


def mask_from_pad(value: object, photo: Pixels) -> Mask:
    """The mask of the pad's rectangles and strokes."""
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
        left, top, right, bottom = parse_rectangle(box, photo)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=1)
    width = max(1.0, min(_px(value.get("brush", 8), "The brush"), max(canvas.size)))
    points_left = MAX_POINTS
    for stroke in strokes:
        points = _parse_stroke(stroke)
        points_left -= len(points)
        if points_left < 0:
            raise problem(f"The brush has too many points: at most {MAX_POINTS:,} are read.")
        if len(points) > 1:
            pen.line(points, fill=1, width=round(width))
        for x, y in points:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    mask = np.array(canvas)
    if not mask.any():
        raise problem("Drag a rectangle over what is to be filled.")
    return mask


def parse_rectangle(box: object, photo: Pixels) -> Box:
    """[left, top, right, bottom] in px, at least partly in the photo, as whole px within it."""
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise problem("A rectangle must be [left, top, right, bottom] in px of the photo.")
    left, top, right, bottom = (_px(v, "A rectangle's side") for v in box)
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


def _parse_stroke(stroke: object) -> list[tuple[float, float]]:
    is_pair = isinstance(stroke, list | tuple) and len(stroke) == 2
    if not is_pair or not all(isinstance(axis, list) for axis in stroke):
        raise problem("Each stroke must be two lists of numbers: [xs, ys].")
    if not stroke[0] or len(stroke[0]) != len(stroke[1]):
        raise problem("A stroke needs as many xs as ys.")
    axes = ([_px(v, "A stroke's point") for v in axis] for axis in stroke)
    return list(zip(*axes, strict=True))


def _px(number: object, name: str) -> float:
    """`number` as a finite number of px, else a `gr.Error` that names it."""
    is_real = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_real or not abs(number) <= 100_000:  # also true of NaN
        raise problem(f"{name} must be a number of px, not {brief(number)}.")
    return float(number)
