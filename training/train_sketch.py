"""Train the sketch completer on Quick, Draw!: `python training/train_sketch.py --recipe released`.

`--architecture paper` trains the published CVAE. Stop it in any way and start the same command
again: it continues as if it had never stopped.
"""

import time
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from tqdm import tqdm

from models import checkpoint
from training.data import fetch, quickdraw
from training.engine.accelerator import make_accelerator
from training.engine.cli import command, run_training
from training.engine.run_state import MetricLog, Resume, run_lock
from training.engine.schedules import EMA
from training.sketch import reinforce
from training.sketch.config import (
    RECIPES,
    Config,
    card,
    ema_decay,
    learning_rate,
    make_dataset,
    make_model,
    reinforce_weight,
    save_preview,
    total_steps,
)
from training.sketch.losses import cvae_elbo, strokes_loss

IGNORED = {"data_dir", "out_dir", "run_dir", "cache_dir", "download", "init", "tracker"}
CRITIC_CLIP = 5.0  # largest gradient norm of the critic


def main(cfg: Config) -> None:
    """Train, resume, save; only the main process writes."""
    acc = make_accelerator(cfg)
    with run_lock(cfg.run_dir, cfg.out_dir) if acc.is_main_process else nullcontext():
        train(cfg, acc)
    acc.end_training()


def train(cfg: Config, acc: Accelerator) -> None:
    """Maximum likelihood, then REINFORCE with the rewards of a critic."""
    folder = cfg.data_dir / "quickdraw"
    if cfg.download and acc.is_main_process:
        fetch.fetch_quickdraw(quickdraw.CLASSES, folder)
    acc.wait_for_everyone()
    with acc.main_process_first():
        drawings = quickdraw.load_train(folder, cfg.cache_dir.expanduser())
    dataset = make_dataset(cfg, drawings)

    torch.manual_seed(cfg.seed)
    model = make_model(cfg).to(acc.device, memory_format=torch.channels_last)
    critic = reinforce.SketchCritic(len(cfg.model.labels))
    critic = critic.to(acc.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), cfg.lr, (0.9, 0.95), weight_decay=0.01, fused=True
    )
    critic_optimizer = torch.optim.AdamW(
        critic.parameters(), 1e-3, (0.9, 0.99), weight_decay=0.05, fused=True
    )
    ema = EMA(model)
    parts = {"model": model, "optimizer": optimizer, "ema": ema}
    if cfg.architecture == "strokes":
        parts |= {"critic": critic, "critic_optimizer": critic_optimizer}
    resume = Resume(cfg.run_dir, cfg, IGNORED, parts)
    start, seconds = resume.load()
    log = MetricLog(cfg.run_dir / "metrics.jsonl", start, acc)
    parallel = acc.prepare(model)

    total = total_steps(cfg)
    first_critic_step = cfg.steps - cfg.critic_steps if cfg.architecture == "strokes" else total
    bar = tqdm(total=total, initial=start, disable=not acc.is_main_process, mininterval=2)
    began = time.perf_counter()
    for step, whole in enumerate(dataset.from_step(start), start):
        batch = whole.shard(acc.process_index, acc.num_processes, acc.device)
        sequences, critic_losses = reinforce.real_sequences(batch), {}
        if step >= cfg.steps:
            seed = (cfg.seed * 1_000_003 + step) * 64 + acc.process_index
            fake = reinforce.sample_completions(
                model, batch, cfg.reinforce_samples, cfg.reinforce_temperature, seed
            )
            sequences = reinforce.real_and_fake(sequences, fake)
        per_drawing = sequences.shape[1]
        labels = batch.label.repeat_interleave(per_drawing)

        if step >= first_critic_step:
            with acc.autocast():
                out = critic(*reinforce.critic_inputs(sequences, batch), labels)
            critic_losses = reinforce.critic_loss(out, labels, per_drawing)
            critic_optimizer.zero_grad(set_to_none=True)
            acc.backward(critic_losses["loss"])
            reinforce.average_gradients(critic, acc)
            acc.clip_grad_norm_(critic.parameters(), CRITIC_CLIP)
            critic_optimizer.step()

        with acc.autocast():
            if cfg.architecture == "paper":
                elbo = parallel(batch.x, batch.partial, batch.noise)
                losses = cvae_elbo(elbo, batch.x, cfg.likelihood, cfg.beta)
            else:
                points = reinforce.to_points(sequences)
                logits = parallel(points, batch.partial, labels)
                if step < cfg.steps:
                    losses = strokes_loss(logits, points, labels)
                else:
                    advantage = reinforce.advantages(reinforce.rewards(out, labels, per_drawing))
                    losses = reinforce.reinforce_loss(
                        logits,
                        sequences,
                        labels,
                        advantage,
                        cfg.reinforce_temperature,
                        reinforce_weight(cfg, step),
                    )
        optimizer.zero_grad(set_to_none=True)
        acc.backward(losses["loss"])
        acc.clip_grad_norm_(model.parameters(), cfg.clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(cfg, step)
        optimizer.step()
        ema.update(model, step, ema_decay(cfg, step))
        bar.update()

        done, now = step + 1, seconds + time.perf_counter() - began
        if done % cfg.log_every == 0:
            losses |= {f"critic_{name}": value for name, value in critic_losses.items()}
            values = {name: float(value.detach()) for name, value in losses.items()}
            speed = cfg.batch_size * done / now
            log.write(step, **values, images_per_s=speed, seconds=now)
            bar.set_postfix(loss=f"{values['loss']:.1f}", images_per_s=f"{speed:.0f}")
        if acc.is_main_process and (done % cfg.save_every == 0 or done in (cfg.steps, total)):
            text = card(cfg, command("training/train_sketch.py", cfg, RECIPES, IGNORED), done, now)
            with ema.in_place_of(model):
                save_preview(model, batch, cfg.run_dir / f"{done:06d}.png")
                checkpoint.save(cfg.out_dir, model, card=text)
            resume.save(done, now)  # last: what is cut short by a kill is done again
    bar.close()
    acc.wait_for_everyone()


if __name__ == "__main__":
    run_training(main, Config, RECIPES)
