"""CelebA: read the official layout, complete or a subset; decoded images are cached.

Liu et al., "Deep Learning Face Attributes in the Wild", 2015. Research only, no redistribution.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from models.face_alignment import ALIGNED_SIZE, CROP_BOX
from training.data.quickdraw import Split
from training.engine.run_state import atomic_write
from training.engine.workers import worker_pool

FILES = {
    "list_attr_celeba.txt": "40 attributes of each photograph",
    "list_eval_partition.txt": "the split of each",
    "identity_CelebA.txt": "the person on each",
}
PHOTOS = "img_align_celeba"
SPLITS: dict[Split, int] = {"train": 0, "valid": 1, "test": 2}
OVERSAMPLED = "Eyeglasses"  # 6 % of the faces have them
P_OVERSAMPLED = 0.08  # share of a batch that is drawn from those faces alone
CACHE_VERSION = 1  # part of the cache's name: raise it when decoding changes
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Faces:
    """One split, decoded: 128x128 RGB images, attributes, identities, names of the attributes."""

    images: UInt8[np.ndarray, "n 128 128 3"]
    attributes: Bool[np.ndarray, "n k"]
    identity: Int64[np.ndarray, " n"]
    names: tuple[str, ...]

    def column(self, name: str) -> Bool[np.ndarray, " n"]:
        """Whether each face has the attribute `name`."""
        if name not in self.names:
            raise ValueError(
                f"CelebA has no attribute {name!r}: choose one of {', '.join(self.names)}"
            )
        return self.attributes[:, self.names.index(name)]

    def sample_indices(self, rng: np.random.Generator, count: int) -> Int64[np.ndarray, " count"]:
        """Indices of a batch: uniform, but faces with glasses are oversampled by 8 %."""
        found = rng.integers(0, len(self.images), count)
        rare = np.flatnonzero(self.column(OVERSAMPLED))
        if len(rare):
            wanted = rng.uniform(size=count) < P_OVERSAMPLED
            found = np.where(wanted, rare[rng.integers(0, len(rare), count)], found)
        return found


def check_layout(folder: Path) -> None:
    """FileNotFoundError with the cure where `folder` lacks a part of CelebA."""
    missing = [f"{name} ({what})" for name, what in FILES.items() if not (folder / name).is_file()]
    if not (folder / PHOTOS).is_dir():
        missing.append(f"the folder {PHOTOS}/ (aligned and cropped photographs, 178x218 JPEG)")
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {'; '.join(missing)}. Get img_align_celeba.zip and the lists from the "
            f"CelebA page (Downloads, Align&Cropped Images; or torchvision.datasets.CelebA), agree "
            f"to its terms, and unpack everything into {folder}"
        )


def read_table(path: Path, columns: int | None = None) -> dict[str, list[str]]:
    """File name -> the columns after it; lines with another number of columns are logged.

    The number is `columns`, else the most common one.
    """
    lines = [line.split() for line in path.read_text("utf-8", "replace").splitlines()]
    rows = [line for line in lines if line and line[0].lower().endswith(".jpg")]
    if columns is None and rows:
        columns = int(np.bincount([len(row) - 1 for row in rows]).argmax())
    good = {row[0]: row[1:] for row in rows if len(row) - 1 == columns}
    if len(good) < len(rows):
        log.warning("%s: %d malformed lines left out", path, len(rows) - len(good))
    if not good:
        raise ValueError(f"{path} has no line of the official form: fetch it again")
    return good


def attribute_names(path: Path) -> tuple[str, ...]:
    """The second line of list_attr_celeba.txt."""
    with path.open(encoding="utf-8", errors="replace") as file:
        file.readline()
        return tuple(file.readline().split())


def decode(path: Path) -> UInt8[np.ndarray, "128 128 3"] | None:
    """The central square of an aligned photograph, or None where it cannot be read."""
    left, top, side = CROP_BOX
    try:
        with Image.open(path) as photo:
            if photo.size != ALIGNED_SIZE:
                return None
            square = photo.convert("RGB").crop((left, top, left + side, top + side))
            return np.asarray(square)
    except (OSError, ValueError, SyntaxError):
        return None


def load(folder: Path, split: Split, cache: Path | None = None, workers: int = 2) -> Faces:
    """One split of the photographs in `folder`, cached decoded in `cache` (49 kB a face)."""
    check_layout(folder)
    tables = {name: folder / name for name in FILES}
    attributes = read_table(tables["list_attr_celeba.txt"])
    names = attribute_names(tables["list_attr_celeba.txt"])
    if any(len(row) != len(names) for row in attributes.values()):
        raise ValueError(
            f"{tables['list_attr_celeba.txt']} names {len(names)} attributes in its second line, "
            "but its rows have another number: fetch it again"
        )
    part = read_table(tables["list_eval_partition.txt"], 1)
    identity = read_table(tables["identity_CelebA.txt"], 1)
    wanted = [
        name
        for name in sorted(attributes)
        if part.get(name) == [str(SPLITS[split])] and name in identity
    ]
    on_disk = {path.name for path in (folder / PHOTOS).iterdir()}
    present = [name for name in wanted if name in on_disk]
    if len(present) < len(wanted):
        log.warning("%s: %d of %d %s photographs", folder, len(present), len(wanted), split)
    if not present:
        raise ValueError(f"no photograph of the {split} split in {folder / PHOTOS}: fetch more")
    images, readable = _decode_all(folder / PHOTOS, present, cache, workers)
    kept = [name for name, good in zip(present, readable, strict=True) if good]
    return Faces(
        images,
        np.array([attributes[name] for name in kept]) == "1",
        np.array([int(identity[name][0]) for name in kept]),
        names,
    )


def _decode_all(
    folder: Path, names: list[str], cache: Path | None, workers: int
) -> tuple[UInt8[np.ndarray, "m 128 128 3"], Bool[np.ndarray, " n"]]:
    """The readable photographs, and which those are; unreadable ones are logged."""
    sizes = [(name, (folder / name).stat().st_size) for name in names]
    stamp = hashlib.sha256(json.dumps([CACHE_VERSION, sizes]).encode()).hexdigest()[:12]
    kept = None if cache is None else cache / f"celeba-{stamp}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            return file["images"], file["readable"]
    with worker_pool(workers) as pool:
        found = list(pool.map(decode, [folder / name for name in names], chunksize=64))
    readable = np.array([picture is not None for picture in found])
    if not readable.all():
        log.warning("%s: %d unreadable photographs left out", folder, (~readable).sum())
    if not readable.any():
        raise ValueError(f"none of the {len(names)} photographs in {folder} can be read")
    images = np.stack([picture for picture in found if picture is not None])
    if kept is not None:
        with atomic_write(kept) as file:
            np.savez(file, images=images, readable=readable)
    return images, readable
