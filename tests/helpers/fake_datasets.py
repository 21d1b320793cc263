"""Random data sets of a few items in their official layouts."""

import gzip
import json
from pathlib import Path

import numpy as np

from training.data import quickdraw


def write_mnist(folder: Path, counts: dict[str, int]) -> None:
    """The four official files, of random digits."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = rng.integers(0, 10, count, np.uint8)
        for kind, data, shape in (
            ("images-idx3", images, (count, 28, 28)),
            ("labels-idx1", labels, (count,)),
        ):
            head = bytes([0, 0, 8, len(shape)])
            head += b"".join(n.to_bytes(4, "big") for n in shape)
            with gzip.open(raw / f"{name}-{kind}-ubyte.gz", "wb") as file:
                file.write(head + data.tobytes())


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
