"""CelebA: read the official layout or Kaggle's, complete or a subset; decoded images are cached.

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
OPTIONAL = "identity_CelebA.txt"  # not part of Kaggle's copy
FOLDERS = ("", "celeba", "celeba-dataset", "CelebA", "Anno", "Eval", "Img")  # where files may lie
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
TRUE, FALSE = {"1", "+1", "1.0", "true", "yes"}, {"-1", "0", "-1.0", "0.0", "false", "no"}
MIN_ROWS = 50  # of a list in which an attribute that never changes is taken for a damaged one
PHOTOS = "img_align_celeba"
SPLITS: dict[Split, int] = {"train": 0, "valid": 1, "test": 2}
OVERSAMPLED = "Eyeglasses"  # 6 % of the faces have them
P_OVERSAMPLED = 0.08  # share of a batch that is drawn from those faces alone
CACHE_VERSION = 1  # part of the cache's name: raise it when decoding changes
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Faces:
    """One split, decoded: 128x128 RGB images, attributes, identities, names of the attributes.

    An identity is -1 where the list of them is missing.
    """

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


def find_list(folder: Path, name: str) -> Path | None:
    """An official list or its `.csv` of the same name, in `folder` or one that it was packed in."""
    for inner in FOLDERS:
        for path in (folder / inner / name, (folder / inner / name).with_suffix(".csv")):
            if path.is_file():
                return path
    return None


def find_photos(folder: Path) -> Path | None:
    """The folder of the photographs, also where unpacking has put it into one of its name."""
    for inner in FOLDERS:
        photos = folder / inner / PHOTOS
        if photos.is_dir():
            return photos / PHOTOS if (photos / PHOTOS).is_dir() else photos
    return None


def check_layout(folder: Path) -> None:
    """FileNotFoundError with the cure where `folder` lacks a part of CelebA."""
    missing = [
        f"{name} ({what})"
        for name, what in FILES.items()
        if name != OPTIONAL and find_list(folder, name) is None
    ]
    if find_photos(folder) is None:
        missing.append(f"the folder {PHOTOS}/ (aligned and cropped photographs, 178x218 JPEG)")
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {'; '.join(missing)}. Get img_align_celeba.zip and the lists from the "
            f"CelebA page (Downloads, Align&Cropped Images; or torchvision.datasets.CelebA), agree "
            f"to its terms, and unpack everything into {folder}"
        )


def split_line(line: str) -> list[str]:
    """The columns of a line: separated by commas, else by blanks."""
    cells = line.split(",") if "," in line else line.split()
    return [cell.strip().strip('"') for cell in cells]


def is_photo(name: str) -> bool:
    """Whether a column names a photograph."""
    return name.lower().endswith(PHOTO_SUFFIXES)


def read_lines(path: Path) -> list[list[str]]:
    """The columns of each line that is not empty; a byte order mark is skipped."""
    lines = path.read_text("utf-8-sig", "replace").splitlines()
    return [split_line(line) for line in lines if line.strip(" ,\t")]


def read_table(path: Path, columns: int | None = None) -> dict[str, list[str]]:
    """File name -> the columns after it; lines with another number of columns are logged.

    The number is `columns`, else the most common one.
    """
    rows = [line for line in read_lines(path) if is_photo(line[0])]
    if columns is None and rows:
        columns = int(np.bincount([len(row) - 1 for row in rows]).argmax())
    good = {row[0]: row[1:] for row in rows if len(row) - 1 == columns}
    if len(good) < len(rows):
        log.warning("%s: %d malformed lines left out", path, len(rows) - len(good))
    if not good:
        raise ValueError(f"{path} has no line of the official form: fetch it again")
    return good


def attribute_names(path: Path) -> tuple[str, ...]:
    """The names in the header of list_attr_celeba: the last line before the first photograph.

    The number of photographs may stand above it, and a name of the first column in it.
    """
    header: list[str] = []
    for line in read_lines(path):
        if is_photo(line[0]):
            break
        header = line
    if header and header[0].lower() in ("image_id", "filename", "file", "image", ""):
        header = header[1:]
    return tuple(header)


def parse_attributes(
    path: Path, rows: dict[str, list[str]], names: tuple[str, ...]
) -> dict[str, list[bool]]:
    """Each photograph's attributes; ValueError for a value that is neither true nor false.

    Also for an attribute that all or none of many photographs have: a list that was damaged in
    this way would be learnt from without a word.
    """
    if any(len(row) != len(names) for row in rows.values()):
        raise ValueError(
            f"{path} names {len(names)} attributes in its header, but its rows have another "
            "number: fetch it again"
        )
    values = np.array([[cell.lower() for cell in row] for row in rows.values()])
    known = np.isin(values, [*TRUE, *FALSE])
    if not known.all():
        row, column = np.argwhere(~known)[0]
        raise ValueError(
            f"{path}: {list(rows)[row]} has the value {list(rows.values())[row][column]!r} of "
            f"{names[column]}, which is neither 1 nor -1: fetch it again"
        )
    true = np.isin(values, list(TRUE))
    constant = [name for name, share in zip(names, true.mean(0), strict=True) if share in (0, 1)]
    if constant and len(true) >= MIN_ROWS:
        raise ValueError(
            f"{path}: {', '.join(constant[:3])} ({len(constant)} of {len(names)} attributes) never "
            "change, so nothing can be learnt of them: fetch the list again"
        )
    return dict(zip(rows, true.tolist(), strict=True))


def decode(path: Path) -> UInt8[np.ndarray, "128 128 3"] | tuple[int, int] | None:
    """The central square of an aligned photograph; its size where that is another one.

    None where it cannot be read.
    """
    left, top, side = CROP_BOX
    try:
        with Image.open(path) as photo:
            if photo.size != ALIGNED_SIZE:
                return photo.size
            square = photo.convert("RGB").crop((left, top, left + side, top + side))
            return np.asarray(square)
    except (OSError, ValueError, SyntaxError):
        return None


def load(folder: Path, split: Split, cache: Path | None = None, workers: int = 2) -> Faces:
    """One split of the photographs in `folder`, cached decoded in `cache` (49 kB a face)."""
    check_layout(folder)
    tables = {name: find_list(folder, name) for name in FILES}
    path = tables["list_attr_celeba.txt"]
    names = attribute_names(path)
    attributes = parse_attributes(path, read_table(path), names)
    part = read_table(tables["list_eval_partition.txt"], 1)
    identity = {} if tables[OPTIONAL] is None else read_table(tables[OPTIONAL], 1)
    if not identity:
        log.warning("%s has no %s: nothing is known of who is who", folder, OPTIONAL)
    wanted = [
        name
        for name in sorted(attributes)
        if part.get(name) == [str(SPLITS[split])] and (name in identity or not identity)
    ]
    photos = find_photos(folder)
    on_disk = {path.stem: path.name for path in photos.iterdir() if is_photo(path.name)}
    present = {name: on_disk[Path(name).stem] for name in wanted if Path(name).stem in on_disk}
    if len(present) < len(wanted):
        log.warning("%s: %d of %d %s photographs", folder, len(present), len(wanted), split)
    if not present:
        raise ValueError(f"no photograph of the {split} split in {photos}: fetch more")
    images, readable = _decode_all(photos, list(present.values()), cache, workers)
    kept = [name for name, good in zip(present, readable, strict=True) if good]
    return Faces(
        images,
        np.array([attributes[name] for name in kept]),
        np.array([int(identity[name][0]) if identity else -1 for name in kept]),
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
    readable = np.array([isinstance(picture, np.ndarray) for picture in found])
    sizes_found = [size for size in found if isinstance(size, tuple)]
    if sizes_found:
        width, height = max(set(sizes_found), key=sizes_found.count)
        other = f"{len(sizes_found)} photographs are {width}x{height} px or of yet another size"
        other += f", not {ALIGNED_SIZE[0]}x{ALIGNED_SIZE[1]}"
        if not readable.any():
            raise ValueError(
                f"{folder}: {other}: CelebA-HQ and resized copies are cut differently, so use the "
                "aligned and cropped photographs (img_align_celeba)"
            )
        log.warning("%s: %s: left out", folder, other)
    if not readable.all():
        log.warning("%s: %d unreadable photographs left out", folder, (~readable).sum())
    if not readable.any():
        raise ValueError(f"none of the {len(names)} photographs in {folder} can be read")
    images = np.stack([picture for picture in found if isinstance(picture, np.ndarray)])
    if kept is not None:
        with atomic_write(kept) as file:
            np.savez(file, images=images, readable=readable)
    return images, readable
