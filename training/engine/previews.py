"""Picture grids that a run writes beside its checkpoints."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from training.engine.run_state import atomic_write


def save_ink_grid(path: Path, rows: list[Tensor], scale: int = 2) -> None:
    """Ink pictures (n, h, w) in [0, 1], one list entry a row, as a PNG: black on white."""
    ink = torch.cat([torch.cat(list(row), 1) for row in rows], 0).clamp(0, 1)
    picture = Image.fromarray((255 - ink * 255).round().byte().numpy())
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.NEAREST)
    with atomic_write(path) as file:
        picture.save(file, "PNG")


def save_rgb_grid(path: Path, rows: list[Tensor]) -> None:
    """Pictures (n, 3, h, w) in [0, 1], one list entry a row, as a PNG."""
    grid = torch.cat([torch.cat(list(row), 2) for row in rows], 1).clamp(0, 1)
    picture = Image.fromarray((grid * 255).round().byte().permute(1, 2, 0).contiguous().numpy())
    with atomic_write(path) as file:
        picture.save(file, "PNG")
