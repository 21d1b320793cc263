"""Face and eye detection in a photograph by OpenCV's Haar cascades."""

import hashlib
import threading
from collections import OrderedDict
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

MAX_SIDE = 640  # px, the longer side at which faces are detected
# Default places of the eyes in a face's box, (x, y) as fractions of its width and height.
LEFT_EYE, RIGHT_EYE = (0.31, 0.385), (0.69, 0.385)

MAX_CACHED = 500  # photos whose faces are remembered

_lock = threading.Lock()  # a cascade keeps its last picture: one thread at a time
_found: OrderedDict[bytes, list["Face"]] = OrderedDict()  # by digest of what was searched


class Face(NamedTuple):
    """Both eyes (left and right in the picture), (x, y) in px, and the width of the face's box."""

    left: tuple[float, float]
    right: tuple[float, float]
    width: float


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    cv2.setNumThreads(1)  # two visitors' photos are searched at a time: see tabs/server
    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")


def find(photo: UInt8[np.ndarray, "h w 3"]) -> list[Face]:
    """All upright faces, the largest first; empty where there is none.

    The last photos' faces are remembered: a photo is filled or encoded many times.
    """
    factor = max(1.0, max(photo.shape[:2]) / MAX_SIDE)
    size = (max(1, round(photo.shape[1] / factor)), max(1, round(photo.shape[0] / factor)))
    grey = cv2.cvtColor(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    key = hashlib.sha256(f"{photo.shape}".encode() + grey.tobytes()).digest()
    with _lock:
        if key not in _found:
            _found[key] = _detect(grey, factor)
        _found.move_to_end(key)
        while len(_found) > MAX_CACHED:
            _found.popitem(last=False)
        return list(_found[key])


def _detect(grey: UInt8[np.ndarray, "h w"], factor: float) -> list[Face]:
    """The faces of the reduced picture, in px of one that is `factor` times larger."""
    min_side = max(24, min(grey.shape) // 10)
    boxes = _cascade("frontalface_alt2").detectMultiScale(
        grey, 1.1, 4, minSize=(min_side, min_side)
    )
    ordered = sorted((tuple(map(int, box)) for box in boxes), key=lambda box: -box[2])
    return [_face(grey, box, factor) for box in ordered]


def _face(grey: UInt8[np.ndarray, "h w"], box: tuple[int, int, int, int], factor: float) -> Face:
    """A box's face; where a cascade finds no eye in a half of it, the default place is taken."""
    x, y, w, h = box
    eyes = []
    for default in (LEFT_EYE, RIGHT_EYE):
        left, top = x + round((default[0] - 0.2) * w), y + round((default[1] - 0.17) * h)
        patch = grey[max(top, 0) : top + round(0.34 * h), max(left, 0) : left + round(0.4 * w)]
        eye = (x + default[0] * w, y + default[1] * h)
        if min(patch.shape) >= 16:
            scale = max(1.0, 64 / patch.shape[1])
            large = cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            found = _cascade("eye_tree_eyeglasses").detectMultiScale(large, 1.05, 3)
            if len(found):
                ex, ey, ew, eh = max(found, key=lambda box: box[2]) / scale
                eye = (max(left, 0) + ex + ew / 2, max(top, 0) + ey + eh / 2)
        eyes.append(eye)
    (lx, ly), (rx, ry) = eyes
    if abs(ry - ly) > 0.3 * (rx - lx):  # one was an eyebrow or a shadow
        (lx, ly), (rx, ry) = ((x + u * w, y + v * h) for u, v in (LEFT_EYE, RIGHT_EYE))
    return Face((lx * factor, ly * factor), (rx * factor, ry * factor), w * factor)
