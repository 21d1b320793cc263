"""Train the sketch completer on Quick, Draw!: `python training/train_sketch.py --data-dir DIR`.

Two phases for ours (the autoencoder's codes, then their prior), one for the paper's CVAE. Stop it
in any way and start the same command again: it goes on as if it had never stopped.
"""

import time
from contextlib import nullcontext
from dataclasses import asdict

import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm

from models import checkpoint
from training import common
from training.data import fetch, quickdraw
from training.sketch_plan import Config, batch_at, card, network_of, phases, preview


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    bf16 = cfg.precision == "bf16" or (cfg.precision == "auto" and common.has_fast_bf16())
    acc = Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=not torch.cuda.is_available())
    if cfg.batch_size % acc.num_processes:
        raise ValueError(
            f"--batch-size {cfg.batch_size} cannot be shared by {acc.num_processes} processes: "
            "choose a multiple"
        )
    with common.locked(cfg.run_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)


def train(cfg: Config, acc: Accelerator) -> None:
    """The run itself."""
    folder = cfg.data_dir / "quickdraw"
    if cfg.download and acc.is_main_process:
        fetch.fetch_quickdraw(quickdraw.CLASSES, folder)
    acc.wait_for_everyone()
    with acc.main_process_first():
        data = quickdraw.load_train(folder, cfg.cache_dir.expanduser())
    chance = np.cumsum(data.weights())

    torch.manual_seed(cfg.seed)
    model = network_of(cfg).to(acc.device, memory_format=torch.channels_last)
    plan = phases(cfg, model)
    paths = {"data_dir", "out_dir", "run_dir", "cache_dir", "download"}
    identity = {k: v for k, v in asdict(cfg).items() if k not in paths}
    state = common.load_state(cfg.run_dir / "state.pt", identity)
    if state:
        model.load_state_dict(state["model"])

    for index in range(state["phase"] if state else 0, len(plan)):
        phase = plan[index]
        network = acc.prepare(phase.network)
        optimizer = torch.optim.AdamW(
            phase.network.parameters(), phase.lr, (0.9, 0.95), weight_decay=0.01, fused=True
        )
        ema, start, seconds = common.EMA(phase.network), 0, 0.0
        if state:
            optimizer.load_state_dict(state["optimizer"])
            ema.network.load_state_dict(state["ema"])
            start, seconds, state = state["step"], state["seconds"], None
        if acc.is_main_process:
            log = common.MetricLog(cfg.run_dir / "metrics.jsonl", phase.name, start)
        bar = tqdm(
            range(start, phase.steps),
            phase.name,
            initial=start,
            total=phase.steps,
            disable=not acc.is_main_process,
        )
        for step in bar:
            began = time.perf_counter()
            batch = batch_at(cfg, data, chance, acc, step)
            with acc.autocast():
                terms = phase.loss(network, batch)
            optimizer.zero_grad(set_to_none=True)
            acc.backward(terms["loss"])
            acc.clip_grad_norm_(phase.network.parameters(), phase.clip)
            for group in optimizer.param_groups:
                group["lr"] = common.learning_rate(step, phase.steps, phase.lr)
            optimizer.step()
            ema.update(phase.network, step)
            seconds += time.perf_counter() - began
            if not acc.is_main_process:
                continue
            done = step + 1
            if done % cfg.log_every == 0:
                values = {name: float(term.detach()) for name, term in terms.items()}
                speed = cfg.batch_size * done / seconds
                log.write(step, **values, images_per_s=speed, seconds=seconds)
                bar.set_postfix(loss=f"{values['loss']:.1f}", images_per_s=f"{speed:.0f}")
            if done % cfg.save_every == 0 or done == phase.steps:
                common.save_state(
                    cfg.run_dir / "state.pt",
                    {
                        "config": identity,
                        "phase": index,
                        "step": done,
                        "seconds": seconds,
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "ema": ema.network.state_dict(),
                    },
                )
                with ema.in_place_of(phase.network):
                    preview(model, batch, cfg.run_dir / f"{phase.name}-{done:06d}.png")
                    if phase is plan[-1]:
                        checkpoint.save(cfg.out_dir, model, card=card(cfg, done, seconds))
        phase.network.load_state_dict(ema.network.state_dict())
        phase.network.requires_grad_(False)
    acc.wait_for_everyone()


if __name__ == "__main__":
    common.run(main, Config)
