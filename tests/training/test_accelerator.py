"""What a run asks of Accelerate: batches that can be split, trackers, logged metrics."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, on_main_process

from training.engine import accelerator
from training.engine.accelerator import flatten_config, make_accelerator
from training.engine.run_state import MetricLog


@dataclass(frozen=True)
class Config:
    run_dir: Path
    batch_size: int = 4
    precision: str = "auto"
    tracker: str = "none"


class ListTracker(GeneralTracker):
    """Keeps what it is given."""

    name, requires_logging_directory = "list", False

    def __init__(self):
        super().__init__()
        self.config, self.rows = {}, []

    @property
    def tracker(self) -> list:
        return self.rows

    @on_main_process
    def store_init_configuration(self, values: dict) -> None:
        self.config = values

    @on_main_process
    def log(self, values: dict, step: int | None = None, **_: object) -> None:
        self.rows.append({"step": step} | values)


def test_a_missing_tracker_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accelerator, "get_available_trackers", list)
    for name in ("trackio", "tensorboard", "wandb"):
        with pytest.raises(ValueError, match=rf"--tracker {name} needs .* `pip install {name}`"):
            make_accelerator(Config(tmp_path, tracker=name))
    assert make_accelerator(Config(tmp_path)).trackers == []


def test_metrics_go_to_the_file_and_to_the_tracker(tmp_path: Path):
    tracker = ListTracker()
    acc = Accelerator(cpu=True, log_with=[tracker])
    acc.init_trackers("x", config=flatten_config({"model": {"width": 3}, "dir": tmp_path}))
    assert tracker.config == {"model.width": 3, "dir": str(tmp_path)}
    log = MetricLog(tmp_path / "metrics.jsonl", 0, acc)
    log.write(0, loss=0.5)
    log.write(1, loss=0.25)
    rows = [{"step": 0, "loss": 0.5}, {"step": 1, "loss": 0.25}]
    assert tracker.rows == rows
    assert [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()] == rows


def test_a_batch_that_cannot_be_split_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Accelerator, "num_processes", property(lambda _: 3))
    with pytest.raises(ValueError, match="--batch-size 4 cannot be split over 3 processes"):
        make_accelerator(Config(tmp_path))
