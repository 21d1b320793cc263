"""Train a VQ-VAE: `python training/train_codes.py --kind digits --recipe released`.

Three kinds: digits (MNIST), sketches (Quick, Draw!), faces (CelebA). Stop it in any way and start
the same command again: it continues as if it had never stopped.
"""

import time
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm

from models import checkpoint
from models.codes.vqvae import VQVAE
from training.codes import dataset
from training.codes.codebook import EMACodebook, assignment_sums, perplexity
from training.codes.config import IGNORED, MODELS, RECIPES, Config, card, with_folders
from training.codes.evaluate import count_codes, save_reconstructions
from training.codes.losses import vqvae_loss
from training.engine.accelerator import make_accelerator
from training.engine.cli import run_training
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA, warmup_cosine
from training.imagenet_features import load_imagenet_features

PERCEPTUAL_STAGES = 5  # of the ImageNet network in whose features faces are compared


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    cfg = with_folders(cfg)
    acc = make_accelerator(cfg)
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)
    acc.end_training()


def train(cfg: Config, acc: Accelerator) -> None:
    """One loop: the network by its gradient, the codebook as a moving average."""
    features = None
    if cfg.kind == "faces" and cfg.perceptual_weight:
        features = load_imagenet_features(PERCEPTUAL_STAGES)
        features.to(acc.device, memory_format=torch.channels_last)
    settings = cfg.model or MODELS[cfg.kind]
    with acc.main_process_first():
        cache = cfg.cache_dir.expanduser()
        images, _ = dataset.load(cfg.kind, cfg.data_dir, "train", settings.image_size, cache)

    torch.manual_seed(cfg.seed)
    model = VQVAE(settings).to(acc.device, memory_format=torch.channels_last)
    model.codebook.requires_grad_(not cfg.ema_codebook)
    ema_codebook = EMACodebook(model.codebook, cfg.codebook_decay)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, cfg.lr, (0.9, 0.99), weight_decay=0.01, fused=True)
    ema = EMA(model)
    parts = {"model": model, "ema_codebook": ema_codebook, "optimizer": optimizer, "ema": ema}
    resume = Resume(cfg.run_dir, cfg, IGNORED, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start, acc)
    parallel = acc.prepare(model)
    average = partial(acc.reduce, reduction="mean")

    bar = tqdm(total=cfg.steps, initial=start, disable=not acc.is_main_process, mininterval=2)
    began = time.perf_counter()
    for step in range(start, cfg.steps):
        rng = np.random.default_rng((cfg.seed, step))
        x = dataset.sample_images(images, cfg.kind, cfg.batch_size, rng)
        x = x[acc.process_index :: acc.num_processes]
        x = x.to(acc.device, memory_format=torch.channels_last)

        with acc.autocast():
            out = parallel(x)
            losses = vqvae_loss(cfg, out, x, model.codebook, features, average)
        optimizer.zero_grad(set_to_none=True)
        acc.backward(losses["loss"])
        acc.clip_grad_norm_(trained, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, cfg.steps, cfg.lr)
        optimizer.step()

        counts, sums = acc.reduce(assignment_sums(out.z_e, out.codes, settings.num_codes), "sum")
        if cfg.ema_codebook:
            ema_codebook.update(model.codebook.data, counts, sums)
            if step % cfg.restart_every == 0 and step < 0.8 * cfg.steps:
                generator = torch.Generator().manual_seed(cfg.seed * 1_000_003 + step)
                z_e = acc.gather(out.z_e.detach())
                ema_codebook.restart_dead_codes(
                    model.codebook.data, z_e, cfg.dead_threshold, generator
                )
        ema.update(model, step)
        bar.update()

        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            values = {name: float(loss.detach()) for name, loss in losses.items()}
            values["perplexity"] = perplexity(counts)
            speed = cfg.batch_size * done / now
            log.write(step, **values, images_per_s=speed, seconds=now)
            bar.set_postfix(
                loss=f"{values['loss']:.4f}",
                perplexity=f"{values['perplexity']:.0f}",
                images_per_s=f"{speed:.0f}",
            )
        if acc.is_main_process and (done % cfg.save_every == 0 or done == cfg.steps):
            with ema.in_place_of(model):
                model.code_counts.copy_(count_codes(model, images[:10_000]))
                save_reconstructions(model, x, cfg.run_dir / f"{done:06d}.png")
                checkpoint.save(cfg.out_dir, model, card=card(cfg, done, now))
            resume.save(done, now)  # last: what is cut short by a kill is done again
    bar.close()
    acc.wait_for_everyone()


if __name__ == "__main__":
    run_training(main, Config, RECIPES)
