"""Train a classifier of faces: `python training/train_face_judge.py --data-dir DIR` (minutes).

Three times: the judge that the page and `evaluate_inpaint.py` ask, and the two tutors that the
inpainter learns from (`--out-dir checkpoints/inpaint-tutor --seed 2 --width 24`, and
`--out-dir checkpoints/inpaint-tutor-2 --seed 3`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from models import checkpoint
from models.classifiers import SIZE, FaceJudge, FaceJudgeConfig
from models.images import to_rgb
from training.data import celeba
from training.data.augment import jolted
from training.engine.cli import hardware, has_fast_bfloat16, run
from training.engine.run_state import run_lock
from training.engine.schedules import EMA, warmup_cosine

SHOWN = ("Smiling", "Eyeglasses", "Male", "Young")


@dataclass(frozen=True)
class Config:
    """What one run does."""

    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    out_dir: Path = Path("checkpoints/inpaint-judge")
    cache_dir: Path = Path("~/.cache/latent-studio")
    width: int = 32
    steps: int = 2_000
    batch_size: int = 96
    lr: float = 1.5e-3
    seed: int = 1


def augmented(faces: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Mirrored at random and `jolted`."""
    x = to_rgb(faces, SIZE)
    mirror = torch.from_numpy(rng.uniform(size=len(x)) < 0.5)
    x = torch.where(mirror[:, None, None, None], x.flip(3), x)
    return jolted(x, rng)


def card(cfg: Config) -> str:
    """The model card."""
    options = f"--out-dir {cfg.out_dir} --seed {cfg.seed} --width {cfg.width}"
    return f"""---
license: other
license_name: celeba-non-commercial-research
library_name: pytorch
tags: [image-classification, celeba]
---
# Latent Studio: {cfg.out_dir.name}

Says which of CelebA's 40 attributes a face of 64x64 px in CelebA's frame shows.

- Data: CelebA (Liu et al. 2015), for non-commercial research only; so are these weights.
- Command: `python training/train_face_judge.py {options}`
- Last run: {cfg.steps} steps of {cfg.batch_size} faces.
- Hardware: {hardware()}.
- For judging fills, not people: its words on a person are the data set's prejudices.
"""


def main(cfg: Config) -> None:
    """Train and save."""
    with run_lock(cfg.out_dir):
        train(cfg)


def train(cfg: Config) -> None:
    """Train on real faces; print the accuracy on the valid split."""
    torch.manual_seed(cfg.seed)
    rng = np.random.default_rng(cfg.seed)
    folder, cache = cfg.data_dir / "celeba", cfg.cache_dir.expanduser()
    faces = celeba.load(folder, "train", cache)
    judge = FaceJudge(FaceJudgeConfig(faces.names, cfg.width)).to(memory_format=torch.channels_last)
    ema = EMA(judge)
    optimizer = torch.optim.AdamW(judge.parameters(), cfg.lr, weight_decay=0.1, fused=True)
    truth = torch.from_numpy(faces.attributes).float()
    bar = tqdm(range(cfg.steps), desc="judge", mininterval=5)
    for step in bar:
        pick = faces.pick(rng, cfg.batch_size)
        x = augmented(faces.images[pick], rng).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            logits = judge(x).logits
        loss = F.binary_cross_entropy_with_logits(logits, truth[pick] * 0.94 + 0.03)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, cfg.steps, cfg.lr)
        optimizer.step()
        ema.update(judge, step)
        if step % 50 == 0:
            bar.set_postfix(loss=f"{float(loss.detach()):.3f}")
    with ema.in_place_of(judge):
        checkpoint.save(cfg.out_dir, judge, card=card(cfg))
    valid = celeba.load(folder, "valid", cache)
    logits, _ = checkpoint.load(cfg.out_dir).judge(valid.images)
    right = (logits > 0) == valid.attributes
    told = [f"{name} {right[:, valid.names.index(name)].mean():.3f}" for name in SHOWN]
    bar.write(f"valid accuracy: {', '.join(told)}, mean of all {right.mean():.3f}")


if __name__ == "__main__":
    run(main, Config)
