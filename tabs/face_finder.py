"""Where the eyes are in a photograph: OpenCV's own cascades, which come with it."""

import threading
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

SIDE = 640  # px, the longer side at which faces are looked for
LEFT, RIGHT = (0.31, 0.385), (0.69, 0.385)  # where a face's box has its eyes, if none are found

_busy = threading.Lock()  # a cascade keeps the picture that it looks at: one thread at a time


class Face(NamedTuple):
    """The eyes as seen, (x, y) in px of the photograph, and the width of the face's box."""

    left: tuple[float, float]
    right: tuple[float, float]
    width: float


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")


def find(photo: UInt8[np.ndarray, "h w 3"]) -> list[Face]:
    """Upright faces, the largest first; none is an empty list."""
    factor = max(1.0, max(photo.shape[:2]) / SIDE)
    size = (max(1, round(photo.shape[1] / factor)), max(1, round(photo.shape[0] / factor)))
    grey = cv2.cvtColor(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    least = max(24, min(size) // 10)
    with _busy:
        boxes = _cascade("frontalface_alt2").detectMultiScale(grey, 1.1, 4, minSize=(least, least))
        ordered = sorted((tuple(map(int, box)) for box in boxes), key=lambda box: -box[2])
        return [_face(grey, box, factor) for box in ordered]


def _face(grey: UInt8[np.ndarray, "h w"], box: tuple[int, int, int, int], factor: float) -> Face:
    """The eyes in a face's box: those that a cascade finds in each half, else the usual places."""
    x, y, w, h = box
    eyes = []
    for usual in (LEFT, RIGHT):
        left, top = x + round((usual[0] - 0.2) * w), y + round((usual[1] - 0.17) * h)
        part = grey[max(top, 0) : top + round(0.34 * h), max(left, 0) : left + round(0.4 * w)]
        place = (x + usual[0] * w, y + usual[1] * h)
        if min(part.shape) >= 16:
            scale = max(1.0, 64 / part.shape[1])
            large = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            found = _cascade("eye_tree_eyeglasses").detectMultiScale(large, 1.05, 3)
            if len(found):
                ex, ey, ew, eh = max(found, key=lambda eye: eye[2]) / scale
                place = (max(left, 0) + ex + ew / 2, max(top, 0) + ey + eh / 2)
        eyes.append(place)
    (lx, ly), (rx, ry) = eyes
    if abs(ry - ly) > 0.3 * (rx - lx):  # one was an eyebrow or a shadow
        (lx, ly), (rx, ry) = ((x + u * w, y + v * h) for u, v in (LEFT, RIGHT))
    return Face((lx * factor, ly * factor), (rx * factor, ry * factor), w * factor)
