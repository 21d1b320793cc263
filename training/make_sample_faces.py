"""Sample faces for the page, made up by the Faces model: `python training/make_sample_faces.py`.

No photograph goes into them. The last ones get synthetic glasses, for the page to remove.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models import checkpoint
from training.engine.cli import run
from training.engine.run_state import atomic_write
from training.inpaint.synthetic_glasses import composite_glasses, synthetic_glasses


@dataclass(frozen=True)
class Config:
    """What is generated."""

    checkpoint_dir: Path = Path("checkpoints/faces")
    out_dir: Path = Path("tabs/sample_faces")
    seeds: tuple[int, ...] = (1, 12, 42, 56, 29, 68, 72, 91)
    """One face each, chosen by eye."""
    glasses_seeds: tuple[tuple[int, int], ...] = ((21, 19), (57, 33))
    """Seeds of faces with synthetic glasses, and of these glasses."""
    temperature: float = 0.8
    side: int = 256
    """Px of the pictures that are written, upsampled from the network's."""


def add_glasses(face: Image.Image, seed: int) -> Image.Image:
    """The face wearing synthetic glasses."""
    glasses = synthetic_glasses(np.random.default_rng(seed), face.width)
    wearing = composite_glasses(np.asarray(face, np.float32) / 255, glasses)
    return Image.fromarray((wearing * 255).round().astype(np.uint8))


def main(cfg: Config) -> None:
    """Write one PNG for each seed; those of an earlier run are deleted."""
    seeds = (*cfg.seeds, *(seed for seed, _ in cfg.glasses_seeds))
    model = checkpoint.load(cfg.checkpoint_dir)
    generated = [model.sample(1, temperature=cfg.temperature, seed=seed)[0] for seed in seeds]
    cfg.out_dir.mkdir(parents=True, exist_ok=True)
    for old in cfg.out_dir.glob("face-*.png"):
        old.unlink()
    for i, face in enumerate(generated):
        pixels = (face * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        large = Image.fromarray(pixels).resize((cfg.side, cfg.side), Image.Resampling.BICUBIC)
        if i >= len(cfg.seeds):
            large = add_glasses(large, cfg.glasses_seeds[i - len(cfg.seeds)][1])
        with atomic_write(cfg.out_dir / f"face-{i:02}.png") as file:
            large.save(file, "PNG", optimize=True)


if __name__ == "__main__":
    run(main, Config)
