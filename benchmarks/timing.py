"""What the benchmarks share."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from training.engine.cli import ALLOCATOR
from training.release import results_table

ROOT = Path(__file__).parent.parent


def seconds(act: Callable[[], object], repeats: int) -> float:
    """Median seconds of one call, after two that are not counted."""
    for _ in range(2):
        act()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def in_fresh_python(script: str, what: str, fast_allocator: bool) -> float:
    """What `script` prints for `what`, with or without the allocator setting."""
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if fast_allocator:
        env["GLIBC_TUNABLES"] = ALLOCATOR
    done = subprocess.run(
        [sys.executable, script, what], env=env, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def keep(stem: str, speed: dict[str, float]) -> None:
    """Put the figures into the checkpoint's metrics.json and docs/results.md, and print all."""
    results_table.record(ROOT / "checkpoints" / stem, {"speed": speed})
