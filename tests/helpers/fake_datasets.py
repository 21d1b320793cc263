"""Random data sets of a few items in their official layouts."""

import json
from pathlib import Path
from typing import Literal

import numpy as np

from training.data import mnist, quickdraw


def write_mnist(folder: Path, counts: dict[Literal["train", "test"], int]) -> None:
    """The four official files, of random digits."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        mnist.save(folder, split, images, rng.integers(0, 10, count))


def write_quickdraw(folder: Path, count: int = 12) -> None:
    """`count` random two-stroke drawings of every class."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for word in quickdraw.CLASSES:
        rows = []
        for _ in range(count):
            strokes = rng.integers(0, 256, (2, 2, 5)).tolist()
            rows.append(json.dumps({"word": word, "drawing": strokes}))
        (folder / f"{word}.ndjson").write_text("\n".join(rows) + "\n")
