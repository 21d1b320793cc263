"""Completions as pictures: ink to colours, the heat-map, the grid that shows them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from tabs.image_encoding import png_url
from tabs.theme import ACCENT_RGB, PAPER_RGB, colour_map

INK = 0
MAX_STD = 0.5  # of a number in [0, 1]


class Completions(NamedTuple):
    """What is kept of one run, so that it can be shown otherwise without sampling again."""

    partial: Float32[np.ndarray, "64 64"]
    shown: Float32[np.ndarray, "n 64 64"]
    std: Float32[np.ndarray, "64 64"]
    samples: int
    guess: dict[str, float]
    name: str


def spread(
    samples: Float32[np.ndarray, "n 64 64"],
    partial: Float32[np.ndarray, "64 64"],
    count: int,
) -> list[int]:
    """Places of `count` samples that differ: the most typical one, then always the farthest.

    The distance is 1 - IoU of the added ink, binarised at 0.5 (farthest-point traversal,
    Gonzalez 1985); two samples that add nothing are at distance 0.
    """
    added = ((samples >= 0.5) & (partial < 0.5)).reshape(len(samples), -1).astype(np.float32)
    both = added @ added.T
    size = both.diagonal()
    either = size[:, None] + size - both
    distance = 1 - np.where(either > 0, both / np.maximum(either, 1), 1)
    picked = [int(distance.sum(1).argmin())]
    nearest = distance[picked[0]].copy()
    while len(picked) < min(count, len(samples)):
        nearest[picked] = -1
        picked.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distance[picked[-1]])
    return picked


def binary(
    ink: Float32[np.ndarray, "*n 64 64"], partial: Float32[np.ndarray, "64 64"], threshold: float
) -> Float32[np.ndarray, "*n 64 64"]:
    """Ink at or above `threshold` as full ink, the rest as paper; the visitor's own as drawn."""
    return np.maximum(ink >= threshold, partial).astype(np.float32)


def colour(
    ink: Float32[np.ndarray, "*n 64 64"], partial: Float32[np.ndarray, "64 64"]
) -> UInt8[np.ndarray, "*n 64 64 3"]:
    """White paper, the visitor's ink in black, what was added in the accent colour."""
    added = np.maximum(ink - partial, 0)[..., None]
    own = np.broadcast_to(partial[..., None], added.shape)
    pixels = PAPER_RGB * (1 - own - added) + INK * own + ACCENT_RGB * added
    return pixels.round().clip(0, 255).astype(np.uint8)


def grey(ink: Float32[np.ndarray, "*n 64 64"]) -> UInt8[np.ndarray, "*n 64 64"]:
    """Black ink on white paper: round(255 * (1 - ink))."""
    return (255 * (1 - ink)).round().clip(0, 255).astype(np.uint8)


def heat(
    std: Float32[np.ndarray, "64 64"], partial: Float32[np.ndarray, "64 64"]
) -> UInt8[np.ndarray, "64 64 3"]:
    """Paper, accent, dark as the samples' standard deviation goes from 0 to 0.5."""
    own = 0.25 * partial[..., None]
    return (colour_map(std / MAX_STD) * (1 - own) + INK * own).round().astype(np.uint8)


def guessed(share: dict[str, float], most: int = 3) -> str:
    """The likeliest labels with their probabilities, as a visitor reads them."""
    first = [f"{label} {p:.0%}" for label, p in share.items() if p >= 0.005][:most]
    return f"It looks like: {', '.join(first)}."


def view(made: Completions, kind: str, threshold: float) -> dict:
    """The grid's value: every completion as `kind`, "Probabilities" or "Binary"."""
    ink = made.shown if kind == "Probabilities" else binary(made.shown, made.partial, threshold)
    pairs = zip(colour(ink, made.partial), grey(ink), strict=True)
    return {
        "tiles": [{"src": png_url(pixels), "ink": png_url(plain)} for pixels, plain in pairs],
        "seen": png_url(grey(made.partial)),
        "heat": png_url(heat(made.std, made.partial)),
        "samples": made.samples,
        "guess": guessed(made.guess),
        "name": made.name,
        "note": "",
    }
