"""Train a judge of drawings: `python training/train_judge.py --data-dir DIR` (minutes).

Of sketches, or (`--kind digits --out checkpoints/codes-judge/model.safetensors`) of MNIST's digits,
enlarged to as many pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save
from torch.nn import functional as F
from tqdm import tqdm

from training.data import mnist, quickdraw
from training.engine.cli import has_fast_bfloat16, run
from training.engine.run_state import atomic_write, run_lock
from training.engine.schedules import EMA, warmup_cosine
from training.judge import SketchJudge, load_judge
from training.sketch.dataset import CompletionDataset


@dataclass(frozen=True)
class Config:
    """What one run does."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/ and MNIST/."""
    kind: Literal["sketches", "digits"] = "sketches"
    out: Path = Path("checkpoints/sketch-judge/model.safetensors")
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 1_500
    batch_size: int = 128
    lr: float = 2e-3
    seed: int = 1


def batches(cfg: Config) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ink 0..255 (b, 64, 64) of whole pictures, and labels."""
    if cfg.kind == "sketches":
        data = quickdraw.load_train(cfg.data_dir / "quickdraw", cfg.cache_dir.expanduser())
        examples = CompletionDataset(
            data, cfg.batch_size, cfg.seed, cfg.steps, max_points=1, render_full=True
        )
        yield from ((batch.x, batch.label) for batch in examples.from_step(0))
        return
    images, labels = mnist.load(cfg.data_dir, "train")
    rng = np.random.default_rng(cfg.seed)
    for _ in range(cfg.steps):
        pick = rng.integers(0, len(images), cfg.batch_size)
        move = tuple(rng.integers(-4, 5, 2))
        x = np.roll(mnist.enlarged(images[pick]), move, (1, 2))
        yield torch.from_numpy(x), torch.from_numpy(labels[pick])


def main(cfg: Config) -> None:
    """Train and save."""
    with run_lock(cfg.out.parent):
        train(cfg)


def train(cfg: Config) -> None:
    """Train on real whole pictures, binarised; print the accuracy on the valid split."""
    torch.manual_seed(cfg.seed)
    classes = len(quickdraw.CLASSES if cfg.kind == "sketches" else mnist.NAMES)
    judge = SketchJudge(classes).to(memory_format=torch.channels_last)
    ema = EMA(judge)
    optimizer = torch.optim.AdamW(judge.parameters(), cfg.lr, weight_decay=0.05, fused=True)
    bar = tqdm(batches(cfg), desc="judge", total=cfg.steps, mininterval=5)
    for step, (x, label) in enumerate(bar):
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            logits = judge(x[:, None].gt(127).float()).logits
        loss = F.cross_entropy(logits, label, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, cfg.steps, cfg.lr)
        optimizer.step()
        ema.update(judge, step)
        if step % 50 == 0:
            bar.set_postfix(loss=f"{float(loss.detach()):.3f}")
    weights = {name: v.half().contiguous() for name, v in ema.network.state_dict().items()}
    with atomic_write(cfg.out) as file:
        file.write(save(weights))
    if cfg.kind == "sketches":
        full, _, label = quickdraw.rasterize_split(cfg.data_dir / "quickdraw", "valid")
    else:
        digits, label = mnist.load(cfg.data_dir, "valid")
        full = mnist.enlarged(digits)
    logits, _ = load_judge(cfg.out).judge(full)
    bar.write(f"valid accuracy {(logits.argmax(1) == label).mean():.4f} on {len(label)} pictures")


if __name__ == "__main__":
    run(main, Config)
