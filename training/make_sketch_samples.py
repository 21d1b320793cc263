"""Make the samples in the sketch model's card: `python training/make_sketch_samples.py`."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models import checkpoint
from models.images import rasterise
from models.sketch.model import SketchCompleter
from training.engine.cli import run
from training.engine.previews import save_ink_grid

RING = [round(2 * math.pi * i / 24, 3) for i in range(25)]  # rad
PARTIAL_DRAWINGS = {
    "cat": [[[40, 60, 90, 130, 170, 190], [120, 40, 90, 85, 90, 40]], [[40, 35], [120, 190]]],
    "sun": [[[128 + 45 * math.cos(a) for a in RING], [128 + 45 * math.sin(a) for a in RING]]],
    "face": [[[128 + 95 * math.cos(a) for a in RING], [128 + 95 * math.sin(a) for a in RING]]],
    "ice cream": [[[85, 128, 170], [120, 240, 120]]],
}  # label -> strokes on the canvas of 256 px


@dataclass(frozen=True)
class Config:
    """Which samples are made."""

    checkpoint_dir: Path = Path("checkpoints/sketch")
    count: int = 9
    """Completions of each partial drawing."""
    temperature: float = 0.7
    seed: int = 0


@torch.inference_mode()
def rows(model: SketchCompleter, cfg: Config) -> list[Tensor]:
    """A partial drawing and its completions for each label."""
    found = []
    for label, strokes in PARTIAL_DRAWINGS.items():
        partial = rasterise(strokes)
        samples = model.complete(partial, label, cfg.count, cfg.temperature, cfg.seed)
        found.append(torch.cat([partial[None], samples]))
    return found


def main(cfg: Config) -> None:
    """Write samples.png beside the weights."""
    samples = rows(checkpoint.load(cfg.checkpoint_dir), cfg)
    save_ink_grid(cfg.checkpoint_dir / "samples.png", samples, scale=1)


if __name__ == "__main__":
    run(main, Config)
