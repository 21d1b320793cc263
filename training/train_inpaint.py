"""Train the face inpainter on CelebA: `python training/train_inpaint.py --recipe released`.

A conditional VAE, first at half the pictures' size, then at the full one with a discriminator. Stop
it in any way and start the same command again: it goes on as if it had never stopped.
"""

import time
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import AutocastKwargs
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import parametrize
from tqdm import tqdm

from models import checkpoint
from models.inpaint.model import Inpainter
from training.data import celeba
from training.discriminator_blocks import STAGES
from training.engine.accelerator import make_accelerator
from training.engine.cli import run_training
from training.engine.cuda_graphs import CapturedStep
from training.engine.distributed import average_gradients
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA, warmup_cosine
from training.imagenet_features import load_imagenet_features
from training.inpaint.config import IGNORED, RELEASED, Config, card, preview
from training.inpaint.dataset import InpaintDataset, TrainingBatch
from training.inpaint.discriminator import InpaintDiscriminator
from training.inpaint.losses import (
    adversarial_loss,
    auxiliary_loss,
    compose,
    discriminator_loss,
    generator_loss,
    look,
)


class Phase(NamedTuple):
    """What a step consists of; each is a CUDA graph of its own."""

    half_size: bool
    judged: bool
    """Whether the discriminator learns."""
    heard: bool
    """Whether the inpainter learns from it."""


class StepInputs(NamedTuple):
    """What changes from step to step."""

    batch: TrainingBatch
    lr: Float[Tensor, ""]
    d_lr: Float[Tensor, ""]
    adversarial_weight: Float[Tensor, ""]


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
    with acc.main_process_first():
        faces = celeba.load(cfg.data_dir / "celeba", "train", cfg.cache_dir.expanduser())
    dataset = InpaintDataset(
        faces, cfg.model.image_size, cfg.batch_size, cfg.seed, cfg.model.attributes
    )

    torch.manual_seed(cfg.seed)
    network = Inpainter(cfg.model)
    discriminator = InpaintDiscriminator(len(cfg.model.attributes))
    features = load_imagenet_features(STAGES)
    for part in (network, discriminator, features):
        part.to(acc.device, memory_format=torch.channels_last)
    optimizer, d_optimizer = (
        torch.optim.AdamW(
            part.parameters(),
            torch.tensor(cfg.lr),
            (0.5, 0.99),
            weight_decay=0.0,
            fused=True,
            capturable=acc.device.type == "cuda",
        )
        for part in (network, discriminator)
    )
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
    autocast = AutocastKwargs(cache_enabled=acc.device.type == "cpu")  # a graph has no cache

    def training_step(inputs: StepInputs, phase: Phase) -> dict[str, Tensor]:
        batch = inputs.batch
        image, mask, attributes = batch.faces.image, batch.faces.mask, batch.faces.attributes
        with acc.autocast(autocast):
            out = network(image, mask, attributes, batch.noise, batch.n_prior, phase.half_size)
        fills = compose(out, batch.faces)  # the membrane in float32
        with acc.autocast(autocast):
            if phase.half_size:
                maps = features(fills.face)
                with torch.no_grad():
                    own_maps = features(fills.image)
            else:
                fake = look(fills.face, batch, features)
                with torch.no_grad():
                    real = look(batch.real, batch, features)
                # the real faces of reconstructions are the faces themselves
                maps, own_maps = fake.maps, real.maps
        losses = {}
        if phase.judged:
            with acc.autocast(autocast), parametrize.cached():
                losses["discriminator"] = discriminator_loss(fake, real, batch, discriminator)
            d_optimizer.zero_grad(set_to_none=True)
            acc.backward(losses["discriminator"])
            average_gradients(acc, discriminator)
            d_optimizer.param_groups[0]["lr"] = inputs.d_lr
            d_optimizer.step()

        with acc.autocast(autocast):
            losses |= generator_loss(cfg, out, fills, batch, (maps, own_maps))
            auxiliary = auxiliary_loss(network, batch)
            if phase.heard:
                discriminator.eval().requires_grad_(False)
                losses["adversarial"] = adversarial_loss(fake, batch, discriminator)
                discriminator.train().requires_grad_(True)
                losses["loss"] = losses["loss"] + inputs.adversarial_weight * losses["adversarial"]
        losses |= auxiliary
        losses["loss"] = losses["loss"] + cfg.auxiliary_weight * sum(auxiliary.values())
        optimizer.zero_grad(set_to_none=True)
        acc.backward(losses["loss"])
        average_gradients(acc, network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = inputs.lr
        optimizer.step()
        return {name: value.detach() for name, value in losses.items()}

    captured: dict[Phase, CapturedStep] = {}
    bar = tqdm(total=cfg.steps, initial=start, disable=not acc.is_main_process, mininterval=2)
    latest: dict[str, Tensor] = {}
    began = time.perf_counter()
    batches = dataset.batches(range(start, cfg.steps), cfg.model.latent_dim, cfg.workers)
    for step, whole in batches:
        heard = min(1.0, max(0, step + 1 - cfg.adversarial_from) / cfg.adversarial_ramp)
        phase = Phase(
            step < cfg.half_size_steps,
            step >= cfg.adversarial_from - cfg.discriminator_warmup,
            heard > 0,
        )
        numbers = (
            warmup_cosine(step, cfg.steps, cfg.lr),
            warmup_cosine(step, cfg.steps, cfg.discriminator_lr),
            heard * cfg.adversarial_weight,
        )
        inputs = StepInputs(
            whole.shard(acc.process_index, acc.num_processes), *map(torch.tensor, numbers)
        )
        torch.manual_seed(hash((cfg.seed, step)) + acc.process_index)  # of dropout
        if phase not in captured:
            captured[phase] = CapturedStep(partial(training_step, phase=phase), acc.device)
        latest |= captured[phase](inputs)
        ema.update(network, step, cfg.ema_decay)

        bar.update()
        if not acc.is_main_process:
            continue
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            values = {name: float(value) for name, value in latest.items()}
            speed = cfg.batch_size * done / now
            log.write(step, **values, images_per_s=speed, seconds=now)
            bar.set_postfix(loss=f"{values['loss']:.2f}", images_per_s=f"{speed:.0f}")
        if done % cfg.save_every == 0 or done == cfg.steps:
            with ema.in_place_of(network):
                preview(network, whole.faces, cfg.run_dir / f"{done:06d}.png")
                checkpoint.save(cfg.out_dir, network, card=card(cfg, done, now))
            resume.save(done, now)  # last: what a kill cuts short is done again
            latest.clear()  # a resumed run does not know older values either
    bar.close()
    acc.wait_for_everyone()


if __name__ == "__main__":
    run_training(main, Config, RELEASED)
