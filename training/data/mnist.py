"""MNIST in its official layout: MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from training.data.quickdraw import Split
from training.engine.torchvision_import import import_torchvision

NAMES = tuple("0123456789")
VALID = 5_000  # size of the valid split: the last of the 60,000 for training


def download(folder: Path) -> None:
    """Fetch the four official files into `folder`/MNIST/raw, if they are missing (12 MB)."""
    import_torchvision().datasets.MNIST(folder, download=True)


def read_idx(path: Path) -> UInt8[np.ndarray, "n *s"]:
    """An IDX file of bytes, gzipped or not: four bytes of type and rank, the sizes, the data.

    Not by torchvision, which reads no gzipped file and asserts where a file is damaged.
    """
    packed = path.with_name(path.name + ".gz")
    try:
        data = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path.parent} lacks {path.name} or {packed.name}: fetch them with --download, or put "
            "the four official files of MNIST there"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{packed} is damaged ({error}): fetch it again") from error
    rank = data[3] if len(data) > 3 and data[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * rank
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    if not rank or len(data) != start + int(np.prod(shape, dtype=object)):
        raise ValueError(f"{path} is no complete IDX file of bytes: fetch it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()


def load(
    folder: Path, split: Split
) -> tuple[UInt8[np.ndarray, "n 28 28"], Int64[np.ndarray, " n"]]:
    """Digits, white on black, 0..255, and their labels; `folder` is the one that holds MNIST/."""
    stem = "t10k" if split == "test" else "train"
    raw = folder / "MNIST" / "raw"
    images, labels = (
        read_idx(raw / f"{stem}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")
    )
    if len(images) != len(labels):
        raise ValueError(f"{raw} has {len(images)} images and {len(labels)} labels: fetch again")
    part = {"train": slice(None, -VALID), "valid": slice(-VALID, None), "test": slice(None)}[split]
    return images[part], labels[part].astype(np.int64)


def enlarge(digits: UInt8[np.ndarray, "n 28 28"]) -> UInt8[np.ndarray, "n 64 64"]:
    """Doubled and padded to the size of the drawing classifier's input."""
    large = digits.repeat(2, 1).repeat(2, 2)
    return np.pad(large, ((0, 0), (4, 4), (4, 4)))
