"""Train the sketch completer on Quick, Draw!: `python training/train_sketch.py --data-dir DIR`.

`--architecture paper` trains the published CVAE. Stop it in any way and start the same command
again: it goes on as if it had never stopped.
"""

import time
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from tqdm import tqdm

from models import checkpoint
from training.data import fetch, quickdraw
from training.engine.accelerator import make_accelerator
from training.engine.cli import run_training
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA
from training.sketch.config import (
    Config,
    Objective,
    card,
    ema_decay,
    learning_rate,
    make_dataset,
    network_of,
    preview,
    total_steps,
)


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    acc = make_accelerator(cfg)
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)
    acc.end_training()


def train(cfg: Config, acc: Accelerator) -> None:
    """The run itself."""
    folder = cfg.data_dir / "quickdraw"
    if cfg.download and acc.is_main_process:
        fetch.fetch_quickdraw(quickdraw.CLASSES, folder)
    acc.wait_for_everyone()
    with acc.main_process_first():
        data = quickdraw.load_train(folder, cfg.cache_dir.expanduser())
    dataset = make_dataset(cfg, data)

    torch.manual_seed(cfg.seed)
    model = network_of(cfg).to(acc.device, memory_format=torch.channels_last)
    objective = Objective(cfg, model, acc)
    network = objective.network
    optimizer = torch.optim.AdamW(
        network.parameters(), cfg.lr, (0.9, 0.95), weight_decay=0.01, fused=True
    )
    ema = EMA(network)
    parts = {"network": network, "optimizer": optimizer, "ema": ema}
    if objective.adversary:
        parts["adversary"] = objective.adversary
    aside = {"data_dir", "out_dir", "run_dir", "cache_dir", "download", "init", "tracker"}
    resume = Resume(cfg.run_dir, cfg, aside, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start, acc)
    parallel = acc.prepare(network)

    total = total_steps(cfg)
    bar = tqdm(total=total, initial=start, disable=not acc.is_main_process, mininterval=2)
    began = time.perf_counter()
    for step, whole in enumerate(dataset.from_step(start), start):
        batch = whole.shard(acc.process_index, acc.num_processes, acc.device)
        with acc.autocast():
            terms = objective.loss(parallel, batch, step)
        optimizer.zero_grad(set_to_none=True)
        acc.backward(terms["loss"])
        acc.clip_grad_norm_(network.parameters(), cfg.clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(cfg, step)
        optimizer.step()
        ema.update(network, step, ema_decay(cfg, step))
        bar.update()
        if not acc.is_main_process:
            continue
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            values = {name: float(term.detach()) for name, term in terms.items()}
            speed = cfg.batch_size * done / now
            log.write(step, **values, images_per_s=speed, seconds=now)
            bar.set_postfix(loss=f"{values['loss']:.1f}", images_per_s=f"{speed:.0f}")
        if done % cfg.save_every == 0 or done in (cfg.steps, total):
            with ema.in_place_of(network):
                preview(model, batch, cfg.run_dir / f"{done:06d}.png")
                checkpoint.save(cfg.out_dir, model, card=card(cfg, done, now))
            resume.save(done, now)  # last: what a kill cuts short is done again
    bar.close()
    acc.wait_for_everyone()


if __name__ == "__main__":
    run_training(main, Config)
