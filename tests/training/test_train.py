"""The sketch training script: resume, processes, refusals; all on a few made-up drawings."""

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models import checkpoint
from models.sketch.cvae import SketchCVAEConfig
from models.sketch.model import SketchCompleter
from models.sketch.tokens import SketchConfig
from tests.helpers.fake_datasets import write_quickdraw
from tests.helpers.interrupted_runs import INTERRUPTIONS, run_interrupted, run_outputs
from tests.helpers.launch import launch
from training import train_sketch
from training.data import quickdraw
from training.engine.run_state import load_state, save_state
from training.engine.schedules import EMA, warmup_cosine
from training.sketch import config as sketch_config

ROOT = Path(__file__).parents[2]
TINY = SketchConfig(quickdraw.CLASSES, 64, 4, 8, 16, 2, 1, 1, 12)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_quickdraw(folder / "quickdraw")
    return folder


def config(data_dir: Path, run: Path, **changes: object) -> sketch_config.Config:
    base = sketch_config.Config(
        data_dir=data_dir,
        out_dir=run / "sketch",
        run_dir=run,
        cache_dir=data_dir / "cache",
        model=TINY,
        paper=SketchCVAEConfig(64, 8, (4, 4, 2)),
        steps=7,
        critic_steps=3,
        reinforce_steps=4,
        reinforce_samples=2,
        batch_size=4,
        log_every=1,
        save_every=2,
    )
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("architecture", "stop"),
    [("strokes", (EMA, "update", 4)), ("strokes", INTERRUPTIONS[1]), ("paper", INTERRUPTIONS[0])],
)
def test_a_resumed_run_equals_the_unbroken_one(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, stop: tuple
):
    train_sketch.main(config(data_dir, tmp_path / "whole", architecture=architecture))
    cfg = config(data_dir, tmp_path / "broken", architecture=architecture)
    assert run_interrupted(monkeypatch, *stop, lambda: train_sketch.main(cfg)) >= 1
    assert run_outputs(tmp_path / "broken", "sketch") == run_outputs(tmp_path / "whole", "sketch")


def test_kill_9_then_the_same_command_goes_on(data_dir: Path, tmp_path: Path):
    run = tmp_path / "killed"
    command = [
        sys.executable, "training/train_sketch.py", "--architecture", "paper",
        "--data-dir", data_dir, "--run-dir", run, "--out-dir", run / "sketch",
        "--cache-dir", data_dir / "cache", "--paper.latent-dim", "8", "--paper.channels", "4",
        "4", "2", "--steps", "200", "--batch-size", "4", "--save-every", "20",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 120
        while not (run / "state.pt").exists() and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert (run / "state.pt").exists()
    assert not (run / "metrics.jsonl").read_text().count('"step": 199')
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    whole = tmp_path / "whole"
    again = [str(part).replace(str(run), str(whole)) for part in command]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert run_outputs(run, "sketch") == run_outputs(whole, "sketch")


def first_gradients(data_dir: Path, out: Path, processes: int) -> dict:
    """Gradients of the paper's CVAE after its first batch."""
    launch("tests/helpers/first_gradients.py", data_dir, out, processes=processes)
    return torch.load(out)


def test_two_processes_have_the_gradients_of_one(data_dir: Path, tmp_path: Path):
    one, two = (first_gradients(data_dir, tmp_path / f"{n}.pt", n) for n in (1, 2))
    assert (one.pop("processes"), two.pop("processes")) == (1, 2)
    assert (one.pop("rows"), two.pop("rows")) == (4, 2)
    assert one.keys() == {"paper", "strokes", "critic"}
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_other_settings_and_a_second_run_are_refused(data_dir: Path, tmp_path: Path):
    cfg = config(data_dir, tmp_path, steps=2)
    train_sketch.main(cfg)
    with pytest.raises(ValueError, match="seed 0, now 1"):
        train_sketch.main(replace(cfg, seed=1))
    hold = "import sys, pathlib; from training.engine.run_state import run_lock\n"
    hold += "with run_lock(pathlib.Path(sys.argv[1])): print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, tmp_path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        for beside in (cfg, replace(cfg, run_dir=tmp_path / "other", out_dir=tmp_path)):
            with pytest.raises(RuntimeError, match=f"another run writes to {tmp_path}:"):
                train_sketch.main(beside)
        other.communicate("\n")
    train_sketch.main(cfg)


def test_no_data_is_one_sentence(tmp_path: Path):
    command = [sys.executable, "training/train_sketch.py", "--data-dir", tmp_path / "nowhere"]
    command += ["--run-dir", tmp_path / "run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "airplane.ndjson" in done.stderr
    assert "--download" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_state_is_refused(tmp_path: Path):
    path = tmp_path / "state.pt"
    save_state(path, {"config": {}, "step": 1})
    whole = path.read_bytes()
    for bad in (b"", b"hello", whole[:-9], whole[: len(whole) // 2]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"state\.pt is damaged: .* to start over"):
            load_state(path, {})


def test_learning_rate_warms_up_and_ends_low():
    rates = [warmup_cosine(step, 1000, 1.0) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 200)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.02, abs=1e-3)
    assert all(a >= b for a, b in itertools.pairwise(rates[200:]))


def test_a_run_starts_from_a_checkpoint_of_its_architecture(tmp_path: Path):
    kept = SketchCompleter(TINY)
    checkpoint.save(tmp_path / "sketch", kept)
    cfg = sketch_config.Config(init=tmp_path / "sketch", model=TINY)
    model = sketch_config.make_model(cfg)
    assert model.training
    for one, two in zip(model.parameters(), kept.parameters(), strict=True):
        assert one.requires_grad
        assert torch.equal(one, two.half().float())
    with pytest.raises(ValueError, match="has no paper network"):
        sketch_config.make_model(replace(cfg, architecture="paper"))
    with pytest.raises(ValueError, match="no strokes network of these settings"):
        sketch_config.make_model(replace(cfg, model=replace(TINY, max_points=20)))


def test_the_rate_of_the_last_phase_rises_and_falls_again():
    cfg = sketch_config.Config(steps=500, reinforce_steps=400, lr=1e-3, reinforce_lr=3e-4)
    rates = [sketch_config.learning_rate(cfg, step) for step in range(500, 900)]
    assert max(rates) == pytest.approx(3e-4)
    assert rates[0] < 1e-5
    assert rates[-1] < 1e-5
    assert all(a >= b for a, b in itertools.pairwise(rates[50:]))


def test_ema_starts_as_the_mean_and_swaps_its_weights_in():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    ema = EMA(network)
    torch.nn.init.ones_(network.weight)
    for step in range(40):
        ema.update(network, step, 0.5)
    assert ema.network.weight.item() == pytest.approx(1.0, abs=1e-5)
    torch.nn.init.zeros_(network.weight)
    with ema.in_place_of(network):
        assert network.weight.item() == pytest.approx(1.0, abs=1e-5)
    assert network.weight.item() == 0
