"""MNIST as it circulates: MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz].

Also with a dot instead of the second hyphen, and without the two folders.
"""

import gzip
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

from training.data.quickdraw import Split
from training.engine.torchvision_import import import_torchvision

NAMES = tuple("0123456789")
STEMS = {"train": "train", "valid": "train", "test": "t10k"}  # how the files' names begin
SIDE = 28  # px
VALID = 5_000  # size of the valid split: the last of the 60,000 for training


def download(folder: Path) -> None:
    """Fetch the four official files into `folder`/MNIST/raw, if they are missing (12 MB)."""
    import_torchvision().datasets.MNIST(folder, download=True)


def find_file(folder: Path, name: str) -> Path:
    """One of the official files, `name` without its ending; FileNotFoundError without it."""
    stem, kind = name.rsplit("-", 1)
    names = [f"{stem}{dot}{kind}-ubyte{gz}" for gz in ("", ".gz") for dot in ("-", ".")]
    for place in (folder / "MNIST" / "raw", folder / "MNIST", folder / "raw", folder):
        for path in (place / name for name in names):
            if path.is_file():
                return path
    raise FileNotFoundError(
        f"{folder / 'MNIST' / 'raw'} lacks {names[0]} or {names[2]}: fetch them with --download, "
        "or put the four official files of MNIST there"
    )


def read_idx(path: Path) -> UInt8[np.ndarray, "n *s"]:
    """An IDX file of bytes, gzipped or not: four bytes of type and rank, the sizes, the data.

    Not by torchvision, which reads no gzipped file and asserts where a file is damaged.
    """
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}): fetch it again") from error
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
    paths = [find_file(folder, f"{STEMS[split]}-{kind}") for kind in ("images-idx3", "labels-idx1")]
    images, labels = map(read_idx, paths)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise ValueError(
            f"{paths[0]} holds pictures of {'x'.join(map(str, images.shape[1:]))} px, and MNIST's "
            f"are {SIDE}x{SIDE}: resize them, or fetch MNIST with --download"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{paths[0].parent} has {len(images)} images and {len(labels)} labels: fetch again"
        )
    if labels.ndim != 1 or labels.max(initial=0) >= len(NAMES):
        raise ValueError(
            f"{paths[1]} has labels up to {labels.max(initial=0)}: these are no digits 0 to 9 but "
            "perhaps EMNIST's letters; fetch MNIST with --download"
        )
    if split != "test" and len(images) <= VALID:
        raise ValueError(
            f"{paths[0]} has {len(images):,} digits: {VALID:,} are set aside, so more are needed"
        )
    part = {"train": slice(None, -VALID), "valid": slice(-VALID, None), "test": slice(None)}[split]
    return images[part], labels[part].astype(np.int64)


def save(
    folder: Path,
    split: Literal["train", "test"],
    images: UInt8[np.ndarray, "n 28 28"],
    labels: Int64[np.ndarray, " n"],
) -> None:
    """Write digits in the official layout; of "train", `load` takes the last 5,000 as valid."""
    raw, stem = folder / "MNIST" / "raw", STEMS[split]
    raw.mkdir(parents=True, exist_ok=True)
    for kind, data in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
        head = bytes([0, 0, 8, data.ndim]) + b"".join(n.to_bytes(4, "big") for n in data.shape)
        (raw / f"{stem}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + data.tobytes(), 1))
