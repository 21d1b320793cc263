"""Train the face inpainter on CelebA: `python training/train_inpaint.py --data-dir DIR`.

Stage one is a conditional VAE; stage two adds a discriminator. Stop it in any way and start the
same command again: it goes on as if it had never stopped.
"""

import time
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from models import checkpoint
from training.data import celeba
from training.engine.accelerator import make_accelerator
from training.engine.cli import run_training
from training.engine.distributed import average_gradients
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA
from training.inpaint.config import (
    IGNORED,
    Config,
    build_discriminator,
    build_network,
    card,
    interpolate_weights,
    learning_rates,
    preview,
)
from training.inpaint.dataset import InpaintDataset
from training.inpaint.losses import (
    auxiliary_loss,
    discriminator_loss,
    fill_and_classify,
    generator_loss,
    gradient_penalty,
)


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    acc = make_accelerator(cfg)
    if cfg.batch_size % (4 * acc.num_processes):
        raise ValueError(
            f"--batch-size {cfg.batch_size} must be a multiple of 4 for each of "
            f"{acc.num_processes} processes: choose a multiple of {4 * acc.num_processes}"
        )
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)
    acc.end_training()


def train(cfg: Config, acc: Accelerator) -> None:
    """The run itself."""
    classifiers = [
        checkpoint.load(path)
        .requires_grad_(False)
        .to(acc.device, memory_format=torch.channels_last)
        for path in cfg.classifiers
    ]
    with acc.main_process_first():
        faces = celeba.load(cfg.data_dir / "celeba", "train", cfg.cache_dir.expanduser())
    dataset = InpaintDataset(
        faces, cfg.model.image_size, cfg.batch_size, cfg.seed, cfg.model.attributes
    )

    torch.manual_seed(cfg.seed)
    network = build_network(cfg).to(acc.device, memory_format=torch.channels_last)
    discriminator = build_discriminator(cfg, classifiers[0])
    discriminator = discriminator.to(acc.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), cfg.lr, (0.5, 0.99), fused=True)
    d_optimizer = torch.optim.AdamW(discriminator.parameters(), cfg.lr, (0.0, 0.99), fused=True)
    ema = EMA(network)
    parts = {
        "network": network,
        "discriminator": discriminator,
        "optimizer": optimizer,
        "d_optimizer": d_optimizer,
        "ema": ema,
    }
    resume = Resume(cfg.run_dir, cfg, IGNORED, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start, acc)

    def logits_of(face: Tensor, mask: Tensor) -> Tensor:
        return discriminator(face, mask, classifiers[0](face).feature_maps).pool(mask)

    total = cfg.steps + cfg.gan_steps
    bar = tqdm(total=total, initial=start, disable=not acc.is_main_process, mininterval=2)
    latest: dict[str, Tensor] = {}
    began = time.perf_counter()
    for step in range(start, total):
        adversarial = step >= cfg.steps
        n_prior = cfg.batch_size // 2 if adversarial else 0
        batch = dataset.training_batch(step, n_prior, cfg.model.latent_dim)
        batch = batch.shard(acc.process_index, acc.num_processes).to(acc.device)
        torch.manual_seed(hash((cfg.seed, step)) + acc.process_index)  # of dropout
        lr, d_lr = learning_rates(cfg, step)

        with acc.autocast():
            image, mask, attributes = batch.faces.image, batch.faces.mask, batch.faces.attributes
            out = network(image, mask, attributes, batch.noise, batch.n_prior)
            fills = fill_and_classify(out, batch, classifiers[0])
        losses = {}
        if adversarial:
            with acc.autocast():
                d_loss = discriminator_loss(fills, batch, discriminator)
            losses["discriminator"] = d_loss
            if step % cfg.penalty_every == 0:
                quarter = slice(len(image) // 4)
                for name, face in (("r1", image), ("r2", fills.face)):
                    losses[name] = gradient_penalty(logits_of, face[quarter], mask[quarter])
                penalty = (losses["r1"] + losses["r2"]) / 2
                d_loss = d_loss + cfg.penalty_every * cfg.penalty_weight * penalty
            d_optimizer.zero_grad(set_to_none=True)
            acc.backward(d_loss)
            average_gradients(acc, discriminator)
            d_optimizer.param_groups[0]["lr"] = d_lr
            d_optimizer.step()

        discriminator.requires_grad_(False)
        with acc.autocast():
            losses |= generator_loss(cfg, out, fills, batch, discriminator, classifiers)
            auxiliary = auxiliary_loss(network, batch)
        losses |= auxiliary
        losses["loss"] = losses["loss"] + cfg.auxiliary_weight * sum(auxiliary.values())
        optimizer.zero_grad(set_to_none=True)
        acc.backward(losses["loss"])
        discriminator.requires_grad_(True)
        average_gradients(acc, network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        ema.update(network, step)

        latest |= {name: value.detach() for name, value in losses.items()}
        bar.update()
        if not acc.is_main_process:
            continue
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            values = {name: float(value) for name, value in latest.items()}
            speed = cfg.batch_size * done / now
            log.write(step, **values, images_per_s=speed, seconds=now)
            bar.set_postfix(loss=f"{values['loss']:.2f}", images_per_s=f"{speed:.0f}")
        if done % cfg.save_every == 0 or done in (cfg.steps, total):
            with ema.in_place_of(network):
                if done > cfg.steps > 0:
                    interpolate_weights(network, cfg.run_dir / "stage-one", cfg.cvae_fraction)
                preview(network, batch.faces, cfg.run_dir / f"{done:06d}.png")
                checkpoint.save(cfg.out_dir, network, card=card(cfg, done, now))
                if done == cfg.steps:
                    checkpoint.save(cfg.run_dir / "stage-one", network)
            resume.save(done, now)  # last: what a kill cuts short is done again
            latest.clear()  # a resumed run does not know older values either
    bar.close()
    acc.wait_for_everyone()


if __name__ == "__main__":
    run_training(main, Config)
