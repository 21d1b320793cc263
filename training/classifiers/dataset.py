"""Batches for training the classifiers, each a pure function of seed and step; the valid split."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.classifiers import FACE_SIZE
from models.images import to_ink, to_rgb
from training.classifiers.config import Config
from training.data import celeba, fetch, mnist, quickdraw
from training.data.augment import augment
from training.sketch.dataset import CompletionDataset

MAX_DIGIT_SHIFT = 2  # px


class Batch(NamedTuple):
    """Network input and targets: class numbers (b,), or attributes (b, k)."""

    x: Tensor
    target: Tensor

    def shard(self, rank: int, world_size: int, device: torch.device) -> "Batch":
        """The part of the batch that one of several processes trains on."""
        return Batch(*(part[rank::world_size].to(device) for part in self))


class ClassifierDataset:
    """Training batches and validation images of one kind."""

    def __init__(self, cfg: Config):
        self.cfg, cache = cfg, cfg.cache_dir.expanduser()
        if cfg.kind == "drawings":
            self.names: tuple[str, ...] = quickdraw.CLASSES
            self.drawings = quickdraw.load_train(cfg.data_dir / "quickdraw", cache)
        elif cfg.kind == "digits":
            self.names = mnist.NAMES
            self.digits, self.labels = mnist.load(cfg.data_dir, "train")
        else:
            self.faces = celeba.load(cfg.data_dir / "celeba", "train", cache)
            self.names = self.faces.names

    def from_step(self, step: int) -> Iterator[Batch]:
        """Batches from number `step` on."""
        cfg = self.cfg
        if cfg.kind == "drawings":
            dataset = CompletionDataset(
                self.drawings, cfg.batch_size, cfg.seed, cfg.steps, max_points=1, render_full=True
            )
            for batch in dataset.from_step(step):
                yield Batch(binarize(batch.x), batch.label)
            return
        make = self._digits if cfg.kind == "digits" else self._faces
        for i in range(step, cfg.steps):
            yield make(np.random.default_rng((cfg.seed, i)))

    def _digits(self, rng: np.random.Generator) -> Batch:
        """Digits shifted together by up to 2 px."""
        pick = rng.integers(0, len(self.digits), self.cfg.batch_size)
        shift = tuple(rng.integers(-MAX_DIGIT_SHIFT, MAX_DIGIT_SHIFT + 1, 2))
        pixels = np.roll(self.digits[pick], shift, (1, 2))
        return Batch(to_ink(pixels)[:, None], torch.from_numpy(self.labels[pick]))

    def _faces(self, rng: np.random.Generator) -> Batch:
        """Faces mirrored at random, shifted and with changed colours."""
        pick = self.faces.sample_indices(rng, self.cfg.batch_size)
        x = to_rgb(self.faces.images[pick], FACE_SIZE)
        mirrored = torch.from_numpy(rng.uniform(size=len(x)) < 0.5)
        x = augment(torch.where(mirrored[:, None, None, None], x.flip(3), x), rng)
        return Batch(
            x.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(self.faces.attributes[pick]),
        )

    def valid(self) -> tuple[np.ndarray, Tensor]:
        """Images 0..255 as `predict` takes them, and targets of the valid split."""
        cfg: Config = self.cfg
        if cfg.kind == "drawings":
            images, _, labels = quickdraw.rasterize_split(cfg.data_dir / "quickdraw", "valid")
        elif cfg.kind == "digits":
            images, labels = mnist.load(cfg.data_dir, "valid")
        else:
            folder: Path = cfg.data_dir / "celeba"
            faces = celeba.load(folder, "valid", cfg.cache_dir.expanduser())
            images, labels = faces.images, faces.attributes
        return images, torch.from_numpy(labels)


def download(cfg: Config) -> None:
    """Fetch what is missing of the data set; ValueError for CelebA, which asks for consent."""
    if cfg.kind == "drawings":
        fetch.fetch_quickdraw(quickdraw.CLASSES, cfg.data_dir / "quickdraw")
    elif cfg.kind == "digits":
        mnist.download(cfg.data_dir)
    else:
        raise ValueError(
            "CelebA must be fetched by hand, since its terms ask for consent: leave --download out "
            "to read which files go where"
        )


def binarize(ink: Tensor) -> Tensor:
    """Ink 0..255 (b, 64, 64) to {0, 1} (b, 1, 64, 64)."""
    return ink[:, None].gt(127).float()
