"""The Accelerator of a training run: mixed precision and, if wanted, an experiment tracker."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers

from models.bf16 import has_fast_bfloat16

# Autocast to bfloat16 where it is fast, always, or never.
Precision = Literal["auto", "bf16", "no"]
# Where metrics go besides metrics.jsonl; the package of that name must be installed.
Tracker = Literal["none", "tensorboard", "trackio", "wandb"]
PROJECT = "latent-studio"


@runtime_checkable
class RunConfig(Protocol):
    """What a training script's settings must have: a dataclass with these fields."""

    batch_size: int
    precision: Precision
    run_dir: Path
    tracker: Tracker


def make_accelerator(cfg: RunConfig) -> Accelerator:
    """An Accelerator with the run's precision and its tracker started.

    ValueError where the tracker's package is missing, or the batch cannot be split evenly over the
    processes.
    """
    tracker = None if cfg.tracker == "none" else cfg.tracker
    if tracker is not None and tracker not in map(str, get_available_trackers()):
        raise ValueError(
            f"--tracker {tracker} needs the package {tracker}: `pip install {tracker}`, or leave "
            "the option out (metrics.jsonl is written anyway)"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    bf16 = cfg.precision == "bf16" or (cfg.precision == "auto" and has_fast_bfloat16(device))
    acc = Accelerator(
        mixed_precision="bf16" if bf16 else "no",
        cpu=device == "cpu",
        log_with=tracker,
        project_dir=cfg.run_dir,
    )
    if cfg.batch_size % acc.num_processes:
        raise ValueError(
            f"--batch-size {cfg.batch_size} cannot be split over {acc.num_processes} processes: "
            "choose a multiple"
        )
    if tracker is not None:
        acc.init_trackers(PROJECT, config=flatten_config(asdict(cfg)))
    return acc


def flatten_config(config: dict[str, Any], prefix: str = "") -> dict[str, int | float | str | bool]:
    """Nested settings as one level with dotted names; what is no number becomes text."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= flatten_config(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, bool | int | float) else str(value)
    return flat
