"""Drawings as people bring them: `python benchmarks/drawings.py --data-dir DIR`.

Halves of test drawings are rendered in eight ways, normalised, and completed; how often a
classifier sees the class in the completion should not depend on the way. Writes the rows into
metrics.json of `sketch` and docs/results.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from models import checkpoint
from models.images import CANVAS, to_ink
from models.line_extraction import extract_ink
from training.data import quickdraw
from training.data.stroke_crops import Strokes, split_by_length
from training.engine.cli import run
from training.release import results_table
from training.sketch.evaluate import complete_all


@dataclass(frozen=True)
class Config:
    """What is measured."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    checkpoint_dir: Path = Path("checkpoints/sketch")
    drawings: int = 200
    """Test drawings, spread over the classes."""
    completions: int = 4
    """Of each, with the label given."""


def render(
    strokes: Strokes, side: int, pen: float, ink: str, paper: str, extent: float = 1.0
) -> Image.Image:
    """Strokes with a round pen of `pen` px on a square page of which they cover a share."""
    factor = 2
    page = Image.new("RGB", (factor * side, factor * side), paper)
    draw, r = ImageDraw.Draw(page), factor * pen / 2
    scale = factor * side * extent / CANVAS
    for stroke in strokes:
        points = [tuple(point) for point in (stroke.T * scale)]
        if len(points) > 1:
            draw.line(points, fill=ink, width=max(1, round(2 * r)))
        for x, y in points:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    return page.resize((side, side), Image.Resampling.BOX)


def on_lit_paper(strokes: Strokes) -> Image.Image:
    """A photo of a pencil drawing on grey paper, darker towards a corner, with a little noise."""
    drawn = render(strokes, 1000, 8, "#303030", "white").convert("L")
    y, x = np.mgrid[0:1000, 0:1000] / 1000
    light = 0.82 - 0.3 * (0.6 * x + 0.4 * y)
    noise = np.random.default_rng(0).normal(0, 2.5, drawn.size)
    pixels = np.asarray(drawn, np.float32) * light + noise
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(0.8))


def on_transparent(strokes: Strokes) -> Image.Image:
    """White ink on transparent paper."""
    mask = render(strokes, 512, 24, "white", "black").convert("L")
    picture = Image.new("RGBA", mask.size, "white")
    picture.putalpha(mask)
    return picture


WAYS: dict[str, Callable[[Strokes], Image.Image]] = {
    "plain": lambda s: render(s, 256, 12, "black", "white"),
    "white on black": lambda s: render(s, 512, 24, "white", "black"),
    "white on transparent": on_transparent,
    "yellow pen": lambda s: render(s, 512, 24, "#ffd000", "white"),
    "pale grey pen": lambda s: render(s, 512, 16, "#b8b8b8", "white"),
    "2 px pen on 1,000 px": lambda s: render(s, 1000, 2, "black", "white"),
    "5 px pen on 1,000 px": lambda s: render(s, 1000, 5, "black", "white"),
    "unevenly lit paper": on_lit_paper,
    "small in a corner": lambda s: render(s, 1000, 6, "black", "white", 0.3),
}


def main(cfg: Config) -> None:
    """Measure each way and record it."""
    chosen = list(quickdraw.read_split(cfg.data_dir / "quickdraw", "test"))
    picks = np.random.default_rng(0).permutation(len(chosen))[: cfg.drawings]
    model = checkpoint.load(cfg.checkpoint_dir)
    classifier = checkpoint.load("sketch-classifier")
    labels = np.array([chosen[i][0] for i in picks])
    halves = [split_by_length(chosen[i][1], 0.5)[0] for i in picks]
    found = {}
    for way, picture_of in WAYS.items():
        refused, inks = 0, []
        for strokes in halves:
            try:
                inks.append(extract_ink(picture_of(strokes)))
            except ValueError:
                refused += 1
                inks.append(to_ink(np.zeros((64, 64), np.uint8)))
        partial = (torch.stack(inks) * 255).round().byte().numpy()
        names = [quickdraw.CLASSES[label] for label in labels]
        right = [
            (classifier.predict(complete_all(model, partial, names, seed))[0].argmax(1) == labels)
            for seed in range(cfg.completions)
        ]
        found[way] = {"top1": float(np.mean(right)), "refused": refused}
        print(f"{way:24} top-1 {found[way]['top1']:.3f}, refused {refused}", flush=True)
    metrics = {"as_pictures": {"drawings": len(halves), "ways": found}}
    results_table.record(cfg.checkpoint_dir, metrics)


if __name__ == "__main__":
    run(main, Config)
