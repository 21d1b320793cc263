"""Picture grids that a run writes beside its checkpoints."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from training.engine.run_state import atomic_write
from training.engine.torchvision_import import import_torchvision


def save_ink_grid(path: Path, rows: list[Float[Tensor, "n h w"]], scale: int = 2) -> None:
    """Write ink in [0, 1] as a PNG, black on white, one list entry a row, each pixel `scale` px."""
    ink = [row.repeat_interleave(scale, 1).repeat_interleave(scale, 2) for row in rows]
    save_rgb_grid(path, [1 - row[:, None].expand(-1, 3, -1, -1) for row in ink])


def save_rgb_grid(path: Path, rows: list[Float[Tensor, "n 3 h w"]]) -> None:
    """Write pictures in [0, 1] as a PNG, one list entry a row of the grid."""
    utils = import_torchvision().utils
    grid = utils.make_grid(torch.cat(rows).cpu(), nrow=len(rows[0]), padding=0)
    with atomic_write(path) as file:
        utils.save_image(grid, file, "PNG")
