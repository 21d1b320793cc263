"""Train a prior over codes: `python training/train_codes_prior.py --kind digits --data-dir DIR`.

Needs the codebook of `train_codes.py --kind ...` first. Stop it in any way and start the same
command again: it goes on as if it had never stopped.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch.nn import functional as F
from tqdm import tqdm

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from models.codes.prior import UNCONDITIONAL, CodesPrior, CodesPriorConfig
from models.codes.vqvae import VQVAE
from training.codes import dataset as pictures
from training.codes.config import prior_card
from training.codes.dataset import Kind
from training.engine.cli import run_training
from training.engine.previews import save_rgb_grid
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA, warmup_cosine

SIZE = CodesPriorConfig()
DROPPED = 0.1  # of the labels are not told
IN_ORDER = 0.5  # of the grids are read row by row, the others in an order drawn at random


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    kind: Kind = "digits"
    data_dir: Path = Path("data")
    codes_dir: Path | None = None
    """The VQ-VAE; checkpoints/codes-KIND where None."""
    model: CodesPriorConfig = SIZE
    """Codes, grid and names become those of the VQ-VAE."""
    out_dir: Path | None = None
    """checkpoints/prior-KIND where None."""
    run_dir: Path | None = None
    """runs/prior-KIND where None."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 4_000
    batch_size: int = 64
    lr: float = 1e-3
    seed: int = 0
    log_every: int = 50
    save_every: int = 500


def encoded(model: VQVAE, images: np.ndarray) -> Int64[torch.Tensor, "n gh gw"]:
    """The codes of all pictures."""
    parts = [images[i : i + 256] for i in range(0, len(images), 256)]
    return torch.cat([model.encode(torch.from_numpy(p).float() / 255) for p in parts])


def orders(count: int, cells: int, rng: np.random.Generator) -> Int64[torch.Tensor, "b n"]:
    """The order in which each grid is read."""
    shuffled = rng.permuted(np.tile(np.arange(cells), (count, 1)), axis=1)
    plain = rng.uniform(size=(count, 1)) < IN_ORDER
    return torch.from_numpy(np.where(plain, np.arange(cells), shuffled))


def card(cfg: Config, steps: int, seconds: float) -> str:
    """The model card."""
    command = f"--kind {cfg.kind} --steps {cfg.steps} --seed {cfg.seed}"
    run = f"{steps} steps of {cfg.batch_size} grids, {seconds / 60:.0f} minutes"
    return prior_card(cfg.kind, command, run)


def main(cfg: Config) -> None:
    """Train, resume, save."""
    run_dir = cfg.run_dir or Path(f"runs/prior-{cfg.kind}")
    out_dir = cfg.out_dir or Path(f"checkpoints/prior-{cfg.kind}")
    with run_lock(run_dir, out_dir):
        train(cfg, run_dir, out_dir)


def train(cfg: Config, run_dir: Path, out_dir: Path) -> None:
    """The run itself."""
    book = checkpoint.load(cfg.codes_dir or Path(f"checkpoints/codes-{cfg.kind}"))
    shape, cache = book.config, cfg.cache_dir.expanduser()
    images, labels = pictures.load(cfg.kind, cfg.data_dir, "train", shape.image_size, cache)
    codes = encoded(book, images)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    torch.manual_seed(cfg.seed)
    settings = replace(
        cfg.model,
        num_codes=shape.num_codes,
        grid_size=shape.grid_size,
        class_names=shape.class_names,
    )
    model = CodesPrior(settings).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), cfg.lr, (0.9, 0.95), weight_decay=0.05, fused=True
    )
    ema = EMA(model)
    parts = {"model": model, "optimizer": optimizer, "ema": ema}
    aside = {"data_dir", "codes_dir", "out_dir", "run_dir", "cache_dir"}
    resume = Resume(run_dir, cfg, aside, parts)
    start, seconds = resume.load()
    log = MetricLog(run_dir / "metrics.jsonl", start)

    bar = tqdm(total=cfg.steps, initial=start, mininterval=2)
    began = time.perf_counter()
    for step in range(start, cfg.steps):
        rng = np.random.default_rng((cfg.seed, step))
        pick = rng.integers(0, len(codes), cfg.batch_size)
        label = np.where(rng.uniform(size=len(pick)) < DROPPED, UNCONDITIONAL, labels[pick])
        label = torch.from_numpy(
            label if shape.class_names else np.full_like(label, UNCONDITIONAL)
        ).to(device)
        order = orders(len(pick), shape.grid_size**2, rng).to(device)
        x = codes[pick].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device.type)):
            logits = model(x, label, order)
        loss = F.cross_entropy(logits.flatten(0, 1), x.flatten(1).gather(1, order).flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, cfg.steps, cfg.lr)
        optimizer.step()
        ema.update(model, step)
        bar.update()
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            nats, speed = float(loss.detach()), cfg.batch_size * done / now
            log.write(step, nats_per_code=nats, images_per_s=speed, seconds=now)
            bar.set_postfix(nats_per_code=f"{nats:.3f}", images_per_s=f"{speed:.0f}")
        if done % cfg.save_every == 0 or done == cfg.steps:
            with ema.in_place_of(model):
                checkpoint.save(out_dir, model, card=card(cfg, done, now))
                drawn = book.decode(model.sample(24, seed=step))
                save_rgb_grid(
                    run_dir / f"{done:06d}.png", list(drawn.expand(-1, 3, -1, -1).split(12))
                )
            resume.save(done, now)  # last: what a kill cuts short is done again
    bar.close()


if __name__ == "__main__":
    run_training(main, Config)
