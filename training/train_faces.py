"""Train a VAE of faces: `python training/train_faces.py --recipe faces --data-dir DIR`.

`--recipe` starts from the settings of a released checkpoint. Stop it in any way and start the same
command again: it goes on as if it had never stopped.
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import AutocastKwargs
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from models.distributions import DiagonalGaussian
from models.faces.base import FaceModel
from models.faces.model import TwoStageVAE
from training.data import celeba
from training.discriminator_blocks import STAGES
from training.engine.accelerator import make_accelerator
from training.engine.cli import run_training
from training.engine.cuda_graphs import CapturedStep
from training.engine.distributed import average_gradients
from training.engine.run_state import Resume, run_lock
from training.engine.schedules import EMA, warmup_cosine
from training.faces import directions, losses, recording
from training.faces.config import CLASSES, IGNORED, RELEASED, Config, autoencoder_settings
from training.faces.dataset import FaceDataset, PriorBatch
from training.faces.discriminator import Augmentation, FaceDiscriminator
from training.imagenet_features import load_imagenet_features
from training.perceptual import perceptual_loss

PRIOR_BATCHES = 4  # the prior's batch over the autoencoder's
ADVERSARIAL_RAMP = 1_000  # steps
NLL_SIZE = 64  # px at which the likelihood is taken: finer detail is the other terms' to judge


class StepInputs(NamedTuple):
    """What changes from step to step of the autoencoder."""

    x: Float[Tensor, "b 3 s s"]
    noise: Float[Tensor, "b d"]
    augmentation: Augmentation
    lr: Float[Tensor, ""]
    critic_lr: Float[Tensor, ""]
    adversarial_weight: Float[Tensor, ""]


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    acc = make_accelerator(cfg)
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        cache = cfg.cache_dir.expanduser()
        train, valid = (celeba.load(cfg.data_dir / "celeba", s, cache) for s in ("train", "valid"))
        torch.manual_seed(cfg.seed)
        network = CLASSES[cfg.family].config_class(attributes=train.names)
        if cfg.family == "two-stage":
            network = replace(cfg.network, attributes=train.names)
        model = CLASSES[cfg.family](network)
        model = model.to(acc.device, memory_format=torch.channels_last)
        train_autoencoder = train_two_stage if cfg.family == "two-stage" else train_published
        seconds = train_autoencoder(
            cfg, acc, model, FaceDataset(train, network.image_size, cfg.seed)
        )
        encoded = directions.encode_all(model.eval(), train)
        labels = directions.labels_of(train)
        held_out = directions.encode_all(model, valid).mu, directions.labels_of(valid)
        directions.fit(model.directions, (encoded.mu, labels), held_out)
        directions.calibrate(model, valid)
        if isinstance(model, TwoStageVAE):
            mirrored = directions.encode_all(model, train, mirror=True)
            both = DiagonalGaussian(
                *(torch.cat(pair) for pair in zip(encoded, mirrored, strict=True))
            )
            seconds += train_prior(cfg, acc, model, both, torch.cat([labels, labels]))
        if acc.is_main_process:
            recording.preview_samples(model, cfg.run_dir / "samples.png", cfg.seed)
            recording.save(cfg, model, seconds)
        acc.wait_for_everyone()
    acc.end_training()


def rows_of(acc: Accelerator, count: int) -> slice:
    """The rows of this process of a batch of `count`."""
    share = count // acc.num_processes
    return slice(acc.process_index * share, (acc.process_index + 1) * share)


def train_published(cfg: Config, acc: Accelerator, model: FaceModel, data: FaceDataset) -> float:
    """Adam at a constant rate, as published; seconds of training."""
    optimizer = torch.optim.Adam(model.parameters(), cfg.lr, fused=True)
    parts = {"model": model, "optimizer": optimizer}
    resume = Resume(cfg.run_dir / "vae", autoencoder_settings(cfg), IGNORED, parts)
    start, seconds = resume.load()
    recorder = recording.Recorder(cfg, "vae", cfg.steps, (start, seconds), acc)
    network, rows = acc.prepare(model), rows_of(acc, cfg.batch_size)

    for step in range(start, cfg.steps):
        x, noise = data.batch(step, cfg.batch_size, model.config.latent_dim, rows)
        x, noise = x.to(acc.device), noise.to(acc.device)
        with acc.autocast():
            out = network(x, noise)
        terms = losses.published_elbo(out, x, cfg.beta)
        optimizer.zero_grad(set_to_none=True)
        acc.backward(terms["loss"])
        optimizer.step()
        seconds = recorder.after_step(step + 1, terms)
        if acc.is_main_process and ((step + 1) % cfg.save_every == 0 or step + 1 == cfg.steps):
            model.eval()
            path = cfg.run_dir / "vae" / f"{step + 1:06d}.png"
            recording.preview_reconstructions(model, x, path)
            model.train()
            resume.save(step + 1, seconds)
    return seconds


def train_two_stage(cfg: Config, acc: Accelerator, model: TwoStageVAE, data: FaceDataset) -> float:
    """The autoencoder by likelihood, ImageNet features and a discriminator; seconds of training."""
    torch.manual_seed(cfg.seed + 1)  # whatever was drawn for the prior
    features = load_imagenet_features(STAGES).to(acc.device, memory_format=torch.channels_last)
    critic = FaceDiscriminator().to(acc.device, memory_format=torch.channels_last)
    autoencoder = nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
    parameters = list(autoencoder.parameters())
    on_gpu = acc.device.type == "cuda"
    optimizer, critic_optimizer = (
        torch.optim.AdamW(
            part.parameters(),
            torch.tensor(cfg.lr),
            betas,
            weight_decay=0.0,
            fused=True,
            capturable=on_gpu,
        )
        for part, betas in ((autoencoder, (0.9, 0.99)), (critic, (0.5, 0.99)))
    )
    ema = EMA(autoencoder)
    parts = {"autoencoder": autoencoder, "critic": critic, "optimizer": optimizer, "ema": ema}
    parts["critic_optimizer"] = critic_optimizer
    resume = Resume(cfg.run_dir / "vae", autoencoder_settings(cfg), IGNORED, parts)
    start, seconds = resume.load()
    recorder = recording.Recorder(cfg, "vae", cfg.steps, (start, seconds), acc)
    rows, scale = rows_of(acc, cfg.batch_size), 3 * NLL_SIZE**2
    autocast = AutocastKwargs(cache_enabled=not on_gpu)  # a graph has no cache

    def training_step(inputs: StepInputs, judged: bool, heard: bool) -> dict[str, Tensor]:
        x = inputs.x
        with acc.autocast(autocast):
            out = model(x, inputs.noise)
            real, fake = inputs.augmentation(x), inputs.augmentation(out.image)
            with torch.no_grad():
                real_maps = features(real)
            fake_maps = features(fake)
            terms = {"perceptual": perceptual_loss(fake_maps, real_maps).mean()}
        if judged:
            with acc.autocast(autocast), parametrize.cached():
                real_logits = critic(real, real_maps)
                fake_logits = critic(fake.detach(), [m.detach() for m in fake_maps])
            terms["critic"] = losses.discriminator_hinge(real_logits, fake_logits)
            critic_optimizer.zero_grad(set_to_none=True)
            acc.backward(terms["critic"])
            average_gradients(acc, critic)
            critic_optimizer.param_groups[0]["lr"] = inputs.critic_lr
            critic_optimizer.step()

        small, target = (F.avg_pool2d(p, p.shape[-1] // NLL_SIZE) for p in (out.image, x))
        terms["nll"] = losses.pixel_nll(small, target)
        terms["kl"] = out.posterior.kl().mean()
        loss = (terms["nll"] + cfg.beta * terms["kl"]) / scale
        loss = loss + cfg.perceptual_weight * terms["perceptual"]
        if heard:
            critic.requires_grad_(False)
            with acc.autocast(autocast):
                terms["adversarial"] = losses.generator_hinge(critic(fake, fake_maps))
            critic.requires_grad_(True)
            loss = loss + inputs.adversarial_weight * terms["adversarial"]
        optimizer.zero_grad(set_to_none=True)
        acc.backward(loss)
        average_gradients(acc, autoencoder)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.param_groups[0]["lr"] = inputs.lr
        optimizer.step()
        return {"loss": loss.detach()} | {name: term.detach() for name, term in terms.items()}

    captured: dict[tuple[bool, bool], CapturedStep] = {}
    for step in range(start, cfg.steps):
        x, noise = data.batch(step, cfg.batch_size, model.config.latent_dim, rows)
        generator = torch.Generator().manual_seed(cfg.seed * 1_000_003 + step)
        heard = min(1.0, max(0, step - cfg.adversarial_from) / ADVERSARIAL_RAMP)
        numbers = (
            warmup_cosine(step, cfg.steps, cfg.lr),
            cfg.discriminator_lr,
            heard * cfg.adversarial_weight,
        )
        inputs = StepInputs(
            x, noise, Augmentation.draw(len(x), generator), *map(torch.tensor, numbers)
        )
        phase = step >= cfg.adversarial_from - cfg.discriminator_warmup, heard > 0
        if phase not in captured:
            each = partial(training_step, judged=phase[0], heard=phase[1])
            captured[phase] = CapturedStep(each, acc.device)
        terms = captured[phase](inputs)
        ema.update(autoencoder, step, cfg.ema_decay)

        seconds = recorder.after_step(step + 1, terms)
        if acc.is_main_process and ((step + 1) % cfg.save_every == 0 or step + 1 == cfg.steps):
            with ema.in_place_of(autoencoder):
                path = cfg.run_dir / "vae" / f"{step + 1:06d}.png"
                recording.preview_reconstructions(model, x, path)
            resume.save(step + 1, seconds)
    autoencoder.load_state_dict(ema.state_dict())
    return seconds


def train_prior(
    cfg: Config,
    acc: Accelerator,
    model: TwoStageVAE,
    encoded: DiagonalGaussian,
    labels: Tensor,
) -> float:
    """The prior by flow matching over encoded faces; seconds of training."""
    spread = encoded.sample(torch.zeros_like(encoded.mu))
    variance = spread.var(0) + encoded.logvar.exp().mean(0)
    model.latent_mean.copy_(spread.mean(0))
    model.latent_std.copy_(variance.sqrt())
    mean, std = model.latent_mean.cpu(), model.latent_std.cpu()
    unit = DiagonalGaussian((encoded.mu - mean) / std, encoded.logvar - 2 * std.log())
    prior, count = model.prior.train(), PRIOR_BATCHES * cfg.batch_size
    optimizer = torch.optim.AdamW(
        prior.parameters(), cfg.prior_lr, (0.9, 0.99), weight_decay=0.01, fused=True
    )
    ema = EMA(prior)
    resume = Resume(
        cfg.run_dir / "prior", cfg, IGNORED, {"prior": prior, "optimizer": optimizer, "ema": ema}
    )
    start, seconds = resume.load()
    recorder = recording.Recorder(cfg, "prior", cfg.prior_steps, (start, seconds), acc)
    rows, dropout = rows_of(acc, count), (cfg.p_attribute_dropout, cfg.p_unconditional)

    for step in range(start, cfg.prior_steps):
        batch = PriorBatch(unit, labels, count, dropout, (cfg.seed + 1, step))
        z, noise = (model.as_map(v[rows].to(acc.device)) for v in (batch.z, batch.noise))
        time, told = batch.time[rows].to(acc.device), batch.attributes[rows].to(acc.device)
        t = time[:, None, None, None]
        with acc.autocast():
            velocity = prior(t * z + (1 - t) * noise, time, told)
        loss = losses.flow_matching(velocity, z, noise)
        optimizer.zero_grad(set_to_none=True)
        acc.backward(loss)
        average_gradients(acc, prior)
        torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, cfg.prior_steps, cfg.prior_lr)
        optimizer.step()
        ema.update(prior, step, 0.999)
        seconds = recorder.after_step(step + 1, {"loss": loss})
        if acc.is_main_process and (
            (step + 1) % cfg.save_every == 0 or step + 1 == cfg.prior_steps
        ):
            resume.save(step + 1, seconds)
    prior.load_state_dict(ema.state_dict())
    model.eval()
    return seconds


if __name__ == "__main__":
    run_training(main, Config, RELEASED)
