"""Between a photograph and CelebA's frame: the square that the networks see, and the way back."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from torch import Tensor

from models.regions import CROP, LEFT_EYE, RIGHT_EYE, UNITS, Region

Point = tuple[float, float]  # x, y in px


class Frame(NamedTuple):
    """A similarity: x_photo = a u - b v + x, y_photo = b u + a v + y, with u, v in units of
    1/64 of the side of the networks' square.
    """

    a: float
    b: float
    x: float
    y: float

    @property
    def scale(self) -> float:
        """Photo px in a unit."""
        return float(np.hypot(self.a, self.b))

    def to_photo(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Units to px of the photograph."""
        u, v = points.T
        return np.stack([self.a * u - self.b * v + self.x, self.b * u + self.a * v + self.y], 1)

    def to_units(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Px of the photograph to units."""
        x, y = points.T - np.array([[self.x], [self.y]])
        square = self.a**2 + self.b**2
        return np.stack([(self.a * x + self.b * y) / square, (self.a * y - self.b * x) / square], 1)


def from_eyes(left: Point, right: Point) -> Frame:
    """The frame in which the eyes, as seen, lie where CelebA has them.

    ValueError where they are less than 4 px apart.
    """
    there = np.array([left, right], float)
    if not np.isfinite(there).all() or np.hypot(*(there[1] - there[0])) < 4:
        raise ValueError("the eyes must be two different places, at least 4 px apart")
    corner, units = np.array(CROP[:2]), UNITS / CROP[2]
    here = (np.array([LEFT_EYE, RIGHT_EYE]) - corner + 0.5) * units
    ratio = complex(*(there[1] - there[0])) / complex(*(here[1] - here[0]))
    shift = complex(*there[0]) - ratio * complex(*here[0])
    return Frame(ratio.real, ratio.imag, shift.real, shift.imag)


def cut(photo: Image.Image, frame: Frame, size: int) -> Float[Tensor, "3 s s"]:
    """The networks' square of an RGB photograph, in [0, 1]; beside the photo its edge goes on."""
    factor = max(1, int(frame.scale * UNITS / size))  # px of the photo in one of the square
    small = photo.reduce(factor) if factor > 1 else photo
    margin = max(small.size)
    padded = np.pad(np.asarray(small), ((margin, margin), (margin, margin), (0, 0)), "edge")
    step = UNITS / size / factor
    a, b = frame.a * step, frame.b * step
    x, y = frame.x / factor + margin, frame.y / factor + margin
    square = Image.fromarray(padded).transform(
        (size, size), Image.Transform.AFFINE, (a, -b, x, b, a, y), Image.Resampling.BICUBIC
    )
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255


def hole_in_square(hole: Bool[np.ndarray, "h w"], frame: Frame, size: int) -> Float[Tensor, "s s"]:
    """The hole as the networks see it: 1 wherever it touches a pixel of theirs."""
    fine = 4  # samples a pixel and axis
    steps = (np.arange(size * fine) + 0.5) * UNITS / (size * fine)
    u, v = np.meshgrid(steps, steps)
    places = frame.to_photo(np.stack([u.ravel(), v.ravel()], 1))
    column, row = np.floor(places).astype(int).T
    inside = (row >= 0) & (row < hole.shape[0]) & (column >= 0) & (column < hole.shape[1])
    found = np.zeros(len(places), bool)
    found[inside] = hole[row[inside], column[inside]]
    blocks = found.reshape(size, fine, size, fine).any((1, 3))
    return torch.from_numpy(blocks).float()


def paste(
    photo: UInt8[np.ndarray, "h w 3"],
    fill: Float[Tensor, "3 s s"],
    hole: Bool[np.ndarray, "h w"],
    frame: Frame,
    seam: float = 0.6,
    changed: Bool[np.ndarray, "s s"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """`photo` with the networks' fill in its hole; every pixel outside stays as it is.

    The seam, `seam` units wide, lies inside the hole: towards its edge the photo shows through, as
    it does where the networks have changed nothing (all of the hole unless `changed` is given).
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if not len(rows):
        return photo.copy()
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    size, width, height = fill.shape[-1], int(right - left), int(bottom - top)
    pixels = (fill.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    square, step = frame.a**2 + frame.b**2, size / UNITS
    a, b = frame.a / square * step, frame.b / square * step
    x, y = frame.to_units(np.array([[left, top]], float))[0] * step

    def warped(part: UInt8[np.ndarray, "..."], how: Image.Resampling) -> np.ndarray:
        around = ((size, size), (size, size), (0, 0))[: part.ndim]
        padded = Image.fromarray(np.pad(part, around, "edge"))
        way = (a, b, x + size, -b, a, y + size)
        drawn = padded.transform((width, height), Image.Transform.AFFINE, way, how)
        return np.asarray(drawn, np.float32)

    drawn = warped(pixels, Image.Resampling.BICUBIC)
    inside = hole[top:bottom, left:right]
    alpha = depth(inside, max(1, round(seam * frame.scale)))[..., None]
    if changed is not None:
        share = warped(changed.astype(np.uint8) * 255, Image.Resampling.BILINEAR)
        alpha = alpha * share[..., None] / 255
    old = photo[top:bottom, left:right].astype(np.float32)
    mixed = np.rint(old + alpha * (drawn - old)).clip(0, 255)
    result = photo.copy()
    result[top:bottom, left:right] = np.where(inside[..., None], mixed, old).astype(np.uint8)
    return result


def depth(hole: Bool[np.ndarray, "h w"], width: int) -> Float[np.ndarray, "h w"]:
    """0 at the hole's edge (and outside), 1 from `width` px inside it on."""
    padded = Image.fromarray(np.pad(hole, width + 1).astype(np.uint8) * 255)
    inner = padded.filter(ImageFilter.BoxBlur(width))
    edge = np.asarray(inner, np.float32)[width + 1 : -width - 1, width + 1 : -width - 1] / 255
    return (2 * edge - 1).clip(0, 1) * hole


def region_in_photo(region: Region, frame: Frame) -> Float[np.ndarray, "4 2"]:
    """The corners of a region of the face, in px of the photograph, clockwise from top left."""
    top, left, bottom, right = region
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return frame.to_photo(np.array(corners, float))
