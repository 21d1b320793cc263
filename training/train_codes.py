"""Train a VQ-VAE: `python training/train_codes.py --kind digits --data-dir DIR`.

Three kinds: digits (MNIST), sketches (Quick, Draw!), faces (CelebA). Stop it in any way and start
the same command again: it goes on as if it had never stopped.
"""

import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from models.codes.vqvae import VQVAE
from training.codes import dataset as pictures
from training.codes.codebook import CodebookAverage, perplexity
from training.codes.config import SIZES, Config, card, preview, terms_of, uses
from training.engine.cli import run_training
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA, warmup_cosine


def main(cfg: Config) -> None:
    """Train, resume, save."""
    run_dir = cfg.run_dir or Path(f"runs/codes-{cfg.kind}")
    out_dir = cfg.out_dir or Path(f"checkpoints/codes-{cfg.kind}")
    with run_lock(run_dir, out_dir):
        train(cfg, run_dir, out_dir)


def train(cfg: Config, run_dir: Path, out_dir: Path) -> None:
    """The run itself."""
    settings = cfg.model or SIZES[cfg.kind]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cache = cfg.cache_dir.expanduser()
    images, _ = pictures.load(cfg.kind, cfg.data_dir, "train", settings.image_size, cache)

    torch.manual_seed(cfg.seed)
    model = VQVAE(settings).to(device, memory_format=torch.channels_last)
    model.codebook.requires_grad_(not cfg.average)
    average = CodebookAverage(model.codebook, cfg.decay)
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, cfg.lr, (0.9, 0.99), weight_decay=0.01, fused=True)
    ema = EMA(model)
    parts = {"model": model, "average": average, "optimizer": optimizer, "ema": ema}
    aside = {"data_dir", "out_dir", "run_dir", "cache_dir", "tutor"}
    resume = Resume(run_dir, cfg, aside, parts)
    start, seconds = resume.load()
    log = MetricLog(run_dir / "metrics.jsonl", start)

    tutor = None
    if cfg.kind == "faces":
        tutor = checkpoint.load(cfg.tutor).to(device, memory_format=torch.channels_last)
        tutor.requires_grad_(False)

    bar = tqdm(total=cfg.steps, initial=start, mininterval=2)
    began = time.perf_counter()
    for step in range(start, cfg.steps):
        rng = np.random.default_rng((cfg.seed, step))
        x = pictures.batch(images, cfg.kind, cfg.batch_size, rng)
        x = x.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device.type)):
            terms, out = terms_of(cfg, model, x, tutor)
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, cfg.steps, cfg.lr)
        optimizer.step()
        if cfg.average:
            average.update(model.codebook.data, out.z_e, out.codes)
            if step % cfg.revive_every == 0 and step < 0.8 * cfg.steps:
                generator = torch.Generator().manual_seed(cfg.seed * 1_000_003 + step)
                average.revive(model.codebook.data, out.z_e, cfg.least_use, generator)
        ema.update(model, step)
        bar.update()
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            values = {name: float(term.detach()) for name, term in terms.items()}
            use = perplexity(
                torch.bincount(out.codes.flatten(), minlength=settings.num_codes).float()
            )
            speed = cfg.batch_size * done / now
            log.write(step, **values, perplexity=use, images_per_s=speed, seconds=now)
            bar.set_postfix(loss=f"{values['loss']:.4f}", perplexity=f"{use:.0f}")
        if done % cfg.save_every == 0 or done == cfg.steps:
            with ema.in_place_of(model):
                model.code_counts.copy_(uses(model, images, device))
                preview(model, x, run_dir / f"{done:06d}.png")
                checkpoint.save(out_dir, model, card=card(cfg, done, now))
            resume.save(done, now)  # last: what a kill cuts short is done again
    bar.close()


if __name__ == "__main__":
    run_training(main, Config)
