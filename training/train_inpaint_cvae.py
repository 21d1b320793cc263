"""Train the paper's inpainting CVAE, the baseline: `python training/train_inpaint_cvae.py`.

Cosic et al.: cross-entropy + 0.5 KL; then with a four-layer discriminator, which is trained alone
first. As the paper means it: sigma is exp(logvar / 2), and real and filled faces share one
discriminator step. Batch normalisation uses each process's own part of a batch.
"""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from models import checkpoint
from models.inpaint.cvae import FaceCVAE, FaceCVAEConfig
from training.data import celeba
from training.engine.accelerator import Precision, Tracker, make_accelerator
from training.engine.cli import run_training
from training.engine.cuda_graphs import to_device
from training.engine.distributed import average_gradients
from training.engine.run_state import MetricLog, Resume, run_lock
from training.inpaint.dataset import InpaintDataset
from training.likelihoods import bernoulli_nll

ATTRIBUTES = ("Smiling", "Eyeglasses")
IGNORED = {"data_dir", "out_dir", "run_dir", "cache_dir", "tracker"}


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    model: FaceCVAEConfig = FaceCVAEConfig()
    out_dir: Path = Path("runs/inpaint-cvae/checkpoint")
    run_dir: Path = Path("runs/inpaint-cvae")
    """Resume state and metrics.jsonl; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 3_000
    """Steps of the CVAE alone."""
    gan_steps: int = 3_000
    """Steps with the discriminator."""
    warmup_epochs: float = 0.05
    """Epochs at their beginning in which only the discriminator is trained."""
    batch_size: int = 64
    """Faces a step, over all processes together."""
    lr: float = 2e-4
    recon_weight: float = 2.0
    """Weight of the cross-entropy in nats/image, with the discriminator; 1 without."""
    kl_weight: float = 0.5
    """Weight of KL(q || N(0, 1)), per nat."""
    adversarial_weight: float = 10.0
    precision: Precision = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    """Steps between resume states and written checkpoints."""


def build_discriminator() -> nn.Sequential:
    """Four convolutions; one logit a face."""
    layers: list[nn.Module] = []
    for c_in, c_out in ((3, 64), (64, 128), (128, 256), (256, 512)):
        layers += [nn.Conv2d(c_in, c_out, 4, 2, 1)]
        layers += [nn.BatchNorm2d(c_out)] if c_in > 3 else []
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1))


def discriminator_loss(discriminator: nn.Module, real: Tensor, fill: Tensor) -> Tensor:
    """Cross-entropy of real against filled faces, both in one batch."""
    logits = discriminator(torch.cat([real, fill.detach()]))[:, 0]
    target = torch.cat([torch.ones(len(real)), torch.zeros(len(fill))]).to(logits)
    return F.binary_cross_entropy_with_logits(logits, target)


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    acc = make_accelerator(cfg)
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)
    acc.end_training()


def train(cfg: Config, acc: Accelerator) -> None:
    """The run itself."""
    with acc.main_process_first():
        faces = celeba.load(cfg.data_dir / "celeba", "train", cfg.cache_dir.expanduser())
    dataset = InpaintDataset(faces, cfg.model.image_size, cfg.batch_size, cfg.seed, ATTRIBUTES)
    torch.manual_seed(cfg.seed)
    model = FaceCVAE(cfg.model).to(acc.device, memory_format=torch.channels_last)
    discriminator = build_discriminator().to(acc.device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), cfg.lr, (0.5, 0.999), fused=True)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), cfg.lr, (0.5, 0.999), fused=True)
    parts = {
        "model": model,
        "discriminator": discriminator,
        "optimizer": optimizer,
        "d_optimizer": d_optimizer,
    }
    resume = Resume(cfg.run_dir, cfg, IGNORED, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start, acc)

    total = cfg.steps + cfg.gan_steps
    warm = cfg.steps + int(cfg.warmup_epochs * len(faces.images) / cfg.batch_size)
    bar = tqdm(total=total, initial=start, disable=not acc.is_main_process, mininterval=2)
    began = time.perf_counter()
    for step in range(start, total):
        batch = to_device(dataset[step].shard(acc.process_index, acc.num_processes), acc.device)
        torch.manual_seed(hash((cfg.seed, step)))
        noise = torch.randn(cfg.batch_size, cfg.model.latent_dim)
        noise = noise[acc.process_index :: acc.num_processes].to(acc.device)

        with acc.autocast():
            out = model(batch.image * (1 - batch.mask), batch.attributes, noise)
            fill = torch.lerp(batch.image, out.logits.float().sigmoid(), batch.mask)
            recon = bernoulli_nll(out.logits.float(), batch.image).mean()
            kl = out.posterior.kl().mean()
        losses = {"recon": recon, "kl": kl, "loss": recon + cfg.kl_weight * kl}
        if step >= cfg.steps:
            with acc.autocast():
                losses["discriminator"] = discriminator_loss(discriminator, batch.image, fill)
            d_optimizer.zero_grad(set_to_none=True)
            acc.backward(losses["discriminator"])
            average_gradients(acc, discriminator)
            d_optimizer.step()
            with acc.autocast():
                losses["adversarial"] = F.softplus(-discriminator(fill)[:, 0]).mean()
            losses["loss"] = (
                cfg.recon_weight * recon
                + cfg.kl_weight * kl
                + cfg.adversarial_weight * losses["adversarial"]
            )
        if not cfg.steps <= step < warm:
            optimizer.zero_grad(set_to_none=True)
            acc.backward(losses["loss"])
            average_gradients(acc, model)
            optimizer.step()

        bar.update()
        if not acc.is_main_process:
            continue
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            values = {name: float(value.detach()) for name, value in losses.items()}
            log.write(step, **values, images_per_s=cfg.batch_size * done / now, seconds=now)
        if done % cfg.save_every == 0 or done == total:
            checkpoint.save(cfg.out_dir, model)
            resume.save(done, now)  # last: what a kill cuts short is done again
    bar.close()
    acc.wait_for_everyone()


if __name__ == "__main__":
    run_training(main, Config)
