"""A photograph of a face: read the file, find the face and its transform."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from tabs.validation import short_repr, user_error

GONE = "This photo is no longer here: upload it again."
NO_FACE = "No face was found. Click the two eyes on the photo."

Pixels = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]  # True in the hole
Box = tuple[int, int, int, int]  # left, top, right, bottom in px


class FacePhoto(NamedTuple):
    """A file, and the face's `SimilarityTransform` in it as a tuple, None where it is unknown."""

    path: str
    transform: tuple[float, float, float, float] | None


def load_photo(path: str | Path) -> Pixels:
    """The photograph, upright, at its own size, read-only; the last two are cached.

    A file that cannot be read raises a `gr.Error` for the visitor.
    """
    path = Path(path)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise user_error(GONE) from error


@lru_cache(maxsize=2)  # of up to 72 MB each
def _read(path: Path, _modified_ns: int) -> Pixels:
    from models import images  # imports torch: not before the page answers

    try:
        picture = images.read_picture(path, images.MAX_PHOTO, full_size=True)
        if min(picture.size) < 32:
            raise ValueError("This photo is too small: at least 32 px each way are needed.")
        pixels = np.array(images.flatten(picture).convert("RGB"))
    except ValueError as error:
        raise user_error(str(error)) from error
    pixels.flags.writeable = False
    return pixels


def find_face(photo: Pixels) -> tuple[tuple[float, float, float, float] | None, int]:
    """The transform of the largest face, and the number of faces."""
    from models import face_alignment
    from tabs import face_finder  # imports OpenCV: not before it is needed

    faces = face_finder.find(photo)
    if not faces:
        return None, 0
    return tuple(face_alignment.from_eyes(faces[0].left, faces[0].right)), len(faces)


def transform_from_eyes(eyes: object) -> tuple[float, float, float, float]:
    """The transform from two eyes [[x, y], [x, y]] in px of the photo, the person's right first.

    In an upright photo that is the left one in the picture; in one that is upside down, the right.
    """
    from models import face_alignment

    is_pair = isinstance(eyes, list | tuple) and len(eyes) == 2
    if not is_pair or not all(isinstance(e, list | tuple) and len(e) == 2 for e in eyes):
        raise user_error("The eyes must be two places, [[x, y], [x, y]], in px of the photo.")
    points = [tuple(check_pixels(v, "An eye's place") for v in eye) for eye in eyes]
    try:
        return tuple(face_alignment.from_eyes(*points))
    except ValueError as error:
        raise user_error(f"Click again: {error}.") from error


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
        raise user_error("The face lies outside the photo: click the two eyes in it.")
    return tuple(map(int, box))


def check_pixels(number: object, name: str) -> float:
    """`number` as a finite number of px, else a `gr.Error` that names it."""
    is_real = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_real or not abs(number) <= 100_000:  # also true of NaN
        raise user_error(f"{name} must be a number of px, not {short_repr(number)}.")
    return float(number)
