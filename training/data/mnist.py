"""MNIST in its official layout (MNIST/raw/*-ubyte.gz or unpacked), read by torchvision."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from torchvision import datasets

from training.data.quickdraw import Split

NAMES = tuple("0123456789")
VALID = 5_000  # the last of the 60,000 for training


def load(
    folder: Path, split: Split, download: bool = False
) -> tuple[UInt8[np.ndarray, "n 28 28"], Int64[np.ndarray, " n"]]:
    """Digits, white on black, 0..255, and labels; `folder` is the one that holds MNIST/."""
    try:
        data = datasets.MNIST(folder, train=split != "test", download=download)
    except RuntimeError as error:
        raise FileNotFoundError(
            f"{folder / 'MNIST' / 'raw'} lacks the four official files of MNIST: put them there, "
            "or add --download"
        ) from error
    images, labels = data.data.numpy(), data.targets.numpy()
    if split == "test":
        return images, labels
    part = slice(None, -VALID) if split == "train" else slice(-VALID, None)
    return images[part], labels[part]


def enlarged(digits: UInt8[np.ndarray, "n 28 28"]) -> UInt8[np.ndarray, "n 64 64"]:
    """Twice as large, in a frame: as the judge of drawings sees them."""
    large = digits.repeat(2, 1).repeat(2, 2)
    return np.pad(large, ((0, 0), (4, 4), (4, 4)))
