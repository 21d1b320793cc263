"""Training examples of sketch completion: what is drawn so far, and which strokes are missing."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.images import draw_strokes, shrink, to_ink
from models.sketch.tokens import END, Points, to_points
from training.data.quickdraw import CLASSES, Split, find_class, read_class, split_of
from training.engine.run_state import atomic_write
from training.engine.workers import pool_of
from training.sketch import partials

TOLERANCE = 2.5  # px: simplified strokes are a third shorter, and look alike under a 12 px pen
VERSION = 2  # of what load_train makes; another one makes an old cache void
GROUP = 8  # batches drawn together, so that each can hold sequences of similar length


@dataclass(frozen=True)
class Drawings:
    """Simplified drawings end to end: points, the points of each stroke, the strokes of each."""

    points: Float[np.ndarray, "p 2"]
    strokes: Int64[np.ndarray, " s"]
    first: Int64[np.ndarray, " n"]
    label: Int64[np.ndarray, " n"]

    def __getitem__(self, i: int) -> partials.Strokes:
        last = self.first[i + 1] if i + 1 < len(self.first) else len(self.strokes) - 1
        ends = self.strokes[self.first[i] : last + 1]
        return [self.points[a:b].T.astype(np.float64) for a, b in itertools.pairwise(ends)]

    def weights(self, power: float = 0.5) -> np.ndarray:
        """Chance of each drawing when a class is drawn with p ~ size^power: small ones gain."""
        sizes = np.bincount(self.label, minlength=len(CLASSES))
        return (np.maximum(sizes, 1) ** (power - 1.0))[self.label]


class Batch(NamedTuple):
    """Ink 0..255 (b, 64, 64) of the whole and of the part, missing points, labels, noise."""

    x: Tensor
    partial: Tensor
    points: Points
    label: Tensor
    noise: Tensor

    def share(self, rank: int, processes: int, device: torch.device) -> "Batch":
        """The rows that one of several processes takes, on its device, ink as floats."""

        def mine(part: Tensor) -> Tensor:
            return part[rank::processes].to(device)

        x, y = (to_ink(mine(ink).cpu().numpy())[:, None].to(device) for ink in self[:2])
        points = Points(*map(mine, self.points))
        return Batch(x, y, points, mine(self.label), mine(self.noise))


def example(
    strokes: partials.Strokes, rng: np.random.Generator
) -> tuple[partials.Strokes, UInt8[np.ndarray, "64 64"], partials.Strokes]:
    """The whole drawing, the ink of a part of it, the missing strokes.

    Half are in the data set's frame, the others moved and scaled. 75 % keep the first part, every
    second of them about half, 10 % some strokes, 15 % lose a rectangle.
    """
    if rng.uniform() < 0.5:
        strokes = partials.place(strokes, rng)
    kind = rng.uniform()
    if kind < 0.85:
        if kind < 0.75:
            about_half = rng.uniform() < 0.5
            share = rng.uniform(0.45, 0.55) if about_half else 0.1 + 0.8 * rng.beta(3, 3)
            kept, missing = partials.cut(strokes, share)
        else:
            kept, missing = partials.part_strokes(strokes, rng)
        return strokes, shrink(draw_strokes(kept)), missing
    low, high = partials.rectangle(strokes, rng)
    canvas = draw_strokes(strokes).copy()
    left, top = low.round().astype(int).clip(0)
    right, bottom = high.round().astype(int).clip(0)
    canvas[top:bottom, left:right] = 0
    return strokes, shrink(canvas), partials.inside(strokes, low, high)


@dataclass(frozen=True)
class Examples(Dataset):
    """Item g is the g-th group of batches, a pure function of (seed, g), so that a resumed run sees
    what the unbroken one saw.
    """

    data: Drawings
    size: int
    seed: int
    steps: int
    limit: int
    """Points after which a sequence is cut."""
    latent: int = 0
    """Width of the noise."""
    wholes: bool = False
    """Whether x is rendered; otherwise it is the partial drawing again."""

    def __len__(self) -> int:
        return -(-self.steps // GROUP)

    def __getitem__(self, g: int) -> list[Batch]:
        rng = np.random.default_rng((self.seed, g))
        total = GROUP * self.size
        chance = np.cumsum(self.data.weights())
        at = np.searchsorted(chance, rng.uniform(0, chance[-1], total), side="right")
        rows = []
        for i in at.tolist():
            whole, partial, missing = example(self.data[i], rng)
            points = to_points(missing, self.limit)
            x = shrink(draw_strokes(whole)) if self.wholes else partial
            rows.append((x, partial, points, self.data.label[i]))
        rows.sort(key=lambda row: len(row[2]))
        noise = torch.randn(
            total, self.latent, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + g)
        )
        batches = []
        for start in rng.permutation(GROUP) * self.size:
            part = slice(start, start + self.size)
            x, y, points, label = zip(*rows[part], strict=True)
            padded = np.full((self.size, max(map(len, points)), 3), (END, 0, 0))
            for row, sequence in zip(padded, points, strict=True):
                row[: len(sequence)] = sequence
            ink = (torch.from_numpy(np.stack(pictures)) for pictures in (x, y))
            columns = Points(*torch.from_numpy(padded).unbind(-1))
            batches.append(Batch(*ink, columns, torch.tensor(label), noise[part]))
        return batches

    def from_step(self, step: int) -> Iterator[Batch]:
        """Batches from number `step` on, made ahead by a process of their own."""
        groups = range(step // GROUP, len(self))
        loader = DataLoader(self, None, sampler=groups, num_workers=1, prefetch_factor=2)
        for g, group in zip(groups, loader, strict=True):
            for i, batch in enumerate(group):
                if step <= g * GROUP + i < self.steps:
                    yield batch


def read_split(folder: Path, split: Split) -> Iterator[tuple[int, partials.Strokes]]:
    """Label and strokes of every drawing of one split, as they are in the data set."""
    for label, word in enumerate(CLASSES):
        for drawing in read_class(folder, word)[0]:
            if split_of(drawing.digest) == split:
                yield label, drawing.strokes


def halves(
    folder: Path, split: Split, fraction: float = 0.5
) -> tuple[UInt8[np.ndarray, "n 64 64"], UInt8[np.ndarray, "n 64 64"], Int64[np.ndarray, " n"]]:
    """Full drawings, their first `fraction` by arc length, and labels: what `evaluate.py` asks."""
    full, part, label = [], [], []
    for index, strokes in read_split(folder, split):
        full.append(shrink(draw_strokes(strokes)))
        part.append(shrink(draw_strokes(partials.first_part(strokes, fraction))))
        label.append(index)
    if not label:
        raise ValueError(f"no drawing of the {split} split in {folder}: fetch more drawings")
    return np.stack(full), np.stack(part), np.array(label)


def missing_points(
    folder: Path, split: Split, limit: int, fraction: float = 0.5
) -> list[Int64[np.ndarray, "_ 3"]]:
    """The points that `halves` lack, drawing by drawing in the same order."""
    return [
        to_points(
            [partials.simplify(s, TOLERANCE) for s in partials.cut(strokes, fraction)[1]], limit
        )
        for _, strokes in read_split(folder, split)
    ]


def _simplified(folder: Path, word: str) -> list[partials.Strokes]:
    return [
        [partials.simplify(s, TOLERANCE) for s in drawing.strokes]
        for drawing in read_class(folder, word)[0]
        if split_of(drawing.digest) == "train"
    ]


def load_train(folder: Path, cache: Path | None = None, workers: int = 2) -> Drawings:
    """The training split, simplified once and kept in `cache`; about 20 MB."""
    files = [find_class(folder, word) for word in CLASSES]
    stamp = json.dumps([VERSION, TOLERANCE, *[(p.name, p.stat().st_size) for p in files]])
    name = f"quickdraw-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}.npz"
    if cache is not None and (cache / name).exists():
        with np.load(cache / name) as kept:
            return Drawings(**kept)
    with pool_of(workers) as pool:
        parts = list(pool.map(_simplified, [folder] * len(CLASSES), CLASSES))
    for word, part in zip(CLASSES, parts, strict=True):
        if not part:
            raise ValueError(
                f"no readable training drawing of {word!r} in {folder}: fetch it again"
            )
    drawings = [drawing for part in parts for drawing in part]
    strokes = [stroke for drawing in drawings for stroke in drawing]
    arrays = {
        "points": np.concatenate(strokes, 1).T.astype(np.float32),
        "strokes": np.cumsum([0, *[stroke.shape[1] for stroke in strokes]]),
        "first": np.cumsum([0, *[len(drawing) for drawing in drawings]])[:-1],
        "label": np.repeat(np.arange(len(CLASSES)), [len(part) for part in parts]),
    }
    if cache is not None:
        with atomic_write(cache / name) as file:
            np.savez(file, **arrays)
    return Drawings(**arrays)
