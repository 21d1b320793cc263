"""Train the sketch completer on Quick, Draw!: `python training/train_sketch.py --data-dir DIR`.

Two phases for ours (the autoencoder's codes, then their prior), one for the paper's CVAE. Stop it in
any way and start the same command again: it goes on as if it had never stopped.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from models import checkpoint
from models.images import to_ink
from models.sketch import SketchCompleter, SketchConfig
from models.sketch_cvae import SketchCVAE
from training import common, losses
from training.data import fetch, quickdraw


@dataclass(frozen=True)
class Config:
    """What one run does; the same settings always give the same weights."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    download: bool = False
    """Fetch missing classes (about 2 GB in all) into data_dir first."""
    architecture: Literal["codes", "paper"] = "codes"
    """Ours (discrete codes and a prior), or the published CVAE as the baseline."""
    out_dir: Path = Path("checkpoints/sketch")
    run_dir: Path = Path("runs/sketch")
    """Resume state, metrics.jsonl and picture grids; not part of the checkpoint."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    code_steps: int = 3_000
    prior_steps: int = 5_000
    paper_steps: int = 7_000
    batch_size: int = 64
    """Drawings a step, over all processes together."""
    code_lr: float = 1e-3
    prior_lr: float = 6e-4
    paper_lr: float = 5e-4
    likelihood: losses.Likelihood = "bernoulli"
    beta: float = 1.0
    """Weight of the CVAE's KL term."""
    precision: Literal["auto", "bf16", "no"] = "auto"
    """bfloat16 autocast: auto where the processor has it."""
    seed: int = 0
    save_every: int = 500
    """Steps between resume states, picture grids and written checkpoints."""


class Phase(NamedTuple):
    """One stretch of training: which part, for how long, and its loss on a batch."""

    name: str
    network: nn.Module
    steps: int
    lr: float
    loss: Callable[[nn.Module, "Batch"], dict[str, Tensor]]


class Batch(NamedTuple):
    """This process's share of a step: ink (b, 1, 64, 64), labels (b,), standard normal noise."""

    x: Tensor
    partial: Tensor
    label: Tensor
    noise: Tensor


def phases(cfg: Config, model: nn.Module) -> list[Phase]:
    """What is trained in which order."""
    if cfg.architecture == "paper":

        def elbo(network: nn.Module, b: Batch) -> dict[str, Tensor]:
            out = network(b.x, b.partial, b.noise)
            return losses.cvae_elbo(out, b.x, cfg.likelihood, cfg.beta)

        return [Phase("paper", model, cfg.paper_steps, cfg.paper_lr, elbo)]

    def codes(network: nn.Module, b: Batch) -> dict[str, Tensor]:
        return losses.reconstruction(network(b.x, b.partial).logits, b.x)

    def prior(network: nn.Module, b: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            target = model.autoencoder.encode(b.x, b.partial)
        return losses.code_nll(network(target, b.partial, b.label), target)

    return [
        Phase("codes", model.autoencoder, cfg.code_steps, cfg.code_lr, codes),
        Phase("prior", model.prior, cfg.prior_steps, cfg.prior_lr, prior),
    ]


def batch_at(
    cfg: Config, data: quickdraw.SketchArrays, chance: np.ndarray, acc: Accelerator, step: int
) -> Batch:
    """Process number r of n takes rows r, r + n, ... of the one batch that belongs to `step`."""
    rank, n = acc.process_index, acc.num_processes
    full, partial, label = quickdraw.draw_batch(data, chance, cfg.batch_size, cfg.seed, step)
    generator = torch.Generator().manual_seed(cfg.seed * 1_000_003 + step)
    noise = torch.randn(cfg.batch_size, 512, generator=generator)
    x, y = (to_ink(a[rank::n])[:, None].to(acc.device) for a in (full, partial))
    return Batch(
        x, y, torch.from_numpy(label[rank::n]).to(acc.device), noise[rank::n].to(acc.device)
    )


def preview(model: nn.Module, batch: Batch, path: Path) -> None:
    """A grid: whole drawings, partial ones, then (ours) decoded codes, then three samples each."""
    model.eval()
    rows = [batch.x[:12, 0].cpu(), batch.partial[:12, 0].cpu()]
    if isinstance(model, SketchCompleter):
        with torch.inference_mode():
            rows.append(
                model.autoencoder(batch.x[:12], batch.partial[:12]).logits.sigmoid()[:, 0].cpu()
            )
    samples = [model.complete(y, count=3) for y in rows[1]]
    rows += [torch.stack([s[i].cpu() for s in samples]) for i in range(3)]
    model.train()
    common.save_grid(path, rows)


def main(cfg: Config) -> None:
    """Train, resume, save."""
    bf16 = cfg.precision == "bf16" or (cfg.precision == "auto" and common.has_fast_bf16())
    acc = Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=not torch.cuda.is_available())
    folder = cfg.data_dir / "quickdraw"
    held = common.lock(cfg.run_dir) if acc.is_main_process else None
    if cfg.download and acc.is_main_process:
        fetch.fetch_quickdraw(quickdraw.CLASSES, folder)
    acc.wait_for_everyone()
    with acc.main_process_first():
        data = quickdraw.load_train(folder, cfg.cache_dir.expanduser())
    chance = np.cumsum(data.weights())

    torch.manual_seed(cfg.seed)
    paper = cfg.architecture == "paper"
    model = SketchCVAE() if paper else SketchCompleter(SketchConfig(quickdraw.CLASSES))
    model = model.to(acc.device, memory_format=torch.channels_last)
    identity = json.dumps(asdict(cfg) | {"data_dir": 0, "out_dir": 0, "run_dir": 0}, default=str)
    state_path = cfg.run_dir / "state.pt"
    state = common.load_state(state_path, identity)
    if state:
        model.load_state_dict(state["model"])

    for index, phase in enumerate(phases(cfg, model)):
        if state and index < state["phase"]:
            continue
        network = acc.prepare(phase.network)
        optimizer = torch.optim.AdamW(
            phase.network.parameters(), phase.lr, (0.9, 0.95), weight_decay=0.01, fused=True
        )
        ema, start, seconds = common.EMA(phase.network), 0, 0.0
        if state and index == state["phase"]:
            optimizer.load_state_dict(state["optimizer"])
            ema.network.load_state_dict(state["ema"])
            start, seconds = state["step"], state["seconds"]
        log = common.MetricLog(cfg.run_dir / "metrics.jsonl", phase.name, start)
        bar = tqdm(
            range(start, phase.steps),
            desc=phase.name,
            initial=start,
            total=phase.steps,
            disable=not acc.is_main_process,
            mininterval=5,
        )
        for step in bar:
            began = time.perf_counter()
            batch = batch_at(cfg, data, chance, acc, step)
            with acc.autocast():
                terms = phase.loss(network, batch)
            optimizer.zero_grad(set_to_none=True)
            acc.backward(terms["loss"])
            acc.clip_grad_norm_(phase.network.parameters(), 1.0 if phase.name == "prior" else 1e3)
            for group in optimizer.param_groups:
                group["lr"] = common.learning_rate(step, phase.steps, phase.lr)
            optimizer.step()
            ema.update(phase.network, step)
            seconds += time.perf_counter() - began
            done = step + 1
            if not acc.is_main_process:
                continue
            if done % 50 == 0:
                values = {name: float(term.detach()) for name, term in terms.items()}
                speed = cfg.batch_size * done / seconds
                log.write(phase.name, step, **values, images_per_s=speed, seconds=seconds)
                bar.set_postfix(loss=f"{values['loss']:.1f}", images_per_s=f"{speed:.0f}")
            if done % cfg.save_every == 0 or done == phase.steps:
                trained = phase.network.state_dict()
                state = {
                    "config": identity,
                    "phase": index,
                    "step": done,
                    "seconds": seconds,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "ema": ema.network.state_dict(),
                }
                common.save_state(state_path, state)
                trained = {k: v.clone() for k, v in trained.items()}
                phase.network.load_state_dict(ema.network.state_dict())
                preview(model, batch, cfg.run_dir / f"{phase.name}-{done:06d}.png")
                checkpoint.save(cfg.out_dir, model)
                phase.network.load_state_dict(trained)
        phase.network.load_state_dict(ema.network.state_dict())
        phase.network.requires_grad_(False)
    acc.wait_for_everyone()
    if held is not None:
        held.close()


if __name__ == "__main__":
    import tyro

    common.restart_with_fast_allocator()
    main(tyro.cli(Config))
