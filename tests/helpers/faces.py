"""A fake CelebA of a few faces in the official layout."""

from pathlib import Path

import numpy as np
from PIL import Image

from training.data import celeba

NAMES = ("Eyeglasses", "Male", "Smiling", "Young")


def write_celeba(folder: Path, faces: int = 12) -> Path:
    """Half to train, a quarter valid, a quarter test; face i has colour i and attributes i."""
    photos = folder / celeba.PHOTOS
    photos.mkdir(parents=True)
    attributes, part, identity = [str(faces), " ".join(NAMES)], [], []
    for i in range(faces):
        name = f"{i + 1:06}.jpg"
        Image.new("RGB", celeba.ALIGNED_SIZE, (20 * i % 256, 100, 50)).save(
            photos / name, quality=95
        )
        row = ["1" if i >> bit & 1 else "-1" for bit in range(4)]
        attributes.append(f"{name} {'  '.join(row)}")
        part.append(f"{name} {0 if i < faces / 2 else 1 if i < 3 * faces / 4 else 2}")
        identity.append(f"{name} {100 + i // 2}")
    for file, lines in zip(celeba.FILES, (attributes, part, identity), strict=True):
        (folder / file).write_text("\n".join(lines) + "\n")
    return folder


def with_random_photos(folder: Path) -> Path:
    """The same with a picture of its own in each photograph."""
    rng = np.random.default_rng(0)
    for photo in sorted((folder / celeba.PHOTOS).iterdir()):
        small = rng.integers(0, 256, (7, 6, 3), np.uint8)
        Image.fromarray(small).resize(celeba.ALIGNED_SIZE).save(photo, quality=95)
    return folder
