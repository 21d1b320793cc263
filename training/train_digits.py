"""Train a model of digits: `python training/train_digits.py --recipe digits-vae --data-dir DIR`.

Six families; `--recipe` starts from the settings of a released checkpoint. Stop it in any way and
start the same command again: it goes on as if it had never stopped.
"""

from contextlib import nullcontext

import torch
from accelerate import Accelerator

from models import checkpoint
from models.digits.vq import VQ
from training.data import mnist
from training.digits import latent_map, losses
from training.digits.config import IGNORED, OBJECTIVES, RELEASED, Config, make_model
from training.digits.dataset import DigitDataset
from training.digits.discriminator import Discriminator
from training.digits.recording import Recorder, card
from training.engine.accelerator import make_accelerator
from training.engine.cli import run_training
from training.engine.run_state import Resume, run_lock
from training.engine.schedules import EMA, warmup_cosine


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    acc = make_accelerator(cfg)
    train = {"gan": train_gan, "vq": join_vq}.get(cfg.family, train_by_gradient)
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)
        acc.wait_for_everyone()
    acc.end_training()


def train_by_gradient(cfg: Config, acc: Accelerator) -> None:
    """Every family with one network and one loss: autoencoder, VAEs, diffusion."""
    data = mnist.load(cfg.data_dir, "train")
    dataset, objective = DigitDataset(*data, cfg.seed), OBJECTIVES[cfg.family]
    torch.manual_seed(cfg.seed)
    model = make_model(cfg).to(acc.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), cfg.lr, (0.9, 0.99), weight_decay=cfg.weight_decay, fused=True
    )
    ema = EMA(model)
    resume = Resume(cfg.run_dir, cfg, IGNORED, {"model": model, "optimizer": optimizer, "ema": ema})
    start, seconds = resume.load()
    recorder = Recorder(cfg, data, (start, seconds), acc)
    network = acc.prepare(model)

    for step in range(start, cfg.steps):
        batch = dataset.batch(
            step, cfg.batch_size, acc.device, acc.process_index, acc.num_processes
        )
        with acc.autocast():
            terms = objective(cfg, network, model, batch, step)
        optimizer.zero_grad(set_to_none=True)
        acc.backward(terms["loss"])
        acc.clip_grad_norm_(model.parameters(), cfg.clip)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, cfg.steps, cfg.lr)
        optimizer.step()
        ema.update(model, step, cfg.ema_decay)
        recorder.after_step(step + 1, terms, model, ema, resume)
    if acc.is_main_process and latent_map.is_plane(model):
        latent_map.write(cfg.out_dir, cfg.data_dir)


def train_gan(cfg: Config, acc: Accelerator) -> None:
    """Discriminator and generator in turn, one step each; the checkpoint holds the generator."""
    data = mnist.load(cfg.data_dir, "train")
    dataset = DigitDataset(*data, cfg.seed)
    torch.manual_seed(cfg.seed)
    model = make_model(cfg).to(acc.device, memory_format=torch.channels_last)
    critic = Discriminator(cfg.discriminator_width)
    critic = critic.to(acc.device, memory_format=torch.channels_last)
    betas = (0.0, 0.99)
    optimizer = torch.optim.AdamW(model.parameters(), cfg.lr, betas, weight_decay=0.0, fused=True)
    critic_optimizer = torch.optim.AdamW(
        critic.parameters(), cfg.discriminator_lr, betas, weight_decay=0.0, fused=True
    )
    ema = EMA(model)
    parts = {"model": model, "critic": critic, "optimizer": optimizer, "ema": ema}
    parts["critic_optimizer"] = critic_optimizer
    resume = Resume(cfg.run_dir, cfg, IGNORED, parts)
    start, seconds = resume.load()
    recorder = Recorder(cfg, data, (start, seconds), acc)
    generator, discriminator = acc.prepare(model, critic)

    for step in range(start, cfg.steps):
        batch = dataset.batch(
            step, cfg.batch_size, acc.device, acc.process_index, acc.num_processes
        )
        z = batch.noise.normal(model.config.latent_dim)
        fake_labels = batch.noise.integers(len(mnist.NAMES))
        for group, peak in zip(
            optimizer.param_groups + critic_optimizer.param_groups,
            (cfg.lr, cfg.discriminator_lr),
            strict=True,
        ):
            group["lr"] = warmup_cosine(step, cfg.steps, peak)

        with acc.autocast():
            fake = generator(z, fake_labels).sigmoid()
            real_logits = discriminator(batch.x, batch.labels)
            fake_logits = discriminator(fake.detach(), fake_labels)
            critic_loss = losses.discriminator_loss(real_logits, fake_logits)
        terms = {"discriminator": critic_loss}
        if step % cfg.r1_every == 0:
            penalty = losses.r1_penalty(discriminator, batch.x, batch.labels)
            critic_loss = critic_loss + 0.5 * cfg.r1_weight * cfg.r1_every * penalty
        critic_optimizer.zero_grad(set_to_none=True)
        acc.backward(critic_loss)
        critic_optimizer.step()

        with acc.autocast():
            generator_loss = losses.generator_loss(discriminator(fake, fake_labels))
        optimizer.zero_grad(set_to_none=True)
        acc.backward(generator_loss)
        optimizer.step()
        ema.update(model, step, cfg.ema_decay)
        recorder.after_step(step + 1, {"generator": generator_loss} | terms, model, ema, resume)


def join_vq(cfg: Config, acc: Accelerator) -> None:
    """No training: the codebook and the prior of the Codes demo, joined in one checkpoint."""
    model = VQ.from_networks(checkpoint.load(cfg.vqvae_dir), checkpoint.load(cfg.prior_dir))
    if acc.is_main_process:
        checkpoint.save(cfg.out_dir, model, card=card(cfg, 0, 0.0))


if __name__ == "__main__":
    run_training(main, Config, RELEASED)
