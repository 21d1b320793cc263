"""Alignment of faces: between a photograph and the square crop of CelebA's aligned photographs.

Places in the crop are given in units of 1/64 of its side, whatever its size in pixels.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from torch import Tensor

UNITS = 64  # units in the side of the crop
ALIGNED_SIZE = (178, 218)  # px, width and height of CelebA's aligned photographs
CROP_BOX = (25, 45, 128)  # px, left, top and side of the crop in an aligned photograph
LEFT_EYE, RIGHT_EYE = (69, 111), (108, 111)  # px in an aligned photograph; left in the picture

Point = tuple[float, float]  # x, y in px


class Region(NamedTuple):
    """A rectangle in units of the crop: rows top..bottom, columns left..right, ends excluded."""

    top: float
    left: float
    bottom: float
    right: float


REGIONS = {
    "mouth": Region(47, 18, 63, 46),
    "eyes": Region(26, 11, 41, 53),
    "nose": Region(31, 22, 50, 42),
    "glasses": Region(22, 5, 45, 59),
    "lower face": Region(38, 12, 64, 52),
}


class SimilarityTransform(NamedTuple):
    """Rotation, scale and shift from the crop (u, v in units) to the photograph (x, y in px):
    x = a u - b v + tx, y = b u + a v + ty.
    """

    a: float
    b: float
    tx: float
    ty: float

    @property
    def scale(self) -> float:
        """Px of the photograph in one unit."""
        return float(np.hypot(self.a, self.b))

    def to_photo(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Units of the crop to px of the photograph."""
        u, v = points.T
        x, y = self.a * u - self.b * v + self.tx, self.b * u + self.a * v + self.ty
        return np.stack([x, y], 1)

    def to_units(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Px of the photograph to units of the crop."""
        x, y = points.T - np.array([[self.tx], [self.ty]])
        square = self.a**2 + self.b**2
        return np.stack([(self.a * x + self.b * y) / square, (self.a * y - self.b * x) / square], 1)


def from_eyes(left: Point, right: Point) -> SimilarityTransform:
    """The transform that puts both eyes (left and right in the picture) where CelebA has them.

    ValueError where they are less than 4 px apart.
    """
    photo = np.array([left, right], float)
    if not np.isfinite(photo).all() or np.hypot(*(photo[1] - photo[0])) < 4:
        raise ValueError("the eyes must be two different places, at least 4 px apart")
    corner, units_per_px = np.array(CROP_BOX[:2]), UNITS / CROP_BOX[2]
    units = (np.array([LEFT_EYE, RIGHT_EYE]) - corner + 0.5) * units_per_px
    ratio = complex(*(photo[1] - photo[0])) / complex(*(units[1] - units[0]))
    shift = complex(*photo[0]) - ratio * complex(*units[0])
    return SimilarityTransform(ratio.real, ratio.imag, shift.real, shift.imag)


def crop(photo: Image.Image, transform: SimilarityTransform, size: int) -> Float[Tensor, "3 s s"]:
    """The face of an RGB photograph as a square of `size` px in [0, 1].

    Beyond the photograph's edge its outermost pixels are repeated.
    """
    factor = max(1, int(transform.scale * UNITS / size))  # px of the photo in one of the crop
    small = photo.reduce(factor) if factor > 1 else photo
    margin = max(small.size)
    padded = np.pad(np.asarray(small), ((margin, margin), (margin, margin), (0, 0)), "edge")
    step = UNITS / size / factor
    a, b = transform.a * step, transform.b * step
    x, y = transform.tx / factor + margin, transform.ty / factor + margin
    square = Image.fromarray(padded).transform(
        (size, size), Image.Transform.AFFINE, (a, -b, x, b, a, y), Image.Resampling.BICUBIC
    )
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255


def crop_mask(
    mask: Bool[np.ndarray, "h w"], transform: SimilarityTransform, size: int
) -> Float[Tensor, "s s"]:
    """A mask of the photograph in the crop: 1 in every pixel that it touches (4x4 samples each)."""
    samples = 4
    steps = (np.arange(size * samples) + 0.5) * UNITS / (size * samples)
    u, v = np.meshgrid(steps, steps)
    points = transform.to_photo(np.stack([u.ravel(), v.ravel()], 1))
    column, row = np.floor(points).astype(int).T
    inside = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
    masked = np.zeros(len(points), bool)
    masked[inside] = mask[row[inside], column[inside]]
    blocks = masked.reshape(size, samples, size, samples).any((1, 3))
    return torch.from_numpy(blocks).float()


def composite(
    photo: UInt8[np.ndarray, "h w 3"],
    fill: Float[Tensor, "3 s s"],
    mask: Bool[np.ndarray, "h w"],
    transform: SimilarityTransform,
    seam: float = 0.6,
    changed: Bool[np.ndarray, "s s"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """`photo` with the crop `fill` inside `mask`; every pixel outside stays as it is.

    The blend over `seam` units lies inside the mask: towards its border the photograph shows
    through, as it does outside of `changed`, the pixels of the crop that differ from it (all of
    them unless given).
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return photo.copy()
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    size, width, height = fill.shape[-1], int(right - left), int(bottom - top)
    pixels = (fill.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    square, step = transform.a**2 + transform.b**2, size / UNITS
    a, b = transform.a / square * step, transform.b / square * step
    x, y = transform.to_units(np.array([[left, top]], float))[0] * step

    def warp(picture: UInt8[np.ndarray, "..."], resampling: Image.Resampling) -> np.ndarray:
        padding = ((size, size), (size, size), (0, 0))[: picture.ndim]
        padded = Image.fromarray(np.pad(picture, padding, "edge"))
        inverse = (a, b, x + size, -b, a, y + size)
        warped = padded.transform((width, height), Image.Transform.AFFINE, inverse, resampling)
        return np.asarray(warped, np.float32)

    new = warp(pixels, Image.Resampling.BICUBIC)
    inside = mask[top:bottom, left:right]
    alpha = feather(inside, max(1, round(seam * transform.scale)))[..., None]
    if changed is not None:
        opacity = warp(changed.astype(np.uint8) * 255, Image.Resampling.BILINEAR)
        alpha = alpha * opacity[..., None] / 255
    old = photo[top:bottom, left:right].astype(np.float32)
    blended = np.rint(old + alpha * (new - old)).clip(0, 255)
    result = photo.copy()
    result[top:bottom, left:right] = np.where(inside[..., None], blended, old).astype(np.uint8)
    return result


def add_difference(
    photo: UInt8[np.ndarray, "h w 3"],
    difference: Float[Tensor, "3 s s"],
    transform: SimilarityTransform,
) -> UInt8[np.ndarray, "h w 3"]:
    """`photo` plus a change of its crop, at the photo's own size, so that its own detail stays.

    The change fades out over the outermost sixteenth of the crop; pixels that it leaves alone, and
    all outside of the crop, stay as they are.
    """
    size = difference.shape[-1]
    ramp = np.clip((np.arange(size) + 0.5) / (size / 16), 0, 1)
    window = np.minimum(ramp, ramp[::-1])
    layers = difference.numpy() * 255 * window * window[:, None]
    corners = transform.to_photo(np.array([[0, 0], [UNITS, 0], [UNITS, UNITS], [0, UNITS]], float))
    left, top = np.floor(corners.min(0)).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int), photo.shape[1::-1])
    result = photo.copy()
    if right <= left or bottom <= top:
        return result
    square, step = transform.a**2 + transform.b**2, size / UNITS
    a, b = transform.a / square * step, transform.b / square * step
    x, y = transform.to_units(np.array([[left, top]], float))[0] * step
    area = (int(right - left), int(bottom - top))
    inverse = (a, b, x + 2, -b, a, y + 2)  # of a picture with a margin of 2 px
    moved = [
        np.asarray(
            Image.fromarray(np.pad(layer, 2).astype(np.float32)).transform(
                area, Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC
            )
        )
        for layer in layers
    ]
    old = photo[top:bottom, left:right].astype(np.float32)
    new = np.rint(old + np.stack(moved, 2)).clip(0, 255)
    result[top:bottom, left:right] = new.astype(np.uint8)
    return result


def feather(mask: Bool[np.ndarray, "h w"], width: int) -> Float[np.ndarray, "h w"]:
    """Opacity of a mask with a soft border: 0 at the border and outside, 1 from `width` px on."""
    padded = Image.fromarray(np.pad(mask, width + 1).astype(np.uint8) * 255)
    blurred = padded.filter(ImageFilter.BoxBlur(width))
    edge = np.asarray(blurred, np.float32)[width + 1 : -width - 1, width + 1 : -width - 1] / 255
    return (2 * edge - 1).clip(0, 1) * mask


def region_corners(region: Region, transform: SimilarityTransform) -> Float[np.ndarray, "4 2"]:
    """The corners of a region, in px of the photograph, clockwise from the top left."""
    top, left, bottom, right = region
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return transform.to_photo(np.array(corners, float))
