"""Images and code grids that the VQ-VAEs and their priors are trained on."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from models.codes.prior import UNCONDITIONAL
from models.codes.vqvae import VQVAE
from models.images import to_rgb
from training.data import celeba, mnist
from training.data.quickdraw import CLASSES, Split, rasterize_split

Kind = Literal["digits", "sketches", "faces"]
CLASS_NAMES: dict[Kind, tuple[str, ...]] = {
    "digits": mnist.NAMES,
    "sketches": CLASSES,
    "faces": (),
}
ENCODE_BATCH = 256


def load(
    kind: Kind, data_dir: Path, split: Split, size: int, cache: Path | None = None
) -> tuple[UInt8[np.ndarray, "n c h w"], Int64[np.ndarray, " n"]]:
    """Images 0..255 of one split and their labels, 0 for faces.

    `size` is the side of a face, px; digits have 28 px and sketches 64 px.
    """
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


def sample_images(
    images: UInt8[np.ndarray, "n c h w"], kind: Kind, count: int, rng: np.random.Generator
) -> Float[Tensor, "b c h w"]:
    """A random batch in [0, 1]; faces are mirrored with probability 1/2."""
    x = torch.from_numpy(images[rng.integers(0, len(images), count)]).float() / 255
    if kind == "faces":
        mirrored = torch.from_numpy(rng.uniform(size=count) < 0.5)
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    return x


def encode_all(model: VQVAE, images: UInt8[np.ndarray, "n c h w"]) -> Int64[Tensor, "n gh gw"]:
    """Codes of images 0..255, on the CPU."""
    device = model.codebook.device
    parts = torch.from_numpy(images).split(ENCODE_BATCH)
    return torch.cat([model.encode(part.to(device).float() / 255).cpu() for part in parts])


class GridBatch(NamedTuple):
    """Code grids, their labels (UNCONDITIONAL without one), and the order of their cells."""

    codes: Int64[Tensor, "b gh gw"]
    label: Int64[Tensor, " b"]
    order: Int64[Tensor, "b n"]

    def shard(self, rank: int, processes: int, device: torch.device) -> "GridBatch":
        """The rows of one of several processes, on its device."""
        return GridBatch(*(tensor[rank::processes].to(device) for tensor in self))


def sample_grids(
    codes: Int64[Tensor, "n gh gw"],
    labels: Int64[np.ndarray, " n"] | None,
    count: int,
    p_label_dropout: float,
    p_raster_order: float,
    rng: np.random.Generator,
) -> GridBatch:
    """A random batch; `labels` is None for data without classes."""
    pick = rng.integers(0, len(codes), count)
    dropped = rng.uniform(size=count) < p_label_dropout
    if labels is None:
        label = np.full(count, UNCONDITIONAL)
    else:
        label = np.where(dropped, UNCONDITIONAL, labels[pick])
    order = sample_orders(count, codes[0].numel(), p_raster_order, rng)
    return GridBatch(codes[pick], torch.from_numpy(label), order)


def sample_orders(
    count: int, cells: int, p_raster_order: float, rng: np.random.Generator
) -> Int64[Tensor, "b n"]:
    """Orders of the cells: raster order with that probability, else random permutations."""
    permuted = rng.permuted(np.tile(np.arange(cells), (count, 1)), axis=1)
    raster = rng.uniform(size=(count, 1)) < p_raster_order
    return torch.from_numpy(np.where(raster, np.arange(cells), permuted))
