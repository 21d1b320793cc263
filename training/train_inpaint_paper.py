"""Train the paper's inpainting CVAE as the baseline: `python training/train_inpaint_paper.py`.

Cosic et al.: BCE + 0.5 KL, then a four-layer discriminator, warmed up alone, in turn with the CVAE.
Done as the paper means it: sigma is exp(logvar / 2), and real and filled faces share one step.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from models.inpaint.cvae import FaceCVAE, FaceCVAEConfig
from training.data import celeba
from training.engine.cli import run_training
from training.engine.run_state import MetricLog, Resume, run_lock
from training.inpaint.dataset import Erased
from training.likelihoods import bernoulli_nll


@dataclass(frozen=True)
class Config:
    """What one run does."""

    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    model: FaceCVAEConfig = FaceCVAEConfig()
    out_dir: Path = Path("runs/inpaint-paper/checkpoint")
    run_dir: Path = Path("runs/inpaint-paper")
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 3_000
    """Steps of the CVAE alone."""
    sharpen_steps: int = 3_000
    """Steps with the discriminator."""
    warm_share: float = 0.05
    """Of an epoch, in which the discriminator learns alone."""
    batch_size: int = 64
    lr: float = 2e-4
    recon_weight: float = 2.0
    kl_weight: float = 0.5
    adversarial_weight: float = 10.0
    seed: int = 0
    log_every: int = 50
    save_every: int = 500


def discriminator() -> nn.Sequential:
    """Four convolutions; a logit a face."""
    layers: list[nn.Module] = []
    for before, width in ((3, 64), (64, 128), (128, 256), (256, 512)):
        layers += [nn.Conv2d(before, width, 4, 2, 1)]
        layers += [nn.BatchNorm2d(width)] if before > 3 else []
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1))


def told_apart(critic: nn.Module, real: Tensor, drawn: Tensor) -> Tensor:
    """The discriminator's loss, both kinds in one batch."""
    logits = critic(torch.cat([real, drawn.detach()]))[:, 0]
    truth = torch.cat([torch.ones(len(real)), torch.zeros(len(drawn))]).to(logits)
    return F.binary_cross_entropy_with_logits(logits, truth)


def main(cfg: Config) -> None:
    """Train, resume, save."""
    with run_lock(cfg.run_dir, cfg.out_dir):
        train(cfg)


def train(cfg: Config) -> None:
    """The run itself."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    faces = celeba.load(cfg.data_dir / "celeba", "train", cfg.cache_dir.expanduser())
    attributes = ("Smiling", "Eyeglasses")
    erased = Erased(faces, cfg.model.image_size, cfg.batch_size, cfg.seed, attributes)
    torch.manual_seed(cfg.seed)
    model = FaceCVAE(cfg.model).to(device, memory_format=torch.channels_last)
    critic = discriminator().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), cfg.lr, (0.5, 0.999), fused=True)
    critic_optimizer = torch.optim.Adam(critic.parameters(), cfg.lr, (0.5, 0.999), fused=True)
    parts = {"model": model, "critic": critic, "optimizer": optimizer}
    parts["critic_optimizer"] = critic_optimizer
    aside = {"data_dir", "out_dir", "run_dir", "cache_dir"}
    resume = Resume(cfg.run_dir, cfg, aside, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start)

    total = cfg.steps + cfg.sharpen_steps
    warm = cfg.steps + int(cfg.warm_share * len(faces.images) / cfg.batch_size)
    began = time.perf_counter()
    bar = tqdm(erased.from_step(start, total), initial=start, total=total, mininterval=2)
    for step, whole in enumerate(bar, start):
        batch = whole.to(device)
        torch.manual_seed(hash((cfg.seed, step)))
        with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device.type)):
            out = model(batch.image * (1 - batch.mask), batch.told)
            drawn = torch.lerp(batch.image, out.logits.float().sigmoid(), batch.mask)
            recon = bernoulli_nll(out.logits.float(), batch.image).mean()
            kl = out.posterior.kl().mean()
            terms = {"recon": recon, "kl": kl, "loss": recon + cfg.kl_weight * kl}
            if step >= cfg.steps:
                terms["critic"] = told_apart(critic, batch.image, drawn)
                critic_optimizer.zero_grad(set_to_none=True)
                terms["critic"].backward()
                critic_optimizer.step()
                fooling = F.softplus(-critic(drawn)[:, 0]).mean()
                terms["loss"] = (
                    cfg.recon_weight * recon + cfg.kl_weight * kl + cfg.adversarial_weight * fooling
                )
        if not cfg.steps <= step < warm:
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            optimizer.step()
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            values = {name: float(term.detach()) for name, term in terms.items()}
            log.write(step, **values, images_per_s=cfg.batch_size * done / now, seconds=now)
        if done % cfg.save_every == 0 or done == total:
            checkpoint.save(cfg.out_dir, model)
            resume.save(done, now)  # last: what a kill cuts short is done again


if __name__ == "__main__":
    run_training(main, Config)
