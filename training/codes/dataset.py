"""What the three codebooks learn from: whole pictures, 0..255, and what each shows."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from models.images import to_rgb
from training.data import celeba, mnist
from training.data.quickdraw import CLASSES, Split, rasterize_split

Kind = Literal["digits", "sketches", "faces"]
NAMES: dict[Kind, tuple[str, ...]] = {"digits": mnist.NAMES, "sketches": CLASSES, "faces": ()}


def load(
    kind: Kind, data_dir: Path, split: Split, size: int, cache: Path | None = None
) -> tuple[UInt8[np.ndarray, "n c h w"], Int64[np.ndarray, " n"]]:
    """Pictures of one split and their labels (0 where they have none)."""
    if kind == "digits":
        images, labels = mnist.load(data_dir, split)
        return images[:, None], labels
    if kind == "sketches":
        images, _, labels = rasterize_split(data_dir / "quickdraw", split)
        return images[:, None], labels
    faces = celeba.load(data_dir / "celeba", split, cache).images
    small = [to_rgb(faces[i : i + 512], size) for i in range(0, len(faces), 512)]
    pixels = torch.cat([(part * 255).round().byte() for part in small]).numpy()
    return pixels, np.zeros(len(pixels), np.int64)


def batch(
    images: UInt8[np.ndarray, "n c h w"], kind: Kind, count: int, rng: np.random.Generator
) -> Float[Tensor, "b c h w"]:
    """Pictures drawn at random, in [0, 1]; faces mirrored at random."""
    x = torch.from_numpy(images[rng.integers(0, len(images), count)]).float() / 255
    if kind == "faces":
        mirrored = torch.from_numpy(rng.uniform(size=count) < 0.5)
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    return x
