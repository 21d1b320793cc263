"""Completions as pictures: ink to colours, the heat-map, the grid that shows them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from tabs.image_encoding import png_url
from tabs.theme import ACCENT_RGB, PAPER_RGB, colour_map

INK = 0
MAX_STD = 0.5  # of a number in [0, 1]


class Completions(NamedTuple):
    """One run's results, kept so that they can be shown in another view without sampling again."""

    partial: Float32[np.ndarray, "64 64"]
    shown: Float32[np.ndarray, "n 64 64"]
    std: Float32[np.ndarray, "64 64"]
    samples: int
    label_probabilities: dict[str, float]
    name: str


def select_diverse(
    samples: Float32[np.ndarray, "n 64 64"],
    partial: Float32[np.ndarray, "64 64"],
    count: int,
) -> list[int]:
    """Indices of `count` diverse samples: the most typical one, then always the farthest.

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


def binarize(
    ink: Float32[np.ndarray, "*n 64 64"], partial: Float32[np.ndarray, "64 64"], threshold: float
) -> Float32[np.ndarray, "*n 64 64"]:
    """Ink at or above `threshold` as full ink, the rest as paper; the partial drawing as it is."""
    return np.maximum(ink >= threshold, partial).astype(np.float32)


def colorize(
    ink: Float32[np.ndarray, "*n 64 64"], partial: Float32[np.ndarray, "64 64"]
) -> UInt8[np.ndarray, "*n 64 64 3"]:
    """White paper, the partial drawing in black, added ink in the accent colour."""
    added = np.maximum(ink - partial, 0)[..., None]
    own = np.broadcast_to(partial[..., None], added.shape)
    pixels = PAPER_RGB * (1 - own - added) + INK * own + ACCENT_RGB * added
    return pixels.round().clip(0, 255).astype(np.uint8)


def greyscale(ink: Float32[np.ndarray, "*n 64 64"]) -> UInt8[np.ndarray, "*n 64 64"]:
    """Black ink on white paper: round(255 * (1 - ink))."""
    return (255 * (1 - ink)).round().clip(0, 255).astype(np.uint8)


def heat_map(
    std: Float32[np.ndarray, "64 64"], partial: Float32[np.ndarray, "64 64"]
) -> UInt8[np.ndarray, "64 64 3"]:
    """Paper, accent, dark as the samples' standard deviation goes from 0 to 0.5."""
    own = 0.25 * partial[..., None]
    return (colour_map(std / MAX_STD) * (1 - own) + INK * own).round().astype(np.uint8)


def label_sentence(probabilities: dict[str, float], max_labels: int = 3) -> str:
    """The most probable labels with their probabilities, as a sentence."""
    parts = [f"{label} {p:.0%}" for label, p in probabilities.items() if p >= 0.005][:max_labels]
    return f"It looks like: {', '.join(parts)}."


def grid_value(completions: Completions, view: str, threshold: float) -> dict:
    """The grid's value: every completion in the view "Probabilities" or "Binary"."""
    ink = (
        completions.shown
        if view == "Probabilities"
        else binarize(completions.shown, completions.partial, threshold)
    )
    pairs = zip(colorize(ink, completions.partial), greyscale(ink), strict=True)
    return {
        "tiles": [{"src": png_url(pixels), "ink": png_url(plain)} for pixels, plain in pairs],
        "seen": png_url(greyscale(completions.partial)),
        "heat": png_url(heat_map(completions.std, completions.partial)),
        "samples": completions.samples,
        "guess": label_sentence(completions.label_probabilities),
        "name": completions.name,
        "note": "",
    }
