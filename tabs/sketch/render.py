"""Completions as pictures: greyscale, the heat-map, the grid that shows them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from tabs.image_encoding import png_url
from tabs.theme import colour_map

INK = 0
MIN_CONFIDENCE = 0.5  # below it 3 of 10 guesses of half a drawing are right, above it 9 of 10
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
    first: int,
) -> list[int]:
    """Indices of `count` diverse samples: `first`, then always the farthest.

    The distance is 1 - IoU of the added ink, binarised at 0.5 (farthest-point traversal,
    Gonzalez 1985); two samples that add nothing are at distance 0.
    """
    added = ((samples >= 0.5) & (partial < 0.5)).reshape(len(samples), -1).astype(np.float32)
    both = added @ added.T
    size = both.diagonal()
    either = size[:, None] + size - both
    distance = 1 - np.where(either > 0, both / np.maximum(either, 1), 1)
    picked = [first]
    nearest = distance[picked[0]].copy()
    while len(picked) < min(count, len(samples)):
        nearest[picked] = -1
        picked.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distance[picked[-1]])
    return picked


def greyscale(ink: Float32[np.ndarray, "*n 64 64"]) -> UInt8[np.ndarray, "*n 64 64"]:
    """Black ink on white paper: round(255 * (1 - ink))."""
    return (255 * (1 - ink)).round().clip(0, 255).astype(np.uint8)


def heat_map(
    std: Float32[np.ndarray, "64 64"], partial: Float32[np.ndarray, "64 64"]
) -> UInt8[np.ndarray, "64 64 3"]:
    """Paper, accent, dark as the samples' standard deviation goes from 0 to 0.5."""
    own = 0.25 * partial[..., None]
    return (colour_map(std / MAX_STD) * (1 - own) + INK * own).round().astype(np.uint8)


def likely_labels(probabilities: dict[str, float], max_labels: int = 3) -> list[list]:
    """The most probable labels with their probabilities; none where the model is unsure."""
    if max(probabilities.values()) < MIN_CONFIDENCE:
        return []
    return [[label, p] for label, p in probabilities.items() if p >= 0.005][:max_labels]


def grid_value(completions: Completions) -> dict:
    """The grid's value: greyscale pictures, which the page colours."""
    tiles = [png_url(pixels) for pixels in greyscale(completions.shown)]
    return {
        "tiles": tiles,
        "seen": png_url(greyscale(completions.partial)),
        "heat": png_url(heat_map(completions.std, completions.partial)),
        "samples": completions.samples,
        "guess": likely_labels(completions.label_probabilities),
        "knows": list(completions.label_probabilities),
        "name": completions.name,
        "note": "",
        "said": f"{len(tiles)} completions.",
    }
