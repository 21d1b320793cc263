"""Synthetic glasses: painted on a face without glasses, they come with the true face and mask."""

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from models.face_alignment import CROP_BOX, LEFT_EYE, RIGHT_EYE

SUPERSAMPLING = 2  # times the picture's size, at which the frame is drawn
FRAME_COLOURS = (
    (20, 18, 18),
    (45, 32, 24),
    (90, 60, 35),
    (70, 70, 78),
    (150, 140, 125),
    (130, 30, 35),
)
MIN_OPACITY = 0.2  # of pixels that count as glasses
DILATION_PX = (2.0, 5.0)  # of a picture of 128 px: margin of a glasses-shaped hole
DARK, TINTED, CLEAR = (0.6, 0.97), (0.15, 0.5), (0.0, 0.12)  # ranges of the lenses' opacity


def eye_centres(size: int) -> Float[np.ndarray, "2 2"]:
    """Both eyes in a picture of `size` px, (x, y) of each."""
    left, top, side = CROP_BOX
    return (np.array([LEFT_EYE, RIGHT_EYE]) - (left, top)) * size / side


def synthetic_glasses(rng: np.random.Generator, size: int) -> Float[np.ndarray, "4 s s"]:
    """Random glasses over the eyes: three colour channels and opacity, all in [0, 1]."""
    unit = size * SUPERSAMPLING / 128
    centres = eye_centres(size * SUPERSAMPLING) + rng.normal(0, 1.2, (1, 2)) * unit
    centres += [(0, rng.uniform(-1, 5) * unit)]
    tilt = rng.normal(0, 0.03) * (centres[1, 0] - centres[0, 0])
    centres += [(0, -tilt), (0, tilt)]
    apart = rng.uniform(-1, 3) * unit
    centres += [(-apart, 0), (apart, 0)]
    half = np.array([rng.uniform(12, 18.5), rng.uniform(7.5, 14.5)]) * unit
    half[0] = min(half[0], (centres[1, 0] - centres[0, 0]) / 2 - 1.5 * unit)
    radius = round(rng.uniform(0.3, 0.95) * half.min())
    thick = max(1, round(rng.choice([1.0, 2.0, 3.5]) * rng.uniform(0.7, 1.2) * unit))
    frame = np.array(FRAME_COLOURS[rng.integers(len(FRAME_COLOURS))]) + rng.integers(-15, 16, 3)
    opaque = rng.uniform(*(CLEAR, CLEAR, CLEAR, TINTED, DARK)[rng.integers(5)])
    tint = rng.integers(5, 70, 3) if opaque > 0.15 else rng.integers(120, 256, 3)

    glass = Image.new("L", (size * SUPERSAMPLING,) * 2)
    rim, shine = glass.copy(), glass.copy()
    draw, edge, light = (ImageDraw.Draw(layer) for layer in (glass, rim, shine))
    strength = int(255 * rng.uniform(0.75, 1.0))
    # Whole px: Pillow sometimes refuses a fractional box whose corners are nearly as wide as it.
    boxes = [[round(side) for side in (*(centre - half), *(centre + half))] for centre in centres]
    for box, side in zip(boxes, (-1, 1), strict=True):
        draw.rounded_rectangle(box, radius, fill=int(255 * opaque))
        if rng.uniform() < 0.3:
            x, y = rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3])
            r = rng.uniform(1, 5) * unit
            light.ellipse([x - r, y - r / 2, x + r, y + r / 2], fill=int(rng.uniform(60, 230)))
        edge.rounded_rectangle(box, radius, outline=strength, width=thick)
        out = box[2] if side > 0 else box[0]
        level = box[1] + rng.uniform(0.1, 0.5) * (box[3] - box[1])
        far = (out + side * 14 * unit, level - rng.uniform(-2, 4) * unit)
        edge.line([(out, level), far], fill=strength, width=max(1, int(0.8 * thick)))
    if rng.uniform() < 0.15:  # without a lower rim
        low = max(box[1] + 0.6 * (box[3] - box[1]) for box in boxes)
        edge.rectangle([0, low, size * SUPERSAMPLING, size * SUPERSAMPLING], fill=0)
    level = centres[:, 1].mean() - rng.uniform(0, 0.5) * half[1]
    edge.line([(boxes[0][2], level), (boxes[1][0], level)], fill=strength, width=thick)

    blur = ImageFilter.GaussianBlur(rng.uniform(1, 3) * unit)
    shadow = rim.filter(blur)
    parts = (shadow, (25, 15, 10), 0.5), (glass, tint, 1), (shine, (255,) * 3, 1), (rim, frame, 1)
    colour, cover = np.zeros((3, size, size)), np.zeros((size, size))
    for layer, paint, weight in parts:
        small = layer.resize((size, size), Image.BOX)
        over = np.asarray(small, np.float64) / 255 * weight
        colour = colour * (1 - over) + (np.clip(paint, 0, 255) / 255)[:, None, None] * over
        cover = cover * (1 - over) + over
    return np.concatenate([colour / np.maximum(cover, 1e-6), cover[None]]).astype(np.float32)


def composite_glasses(
    face: Float[np.ndarray, "s s 3"], glasses: Float[np.ndarray, "4 s s"]
) -> Float[np.ndarray, "s s 3"]:
    """The face in [0, 1] wearing the glasses."""
    colour, opacity = np.split(glasses.transpose(1, 2, 0), [3], -1)
    return face + (colour - face) * opacity


def glasses_hole(rng: np.random.Generator, size: int) -> Bool[np.ndarray, "s s"]:
    """A mask in the shape of random glasses, dilated by a few px."""
    dilation = round(rng.uniform(*DILATION_PX) * size / 128)
    return ndimage.binary_dilation(
        synthetic_glasses(rng, size)[3] > MIN_OPACITY, iterations=max(1, dilation)
    )
