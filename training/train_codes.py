"""Train a VQ-VAE: `python training/train_codes.py --kind digits --data-dir DIR`.

Three kinds: digits (MNIST), sketches (Quick, Draw!), faces (CelebA). Stop it in any way and start
the same command again: it goes on as if it had never stopped.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from models import checkpoint
from models.codes import VQVAE, CodesConfig
from training import common
from training.codebook import CodebookAverage, perplexity, usage_loss, vq_loss
from training.data import pictures
from training.data.pictures import Kind

SIZES: dict[Kind, CodesConfig] = {
    "digits": CodesConfig(28, 1, (32, 64), 2, 64, 16, pictures.NAMES["digits"]),
    "sketches": CodesConfig(64, 1, (32, 64, 96), 2, 128, 16, pictures.NAMES["sketches"]),
    "faces": CodesConfig(64, 3, (64, 128), 2, 256, 16),
}


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    kind: Kind = "digits"
    data_dir: Path = Path("data")
    """Folder that holds MNIST/, quickdraw/, celeba/."""
    model: CodesConfig | None = None
    """The kind's own where None."""
    out_dir: Path | None = None
    """checkpoints/codes-KIND where None."""
    run_dir: Path | None = None
    """runs/codes-KIND where None: resume state, metrics.jsonl, picture grids."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 4_000
    batch_size: int = 64
    lr: float = 1e-3
    beta: float = 0.25
    """Weight of the commitment term."""
    average: bool = True
    """The codebook as moving averages; otherwise by its gradient."""
    decay: float = 0.99
    """Of those averages, a step."""
    usage_weight: float = 0.02
    """Of keeping all codes in use, per nat."""
    softness: float = 1.0
    """Of the assignments in that term, in units of the mean square distance to the codebook."""
    revive_every: int = 100
    """Steps between looks at codes that nobody uses, in the first 80 % of the run."""
    least_use: float = 0.1
    """Of the mean use: codes below are put elsewhere."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 500


def main(cfg: Config) -> None:
    """Train, resume, save."""
    with common.locked(cfg.run_dir or Path(f"runs/codes-{cfg.kind}")) as _:
        train(cfg)


def terms_of(cfg: Config, model: VQVAE, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], ...]:
    """Named terms, the loss among them, and what came out; reconstruction in nats/pixel."""
    out = model(x)
    recon = F.binary_cross_entropy_with_logits(out.logits, x)
    terms = {"recon": recon} | vq_loss(out, cfg.beta)
    if cfg.average:
        del terms["codebook"]
    loss = sum(terms.values())
    terms["usage"] = usage_loss(out.z_e, model.codebook, cfg.softness)
    return {"loss": loss + cfg.usage_weight * terms["usage"]} | terms, out


def train(cfg: Config) -> None:
    """The run itself."""
    run_dir = cfg.run_dir or Path(f"runs/codes-{cfg.kind}")
    out_dir = cfg.out_dir or Path(f"checkpoints/codes-{cfg.kind}")
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
    parts = {"model": model, "average": average, "optimizer": optimizer}
    ema, start, seconds = common.EMA(model), 0, 0.0
    paths = {"data_dir", "out_dir", "run_dir", "cache_dir"}
    identity = {k: v for k, v in asdict(cfg).items() if k not in paths}
    state = common.load_state(run_dir / "state.pt", identity)
    if state:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        ema.network.load_state_dict(state["ema"])
        start, seconds = state["step"], state["seconds"]
    log = common.MetricLog(run_dir / "metrics.jsonl", start)

    bar = tqdm(total=cfg.steps, initial=start, mininterval=2)
    began = time.perf_counter()
    for step in range(start, cfg.steps):
        rng = np.random.default_rng((cfg.seed, step))
        x = pictures.batch(images, cfg.kind, cfg.batch_size, rng)
        x = x.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=common.has_fast_bf16()):
            terms, out = terms_of(cfg, model, x)
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = common.learning_rate(step, cfg.steps, cfg.lr)
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
            use = perplexity(torch.bincount(out.codes.flatten(), minlength=settings.codes).float())
            speed = cfg.batch_size * done / now
            log.write(step, **values, perplexity=use, images_per_s=speed, seconds=now)
            bar.set_postfix(loss=f"{values['loss']:.4f}", perplexity=f"{use:.0f}")
        if done % cfg.save_every == 0 or done == cfg.steps:
            states = {name: part.state_dict() for name, part in parts.items()}
            progress = {"config": identity, "step": done, "seconds": now}
            common.save_state(
                run_dir / "state.pt", progress | states | {"ema": ema.network.state_dict()}
            )
            with ema.in_place_of(model):
                preview(model, x, run_dir / f"{done:06d}.png")
                checkpoint.save(out_dir, model, card=card(cfg, done, now))
    bar.close()


@torch.inference_mode()
def preview(model: VQVAE, x: torch.Tensor, path: Path) -> None:
    """A grid: pictures, and what their codes decode to."""
    some = x[:12].float().cpu().contiguous()
    again = model.decode(model.encode(x[:12].float())).cpu()
    rows = [part.expand(-1, 3, -1, -1) for part in (some, again)]
    common.save_faces(path, rows)


def card(cfg: Config, steps: int, seconds: float) -> str:
    """The model card: what made these weights, and what they are for."""
    faces = cfg.kind == "faces"
    licence = "other\nlicense_name: celeba-non-commercial-research" if faces else "cc-by-4.0"
    data = {
        "digits": "MNIST (LeCun et al., CC BY-SA 3.0)",
        "sketches": 'Google\'s "Quick, Draw!" (CC BY 4.0), 24 classes',
        "faces": "CelebA (Liu et al. 2015), for non-commercial research only; so are these weights",
    }
    return f"""---
license: {licence}
library_name: pytorch
tags: [vq-vae, {cfg.kind}]
---
# Latent Studio: codes of {cfg.kind}

A VQ-VAE: pictures as grids of codes, and back.

- Data: {data[cfg.kind]}.
- Command: `python training/train_codes.py --kind {cfg.kind} --seed {cfg.seed}`
- Last run: {steps} steps of {cfg.batch_size} pictures, {seconds / 60:.0f} minutes.
- Figures: metrics.json.
"""


if __name__ == "__main__":
    common.run(main, Config)
