"""Runs of training scripts that are stopped and resumed, and what a run has written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from models import checkpoint
from training.engine.run_state import MetricLog

INTERRUPTIONS = ((MetricLog, "write", 4), (checkpoint, "save", 2))  # owner, name, every how many


def run_outputs(run: Path, stem: str) -> tuple[bytes, list[dict]]:
    """The saved weights, and the logged metrics without times."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [{k: v for k, v in row.items() if "second" not in k and "_s" not in k} for row in rows]
    return (run / stem / "model.safetensors").read_bytes(), rows


class Stop(BaseException):
    """Stands for a kill between two steps."""


def run_interrupted(
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    every: int,
    run: Callable[[], None],
) -> int:
    """Run to the end, stopped at every `every`-th call of `owner.name`; the number of stops."""
    act, left, stops = getattr(owner, name), [0], 0

    def until_stopped(*arguments: object, **named: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise Stop
        return act(*arguments, **named)

    monkeypatch.setattr(owner, name, until_stopped)
    while True:
        left[0] = every - 1
        try:
            run()
        except Stop:
            stops += 1
            assert stops < 30, "it makes no progress"
        else:
            return stops
