"""Fills as pictures: the tiles, the maps, the words beside them."""

import base64
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from tabs.components.example_row import ExampleRow
from tabs.face_photo import Box, FacePhoto, Mask, Pixels
from tabs.image_encoding import jpeg_url
from tabs.theme import colour_map

TILE = 384  # px, the longer side of a tile's picture
MAX_STD = 0.25  # of a number in [0, 1]: the end of the maps' ramp
ONLY = "Only the glasses that were found in the hole are replaced."


class Fills(NamedTuple):
    """What is kept of one run for as long as the visitor stays: small, whatever the photo's size.

    Fills of the networks' square, 0..255, one row a wish; `pad` holds what was erased, and
    `changed` says where the fills differ from the photo, None for all of that.
    """

    face: FacePhoto
    pad: dict
    titles: list[str]
    squares: UInt8[np.ndarray, "r n 3 s s"]
    said: list[list[str]]
    before: str
    warning: str
    changed: Bool[np.ndarray, "s s"] | None = None


def samples(files: tuple[Path, ...]) -> ExampleRow:
    """A row of faces to start from; a click sets `chosen` to its number as text."""
    tiles = "".join(
        f'<button type="button" data-label="{i}" aria-label="Face {i + 1}, made by our model">'
        f'<img src="data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}" alt="">'
        "</button>"
        for i, file in enumerate(files)
    )
    title = "Faces that our model made up, two with painted glasses"
    return ExampleRow(title, tiles, {})


def pasted(photo: Pixels, hole: Mask, made: Fills, row: int, i: int) -> Pixels:
    """The photo with one fill in its hole."""
    import torch

    from models import face_alignment

    square = torch.from_numpy(made.squares[row, i]).float() / 255
    transform = face_alignment.SimilarityTransform(*made.face.transform)
    return face_alignment.composite(photo, square, hole, transform, changed=made.changed)


def smaller(photo: Pixels, hole: Mask, made: Fills, box: Box) -> tuple[Pixels, Mask, Fills]:
    """The part of the photo that is shown at the size of a tile, and what was made for that."""
    left, top, right, bottom = box
    part = Image.fromarray(photo[top:bottom, left:right])
    k = min(1.0, TILE / max(part.size))
    size = (max(1, round(part.width * k)), max(1, round(part.height * k)))
    erased = Image.fromarray(hole[top:bottom, left:right]).resize(size, Image.Resampling.NEAREST)
    a, b, x, y = made.face.transform
    transform = (a * k, b * k, (x - left) * k, (y - top) * k)
    face = made.face._replace(transform=transform)
    small = np.array(part.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))
    return small, np.array(erased), made._replace(face=face)


def changed_outside(photo: Pixels, hole: Mask, result: Pixels) -> int:
    """How many pixels outside the hole are not what they were; row by row first, which is quick."""
    rows = np.flatnonzero((result != photo).reshape(len(photo), -1).any(1))
    return int(((result[rows] != photo[rows]).any(-1) & ~hole[rows]).sum())


def heat(level: Float32[np.ndarray, "h w"]) -> str:
    """A map of numbers in [0, 1] as data URL."""
    return jpeg_url(colour_map(level / MAX_STD).round().astype(np.uint8), TILE)


def view(photo: Pixels, hole: Mask, made: Fills, box: Box) -> dict:
    """The grid's value: every fill pasted into the part of the photo that is shown."""
    before, erased, small = smaller(photo, hole, made, box)
    faces = [
        [pasted(before, erased, small, row, i) for i in range(made.squares.shape[1])]
        for row in range(len(made.titles))
    ]
    all_faces = np.stack([face for row in faces for face in row]).astype(np.float32) / 255
    first = all_faces[0] - before.astype(np.float32) / 255
    only = "" if made.changed is None else ONLY
    outside = changed_outside(photo, hole, pasted(photo, hole, made, 0, 0))
    rows = [
        {
            "title": title,
            "tiles": [
                {"src": jpeg_url(face, TILE), "said": said}
                for face, said in zip(row, words, strict=True)
            ],
        }
        for title, row, words in zip(made.titles, faces, made.said, strict=True)
    ]
    return {
        "rows": rows,
        "before": jpeg_url(before, TILE),
        "difference": heat(np.abs(first).mean(-1)),
        "doubt": heat(all_faces.std(0).mean(-1)),
        "changed": f"Pixels changed outside the hole: {outside}.",
        "chosen": [0, 0],
        "note": " ".join(part for part in (made.before, made.warning, only) if part),
    }
