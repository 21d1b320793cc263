"""Faces for the page, made up by our own inpainter: `python training/make_samples.py`.

A hole that is the whole picture is filled and blurred, then its parts are filled in turn, each
given the rest, as Gibbs sampling does: a face of parts that agree. No photograph goes into it.
The last ones get glasses painted on, for the page to take off.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from models import checkpoint
from models.face_alignment import REGIONS, Region
from models.inpaint.attributes import GLASSES, UNKNOWN, seeded_noise
from models.inpaint.model import Inpainter
from training.engine.cli import run
from training.engine.run_state import atomic_write
from training.inpaint import holes
from training.inpaint.synthetic_glasses import spectacles

ORDER = ("lower face", "glasses", "nose", "mouth", "eyes")
AROUND = (
    Region(0, 0, 20, 34),
    Region(0, 30, 20, 64),
    Region(0, 0, 34, 14),
    Region(30, 0, 64, 14),
    Region(0, 50, 34, 64),
    Region(30, 50, 64, 64),
    Region(46, 0, 64, 34),
    Region(46, 30, 64, 64),
)  # hair and what is behind
BLUR = 16  # px, the side of what is averaged of the first face


@dataclass(frozen=True)
class Config:
    """What is made."""

    checkpoint_dir: Path = Path("checkpoints/inpaint")
    out_dir: Path = Path("tabs/sample_faces")
    seeds: tuple[int, ...] = (1, 5, 17, 19, 41, 46, 49, 54)
    """One face each; chosen by eye."""
    worn: tuple[tuple[int, int], ...] = ((8, 19), (53, 33))
    """The same, of faces with painted glasses, and these glasses' seeds."""
    rounds: int = 3
    """Times that every part is filled again."""
    temperature: float = 1.25
    side: int = 256
    """Px of the pictures that are written, enlarged from the network's."""


@torch.inference_mode()
def faces(
    model: Inpainter, seeds: tuple[int, ...], rounds: int, temperature: float
) -> Float[Tensor, "n 3 s s"]:
    """One made-up face for each seed, which also says whether it smiles, is male, is young."""
    size, z = model.config.image_size, model.config.latent_dim
    names = model.config.attributes
    told = np.stack([np.random.default_rng(seed).integers(0, 2, len(names)) for seed in seeds])
    told = torch.from_numpy(told)
    told[:, names.index(GLASSES)] = UNKNOWN
    x = torch.full((len(seeds), 3, size, size), 0.5)
    parts = rounds * [*AROUND, *(REGIONS[name] for name in ORDER)]
    erased = [np.ones((size, size), bool), *(holes.fill(part, size) for part in parts)]
    for i, part in enumerate(erased):
        noise = torch.cat([seeded_noise(1, z, 1_000 * seed + i) for seed in seeds])
        mask = torch.from_numpy(part).float().expand(len(seeds), 1, size, size)
        x = model.fill(x, mask, told, noise, temperature)
        if i == 0:  # its colours and no more: the critic has taught nothing about whole faces
            x = F.interpolate(F.avg_pool2d(x, BLUR), scale_factor=BLUR, mode="bilinear")
    return x


def dressed(face: Image.Image, seed: int) -> Image.Image:
    """With glasses painted on."""
    glasses = spectacles(np.random.default_rng(seed), face.width).transpose(1, 2, 0)
    bare = np.asarray(face, np.float32) / 255
    worn = bare + (glasses[..., :3] - bare) * glasses[..., 3:]
    return Image.fromarray((worn * 255).round().astype(np.uint8))


def main(cfg: Config) -> None:
    """Write one PNG for each seed, and take those of an earlier run away."""
    seeds = (*cfg.seeds, *(seed for seed, _ in cfg.worn))
    made = faces(checkpoint.load(cfg.checkpoint_dir), seeds, cfg.rounds, cfg.temperature)
    cfg.out_dir.mkdir(parents=True, exist_ok=True)
    for old in cfg.out_dir.glob("face-*.png"):
        old.unlink()
    for i, face in enumerate(made):
        pixels = (face * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        large = Image.fromarray(pixels).resize((cfg.side, cfg.side), Image.Resampling.BICUBIC)
        if i >= len(cfg.seeds):
            large = dressed(large, cfg.worn[i - len(cfg.seeds)][1])
        with atomic_write(cfg.out_dir / f"face-{i:02}.png") as file:
            large.save(file, "PNG", optimize=True)


if __name__ == "__main__":
    run(main, Config)
