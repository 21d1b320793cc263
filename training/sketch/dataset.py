"""Training examples of sketch completion: a partial drawing and its missing strokes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.images import downsample, draw_strokes, to_ink
from models.sketch.tokens import END, Points, to_points
from training.data import stroke_crops
from training.data.quickdraw import TOLERANCE_PX, PackedDrawings, Split, read_split
from training.data.stroke_crops import Strokes

BATCHES_PER_GROUP = 8  # sampled together and sorted by length, so that batches need little padding


class Batch(NamedTuple):
    """Ink 0..255 (b, 64, 64) of full and partial drawings, missing points, labels, noise."""

    x: Tensor
    partial: Tensor
    points: Points
    label: Tensor
    noise: Tensor

    def shard(self, rank: int, processes: int, device: torch.device) -> "Batch":
        """The rows of one of several processes, on its device, ink (b, 1, 64, 64) in [0, 1]."""

        def rows(tensor: Tensor) -> Tensor:
            return tensor[rank::processes].to(device)

        x, y = (to_ink(rows(ink).cpu().numpy())[:, None].to(device) for ink in self[:2])
        points = Points(*map(rows, self.points))
        return Batch(x, y, points, rows(self.label), rows(self.noise))


def make_example(
    strokes: Strokes, rng: np.random.Generator
) -> tuple[Strokes, UInt8[np.ndarray, "64 64"], Strokes]:
    """The full drawing, the ink of a part of it, the missing strokes.

    Half of them stay in the data set's frame, the others are moved and scaled. 75 % keep the first
    part by arc length (half of these about 50 % of it), 10 % a subset of the strokes, 15 % lose a
    rectangle.
    """
    if rng.uniform() < 0.5:
        strokes = stroke_crops.random_placement(strokes, rng)
    kind = rng.uniform()
    if kind < 0.85:
        if kind < 0.75:
            about_half = rng.uniform() < 0.5
            fraction = rng.uniform(0.45, 0.55) if about_half else 0.1 + 0.8 * rng.beta(3, 3)
            kept, missing = stroke_crops.split_by_length(strokes, fraction)
        else:
            kept, missing = stroke_crops.random_subset(strokes, rng)
        return strokes, downsample(draw_strokes(kept)), missing
    low, high = stroke_crops.random_rectangle(strokes, rng)
    canvas = draw_strokes(strokes).copy()
    left, top = low.round().astype(int).clip(0)
    right, bottom = high.round().astype(int).clip(0)
    canvas[top:bottom, left:right] = 0
    return strokes, downsample(canvas), stroke_crops.clip_to_rectangle(strokes, low, high)


@dataclass(frozen=True)
class CompletionDataset(Dataset):
    """Item g is the g-th group of batches, a pure function of (seed, g).

    So a resumed run sees the batches that the uninterrupted run would have seen.
    """

    drawings: PackedDrawings
    batch_size: int
    seed: int
    steps: int
    max_points: int
    """Points after which a sequence is cut."""
    noise_dim: int = 0
    """Width of the noise, for the CVAE's posterior sample."""
    render_full: bool = False
    """Whether x is rendered; otherwise it is the partial drawing again."""

    def __len__(self) -> int:
        return -(-self.steps // BATCHES_PER_GROUP)

    def __getitem__(self, g: int) -> list[Batch]:
        rng = np.random.default_rng((self.seed, g))
        total = BATCHES_PER_GROUP * self.batch_size
        cumulative = np.cumsum(self.drawings.sampling_weights())
        chosen = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1], total), side="right")
        rows = []
        for i in chosen.tolist():
            full, partial, missing = make_example(self.drawings[i], rng)
            points = to_points(missing, self.max_points)
            x = downsample(draw_strokes(full)) if self.render_full else partial
            rows.append((x, partial, points, self.drawings.labels[i]))
        rows.sort(key=lambda row: len(row[2]))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + g)
        noise = torch.randn(total, self.noise_dim, generator=generator)
        batches = []
        for start in rng.permutation(BATCHES_PER_GROUP) * self.batch_size:
            part = slice(start, start + self.batch_size)
            x, y, points, labels = zip(*rows[part], strict=True)
            padded = np.full((self.batch_size, max(map(len, points)), 3), (END, 0, 0))
            for row, sequence in zip(padded, points, strict=True):
                row[: len(sequence)] = sequence
            ink = (torch.from_numpy(np.stack(pictures)) for pictures in (x, y))
            columns = Points(*torch.from_numpy(padded).unbind(-1))
            batches.append(Batch(*ink, columns, torch.tensor(labels), noise[part]))
        return batches

    def from_step(self, step: int) -> Iterator[Batch]:
        """Batches from number `step` on, made ahead by a worker process."""
        groups = range(step // BATCHES_PER_GROUP, len(self))
        loader = DataLoader(self, None, sampler=groups, num_workers=1, prefetch_factor=2)
        for g, group in zip(groups, loader, strict=True):
            for i, batch in enumerate(group):
                if step <= g * BATCHES_PER_GROUP + i < self.steps:
                    yield batch


def missing_points(
    folder: Path, split: Split, max_points: int, fraction: float = 0.5
) -> list[Int64[np.ndarray, "_ 3"]]:
    """Points missing from the partial drawings of `rasterize_split`, in the same order."""
    return [
        to_points(
            [
                stroke_crops.simplify(stroke, TOLERANCE_PX)
                for stroke in stroke_crops.split_by_length(strokes, fraction)[1]
            ],
            max_points,
        )
        for _, strokes in read_split(folder, split)
    ]
