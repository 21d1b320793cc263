"""A contact sheet of fills, always the same faces, holes and seeds: `make_contact_sheet.py`.

`python training/make_contact_sheet.py` shows faces that the Faces model made up, for the docs. With
`--data-dir DIR --out runs/contact-sheet.webp` it shows test photographs, for the trainer's eyes
only: CelebA's licence allows no publication.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from models import checkpoint
from models.face_alignment import REGIONS
from models.images import to_rgb
from models.inpaint.attributes import OFF, ON, UNKNOWN, seeded_noise
from training.data import celeba
from training.engine.cli import run
from training.engine.run_state import atomic_write
from training.inpaint.holes import region_mask

PARTS = ("mouth", "lower face", "eyes", "nose")  # in turn
# Attribute asked for and seed of each row of fills.
ROWS = ((UNKNOWN, 0), (UNKNOWN, 1), (ON, 0), (OFF, 0))
COLUMNS = 12
QUALITY = 88  # of the WebP


@dataclass(frozen=True)
class Config:
    """What is shown."""

    data_dir: Path | None = None
    """Folder that holds celeba/, for test photographs instead of made-up faces."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    checkpoint_dir: Path = Path("checkpoints/inpaint")
    faces_dir: Path = Path("checkpoints/faces")
    out: Path = Path("docs/inpaint-contact-sheet.webp")
    count: int = 24
    temperature: float = 0.8
    """Of the made-up faces."""


def load_faces(cfg: Config, size: int) -> Float[Tensor, "n 3 s s"]:
    """Test photographs, or faces made up from the seeds 100, 101, ..."""
    if cfg.data_dir is not None:
        faces = celeba.load(cfg.data_dir / "celeba", "test", cfg.cache_dir.expanduser())
        step = len(faces.images) // cfg.count
        return to_rgb(faces.images[::step][: cfg.count], size)
    model = checkpoint.load(cfg.faces_dir)
    made = [model.sample(1, temperature=cfg.temperature, seed=100 + i) for i in range(cfg.count)]
    return torch.cat(made)


@torch.inference_mode()
def contact_sheet(cfg: Config) -> Image.Image:
    """Blocks of rows: the masked face, a fill of each of `ROWS`, and the face itself."""
    model = checkpoint.load(cfg.checkpoint_dir)
    size, names = model.config.image_size, model.config.attributes
    faces = load_faces(cfg, size)
    parts = [REGIONS[PARTS[i % len(PARTS)]] for i in range(len(faces))]
    mask = torch.from_numpy(np.stack([region_mask(part, size) for part in parts]))[:, None].float()
    rows = [faces * (1 - mask) + 0.5 * mask]
    for smile, seed in ROWS:
        asked = torch.full((len(faces), len(names)), UNKNOWN)
        asked[:, names.index("Smiling")] = smile
        noise = seeded_noise(len(faces), model.config.latent_dim, seed)
        rows.append(model.sample(faces, mask, asked, noise))
    blocks = [part.split(COLUMNS) for part in [*rows, faces]]
    lines = [torch.cat(list(part), 2) for block in zip(*blocks, strict=True) for part in block]
    sheet = torch.cat(lines, 1)
    return Image.fromarray((sheet * 255).round().byte().permute(1, 2, 0).contiguous().numpy())


def main(cfg: Config) -> None:
    """Write the sheet."""
    if cfg.count < COLUMNS or cfg.count % COLUMNS:
        raise ValueError(f"count must be a multiple of {COLUMNS}: {cfg.count}")
    data = io.BytesIO()
    contact_sheet(cfg).save(data, "WebP", quality=QUALITY)
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(cfg.out) as file:
        file.write(data.getvalue())


if __name__ == "__main__":
    run(main, Config)
