"""The face editor: its component, and the reading of the mask that was drawn in it.

Its value, all in px of the photo: {"view": the part that is shown, "holes": rectangles [left, top,
right, bottom], "strokes": [[xs, ys], ...], "brush": the strokes' width, "presets": rectangles by
name, "eyes": the two eyes once clicked, "ask": "eyes" while they are wanted, "source": the number
of a sample, "photo": the path of an upload, "transform": of the face in it, once found}.
"""

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tabs.components.custom_html import CustomHTML
from tabs.face_photo import Box, Mask, Pixels, check_pixels, view_box
from tabs.image_encoding import jpeg_url
from tabs.validation import user_error

EMPTY = {
    "view": None,
    "holes": [],
    "strokes": [],
    "brush": 8,
    "presets": {},
    "eyes": None,
    "ask": "",
    "source": "",
    "photo": "",
    "transform": None,
}
VIEW_PX = 768  # px, the longer side of the picture in the editor
BRUSH_UNITS = 5  # width of the brush in units of 1/64 of the face crop's side
MAX_HOLES, MAX_STROKES, MAX_POINTS = 20, 200, 20_000


class FaceEditor(CustomHTML):
    """The photo with its mask; the event `edit` is any change.

    The page opens another photo by `studio.face.open({source})` or `({photo})`.
    """

    asset, scripts = "face_editor", ("dom", "canvas", "studio", "face_editor")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="pad face-pad", **settings)


def editor_value(photo: Pixels, transform: tuple | None) -> dict:
    """The editor's value for a photo without a mask; without a transform it asks for the eyes."""
    box = view_box(photo, transform)
    left, top, right, bottom = box
    view = {"left": left, "top": top, "width": right - left, "height": bottom - top}
    view["src"] = jpeg_url(photo[top:bottom, left:right], VIEW_PX)
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


def parse_mask(value: object, photo: Pixels) -> Mask:
    """The mask of the editor's rectangles and strokes."""
    if not isinstance(value, dict):
        raise user_error("Drag a rectangle over what is to be filled.")
    boxes, strokes = value.get("holes") or [], value.get("strokes") or []
    if not isinstance(boxes, list) or not isinstance(strokes, list):
        raise user_error("`holes` must be a list of rectangles, `strokes` one of strokes [xs, ys].")
    if len(boxes) > MAX_HOLES or len(strokes) > MAX_STROKES:
        raise user_error(f"At most {MAX_HOLES} rectangles and {MAX_STROKES} strokes are filled.")
    canvas = Image.new("1", (photo.shape[1], photo.shape[0]))
    pen = ImageDraw.Draw(canvas)
    for box in boxes:
        left, top, right, bottom = parse_rectangle(box, photo)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=1)
    width = max(1.0, min(check_pixels(value.get("brush", 8), "The brush"), max(canvas.size)))
    points_left = MAX_POINTS
    for stroke in strokes:
        points = _parse_stroke(stroke)
        points_left -= len(points)
        if points_left < 0:
            raise user_error(f"The brush has too many points: at most {MAX_POINTS:,} are read.")
        if len(points) > 1:
            pen.line(points, fill=1, width=round(width))
        for x, y in points:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    mask = np.array(canvas)
    if not mask.any():
        raise user_error("Drag a rectangle over what is to be filled.")
    return mask


def parse_rectangle(box: object, photo: Pixels) -> Box:
    """[left, top, right, bottom] in px, at least partly in the photo, as whole px within it."""
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise user_error("A rectangle must be [left, top, right, bottom] in px of the photo.")
    left, top, right, bottom = (check_pixels(v, "A rectangle's side") for v in box)
    if right <= left or bottom <= top:
        raise user_error("This rectangle is empty: right must be beyond left, bottom beyond top.")
    height, width = photo.shape[:2]
    inside = (
        max(math.floor(left), 0),
        max(math.floor(top), 0),
        min(math.ceil(right), width),
        min(math.ceil(bottom), height),
    )
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise user_error(f"This rectangle lies outside the photo, which is {width}x{height} px.")
    return inside


def _parse_stroke(stroke: object) -> list[tuple[float, float]]:
    is_pair = isinstance(stroke, list | tuple) and len(stroke) == 2
    if not is_pair or not all(isinstance(axis, list) for axis in stroke):
        raise user_error("Each stroke must be two lists of numbers: [xs, ys].")
    if not stroke[0] or len(stroke[0]) != len(stroke[1]):
        raise user_error("A stroke needs as many xs as ys.")
    axes = ([check_pixels(v, "A stroke's point") for v in axis] for axis in stroke)
    return list(zip(*axes, strict=True))
