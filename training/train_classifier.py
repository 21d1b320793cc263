"""Train a classifier: `python training/train_classifier.py --recipe face-classifier` (minutes).

The recipes make the classifiers that evaluate the demos: of drawings, digits and faces. Stopped in
any way and started again with the same command, a run continues bit for bit as if it had not been
stopped.
"""

import time
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from tqdm import tqdm

from models import checkpoint
from training.classifiers.config import (
    IGNORED,
    RECIPES,
    Config,
    accuracy,
    card,
    classification_loss,
    make_network,
)
from training.classifiers.dataset import ClassifierDataset, download
from training.engine.accelerator import make_accelerator
from training.engine.cli import run_training
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA, warmup_cosine


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    acc = make_accelerator(cfg)
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)
    acc.end_training()


def train(cfg: Config, acc: Accelerator) -> None:
    """Train on augmented real images; save the averaged weights with their valid accuracy."""
    if cfg.download and acc.is_main_process:
        download(cfg)
    with acc.main_process_first():
        dataset = ClassifierDataset(cfg)
    torch.manual_seed(cfg.seed)
    network = make_network(cfg, dataset.names)
    network.to(acc.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        network.parameters(), cfg.lr, weight_decay=cfg.weight_decay, fused=True
    )
    ema = EMA(network)
    parts = {"network": network, "optimizer": optimizer, "ema": ema}
    resume = Resume(cfg.run_dir, cfg, IGNORED, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start, acc)
    parallel = acc.prepare(network)

    bar = tqdm(total=cfg.steps, initial=start, disable=not acc.is_main_process, mininterval=5)
    began = time.perf_counter()
    for step, batch in enumerate(dataset.from_step(start), start):
        x, target = batch.shard(acc.process_index, acc.num_processes, acc.device)
        torch.manual_seed(hash((cfg.seed, step)))  # dropout, the same in a resumed run
        with acc.autocast():
            logits = parallel(x).logits
        loss = classification_loss(cfg, logits, target)
        optimizer.zero_grad(set_to_none=True)
        acc.backward(loss)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, cfg.steps, cfg.lr)
        optimizer.step()
        ema.update(network, step)
        bar.update()
        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            speed = cfg.batch_size * done / now
            log.write(step, loss=float(loss.detach()), images_per_s=speed, seconds=now)
            bar.set_postfix(loss=f"{float(loss.detach()):.3f}")
        if acc.is_main_process and (done % cfg.save_every == 0 or done == cfg.steps):
            resume.save(done, now)
    bar.close()
    if acc.is_main_process:
        seconds += time.perf_counter() - began
        ema.network.to("cpu")
        images, targets = dataset.valid()
        logits, _ = ema.network.predict(images)
        found = accuracy(torch.from_numpy(logits), targets, dataset.names)
        bar.write(f"valid accuracy {found['accuracy']:.4f} on {len(images):,} images")
        text = card(cfg, network, found, seconds)
        checkpoint.save(cfg.out_dir, ema.network, metrics={"split": "valid"} | found, card=text)
    acc.wait_for_everyone()


if __name__ == "__main__":
    run_training(main, Config, RECIPES)
