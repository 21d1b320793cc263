"""Painted glasses: with them on a face that wears none, what a perfect removal gives is known."""

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from models.face_alignment import CROP_BOX, LEFT_EYE, RIGHT_EYE

FINE = 2  # times the picture's size, at which the frame is drawn
FRAMES = ((20, 18, 18), (45, 32, 24), (90, 60, 35), (70, 70, 78), (150, 140, 125), (130, 30, 35))
SEEN = 0.2  # as opaque as what has to go when glasses are taken off
WIDER = (2.0, 5.0)  # px of 128 that a hole in their shape is wider
DARK, TINTED, CLEAR = (0.6, 0.97), (0.15, 0.5), (0.0, 0.12)  # how opaque the lenses are


def eyes(size: int) -> Float[np.ndarray, "2 2"]:
    """Where they lie in a picture of `size` px, (x, y) of each."""
    left, top, side = CROP_BOX
    return (np.array([LEFT_EYE, RIGHT_EYE]) - (left, top)) * size / side


def spectacles(rng: np.random.Generator, size: int) -> Float[np.ndarray, "4 s s"]:
    """Random glasses where the eyes are: colour in [0, 1] and how opaque they are."""
    unit = size * FINE / 128
    centres = eyes(size * FINE) + rng.normal(0, 1.2, (1, 2)) * unit
    centres += [(0, rng.uniform(-1, 5) * unit)]
    tilt = rng.normal(0, 0.03) * (centres[1, 0] - centres[0, 0])
    centres += [(0, -tilt), (0, tilt)]
    apart = rng.uniform(-1, 3) * unit
    centres += [(-apart, 0), (apart, 0)]
    half = np.array([rng.uniform(12, 18.5), rng.uniform(7.5, 14.5)]) * unit
    half[0] = min(half[0], (centres[1, 0] - centres[0, 0]) / 2 - 1.5 * unit)
    radius = round(rng.uniform(0.3, 0.95) * half.min())
    thick = max(1, round(rng.choice([1.0, 2.0, 3.5]) * rng.uniform(0.7, 1.2) * unit))
    frame = np.array(FRAMES[rng.integers(len(FRAMES))]) + rng.integers(-15, 16, 3)
    opaque = rng.uniform(*(CLEAR, CLEAR, CLEAR, TINTED, DARK)[rng.integers(5)])
    tint = rng.integers(5, 70, 3) if opaque > 0.15 else rng.integers(120, 256, 3)

    glass = Image.new("L", (size * FINE,) * 2)
    rim, shine = glass.copy(), glass.copy()
    draw, edge, light = (ImageDraw.Draw(layer) for layer in (glass, rim, shine))
    strength = int(255 * rng.uniform(0.75, 1.0))
    # Whole px: with others Pillow refuses now and then a corner that is nearly as wide as the box.
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
        edge.rectangle([0, low, size * FINE, size * FINE], fill=0)
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


def frames(rng: np.random.Generator, size: int) -> Bool[np.ndarray, "s s"]:
    """A hole where random glasses would be, a little wider than these."""
    wider = round(rng.uniform(*WIDER) * size / 128)
    return ndimage.binary_dilation(spectacles(rng, size)[3] > SEEN, iterations=max(1, wider))
