"""Train a prior over codes: `python training/train_codes_prior.py --kind digits --recipe released`.

Needs the VQ-VAE of `train_codes.py --kind ...` first. Stop it in any way and start the same command
again: it continues as if it had never stopped.
"""

import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn import functional as F
from tqdm import tqdm

from models import checkpoint
from models.codes.prior import CodesPrior
from training.codes import dataset
from training.codes.config import (
    PRIOR_IGNORED,
    PRIOR_RECIPES,
    PriorConfig,
    prior_card,
    with_folders,
)
from training.codes.evaluate import save_samples
from training.engine.accelerator import make_accelerator
from training.engine.cli import run_training
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA, warmup_cosine


def main(cfg: PriorConfig) -> None:
    """Train, resume, save; only the main process writes."""
    cfg = with_folders(cfg)
    acc = make_accelerator(cfg)
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)
    acc.end_training()


def train(cfg: PriorConfig, acc: Accelerator) -> None:
    """One loop: maximum likelihood of the codes of the training images."""
    vqvae = checkpoint.load(cfg.vqvae_dir)
    shape = vqvae.config
    with acc.main_process_first():
        cache = cfg.cache_dir.expanduser()
        images, labels = dataset.load(cfg.kind, cfg.data_dir, "train", shape.image_size, cache)
    if cfg.kind == "faces":  # there are few, and a mirrored one is another
        images = np.concatenate([images, images[..., ::-1]])
        labels = np.concatenate([labels, labels])
    codes = dataset.encode_all(vqvae, images)
    labels = labels if shape.class_names else None

    torch.manual_seed(cfg.seed)
    settings = replace(
        cfg.model,
        num_codes=shape.num_codes,
        grid_size=shape.grid_size,
        class_names=shape.class_names,
    )
    model = CodesPrior(settings).to(acc.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), cfg.lr, (0.9, 0.95), weight_decay=0.05, fused=True
    )
    ema = EMA(model)
    parts = {"model": model, "optimizer": optimizer, "ema": ema}
    resume = Resume(cfg.run_dir, cfg, PRIOR_IGNORED, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start, acc)
    parallel = acc.prepare(model)

    bar = tqdm(total=cfg.steps, initial=start, disable=not acc.is_main_process, mininterval=2)
    began = time.perf_counter()
    for step in range(start, cfg.steps):
        rng = np.random.default_rng((cfg.seed, step))
        batch = dataset.sample_grids(
            codes, labels, cfg.batch_size, cfg.p_label_dropout, cfg.p_raster_order, rng
        ).shard(acc.process_index, acc.num_processes, acc.device)

        with acc.autocast():
            logits = parallel(batch.codes, batch.label, batch.order)
        targets = batch.codes.flatten(1).gather(1, batch.order)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        acc.backward(loss)
        acc.clip_grad_norm_(model.parameters(), 1.0)
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
        if acc.is_main_process and (done % cfg.save_every == 0 or done == cfg.steps):
            with ema.in_place_of(model):
                save_samples(vqvae, model, cfg.run_dir / f"{done:06d}.png", seed=step)
                checkpoint.save(cfg.out_dir, model, card=prior_card(cfg, done, now))
            resume.save(done, now)  # last: what is cut short by a kill is done again
    bar.close()
    acc.wait_for_everyone()


if __name__ == "__main__":
    run_training(main, PriorConfig, PRIOR_RECIPES)
