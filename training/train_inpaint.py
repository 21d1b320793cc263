"""Train the face inpainter on CelebA: `python training/train_inpaint.py --data-dir DIR`.

Stage one is a conditional VAE; in stage two a critic sharpens it. Stop it in any way and start the
same command again: it goes on as if it had never stopped.
"""

import time

import numpy as np
import torch
from tqdm import tqdm

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from training.data import celeba
from training.engine.cli import run_training
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA
from training.inpaint.config import (
    Config,
    asked,
    blend,
    card,
    critic_of,
    learning_rates,
    network_of,
    preview,
)
from training.inpaint.dataset import Erased
from training.inpaint.discriminator import Panel
from training.inpaint.losses import turn


def main(cfg: Config) -> None:
    """Train, resume, save."""
    with run_lock(cfg.run_dir, cfg.out_dir):
        train(cfg)


def train(cfg: Config) -> None:
    """The run itself."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = cfg.precision == "bf16" or (cfg.precision == "auto" and has_fast_bfloat16(device.type))
    tutors = [
        checkpoint.load(path).requires_grad_(False).to(device, memory_format=torch.channels_last)
        for path in cfg.tutors
    ]
    faces = celeba.load(cfg.data_dir / "celeba", "train", cfg.cache_dir.expanduser())
    erased = Erased(faces, cfg.model.image_size, cfg.batch_size, cfg.seed, cfg.model.attributes)

    torch.manual_seed(cfg.seed)
    network = network_of(cfg).to(device, memory_format=torch.channels_last)
    critic = critic_of(cfg, tutors[0]).to(device, memory_format=torch.channels_last)
    panel = Panel(critic, *tutors)
    optimizer = torch.optim.AdamW(network.parameters(), cfg.lr, (0.5, 0.99), fused=True)
    critic_optimizer = torch.optim.AdamW(critic.parameters(), cfg.lr, (0.0, 0.99), fused=True)
    ema = EMA(network)
    parts = {
        "network": network,
        "critic": critic,
        "optimizer": optimizer,
        "critic_optimizer": critic_optimizer,
        "ema": ema,
    }
    aside = {"data_dir", "out_dir", "run_dir", "cache_dir", "tutors", "init"}
    resume = Resume(cfg.run_dir, cfg, aside, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start)

    total = cfg.steps + cfg.sharpen_steps
    bar = tqdm(total=total, initial=start, mininterval=2)
    latest: dict[str, torch.Tensor] = {}
    began = time.perf_counter()
    for step, batch in enumerate(erased.from_step(start, total), start):
        batch = batch.to(device)
        rng = np.random.default_rng((cfg.seed, step, 1))
        torch.manual_seed(hash((cfg.seed, step)))
        noise = torch.from_numpy(rng.standard_normal((len(batch.image), network.config.latent_dim)))
        noise = noise.float().to(device)
        free = 0 if step < cfg.steps else len(batch.image) // 2
        told = asked(batch, cfg.model.attributes, free, rng)
        for some, rate in zip(
            (optimizer, critic_optimizer), learning_rates(cfg, step), strict=True
        ):
            for group in some.param_groups:
                group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            terms = turn(cfg, network, panel, critic_optimizer, batch, told, noise, free, step)
        latest |= {name: term.detach() for name, term in terms.items()}
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        ema.update(network, step)
        bar.update()
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            values = {name: float(term) for name, term in latest.items()}
            speed = cfg.batch_size * done / now
            log.write(step, **values, images_per_s=speed, seconds=now)
            bar.set_postfix(loss=f"{values['loss']:.2f}", images_per_s=f"{speed:.0f}")
        if done % cfg.save_every == 0 or done in (cfg.steps, total):
            with ema.in_place_of(network):
                if done > cfg.steps > 0:
                    blend(network, cfg.run_dir / "stage-one", cfg.stage_one_share)
                preview(network, batch, cfg.run_dir / f"{done:06d}.png")
                checkpoint.save(cfg.out_dir, network, card=card(cfg, done, now))
                if done == cfg.steps:
                    checkpoint.save(cfg.run_dir / "stage-one", network)
            resume.save(done, now)  # last: what a kill cuts short is done again
            latest.clear()  # a run that goes on from here knows no older terms either
    bar.close()


if __name__ == "__main__":
    run_training(main, Config)
