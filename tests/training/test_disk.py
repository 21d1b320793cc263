"""Training without room or right to write: one sentence, nothing lost, and on again."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tqdm import tqdm

from models import checkpoint
from models.codes.vqvae import VQVAEConfig
from models.hub import CheckpointError
from tests.helpers.fake_datasets import write_mnist, write_quickdraw
from tests.helpers.interrupted_runs import run_outputs
from training import train_codes
from training.codes import config as codes_config
from training.data import mnist, quickdraw
from training.engine.run_state import load_state

ROOT = Path(__file__).parents[2]
TINY = VQVAEConfig(28, 1, (4, 8), 1, num_codes=6, code_dim=3, class_names=mnist.NAMES)
SENTENCE = (
    r"(could not write|cannot save [\d,]+ bytes in) \S+: (the disk is full|File too large)[.;]"
    r".* (free some space|choose another) and"
)
Give = Callable[[int | None], None]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_mnist(folder, {"train": mnist.VALID + 40})
    return folder


def config(data_dir: Path, run: Path) -> codes_config.Config:
    return codes_config.Config(
        data_dir=data_dir, model=TINY, out_dir=run / "codes-digits", run_dir=run, steps=11,
        batch_size=4, restart_every=2, dead_threshold=0.5, log_every=1, save_every=2,
    )  # fmt: skip


def mount(*options: str | Path) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 64 kB at first."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def largest_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[Give]:
    """How large a file may get: any user's full disk."""
    # Otherwise the lines of the progress bar, which pytest captures in a file, exceed it first.
    monkeypatch.setattr(train_codes, "tqdm", lambda **options: tqdm(**options | {"disable": True}))
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(
        resource.RLIMIT_FSIZE, (before if size is None else size, hard)
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


def kept(run: Path) -> int:
    """The step of the resume state, 0 without one; what is there must load, with nothing beside."""
    if (run / "codes-digits" / "config.json").exists():
        checkpoint.load(run / "codes-digits")
    names = [path.name for path in run.rglob("*")]
    assert not [name for name in names if name.endswith((".part", ".tmp", ".old"))]
    state = load_state(run / "state.pt", {})
    return state["step"] if state else 0


def until_there_is_room(data_dir: Path, run: Path, give: Give, rooms: range) -> list[int]:
    """The steps at which a run had to stop, with each time a little more room."""
    steps = []
    for room in rooms:
        give(room)
        try:
            train_codes.main(config(data_dir, run))
        except (OSError, CheckpointError) as error:
            said = str(error)
        else:
            return steps
        give(None)
        assert re.search(SENTENCE, said), said
        steps.append(kept(run))
        assert steps == sorted(steps)
    raise AssertionError(f"{rooms.stop} bytes are not enough")


def test_a_run_on_a_full_disk_stops_and_can_resume(
    data_dir: Path, tmp_path: Path, small_disk: Path
):
    train_codes.main(config(data_dir, tmp_path / "whole"))
    run = small_disk / "run"

    def give(room: int | None) -> None:
        if room:
            mount("-o", f"remount,size={room}", small_disk)

    steps = until_there_is_room(data_dir, run, give, range(64_000, 2_000_000, 24_576))
    assert len(steps) >= 5
    assert len(set(steps)) >= 3
    assert run_outputs(run, "codes-digits") == run_outputs(tmp_path / "whole", "codes-digits")


def test_a_run_at_its_file_size_limit_stops_and_can_resume(
    data_dir: Path, tmp_path: Path, largest_file: Give
):
    train_codes.main(config(data_dir, tmp_path / "whole"))
    run = tmp_path / "run"
    steps = until_there_is_room(data_dir, run, largest_file, range(1_000, 200_000, 8_000))
    assert len(steps) >= 3
    assert run_outputs(run, "codes-digits") == run_outputs(tmp_path / "whole", "codes-digits")


def test_a_run_on_a_read_only_disk_loses_nothing_and_can_resume(data_dir: Path, small_disk: Path):
    run = small_disk / "run"
    mount("-o", "remount,size=64m", small_disk)
    train_codes.main(config(data_dir, run))
    before = run_outputs(run, "codes-digits")
    mount("-o", "remount,ro", small_disk)
    for folder in (run, small_disk / "new"):
        with pytest.raises(
            OSError, match=r"Read-only file system.*make the folder writable or choose another and"
        ):
            train_codes.main(config(data_dir, folder))
    mount("-o", "remount,rw", small_disk)
    train_codes.main(config(data_dir, run))
    assert run_outputs(run, "codes-digits") == before


def test_a_cache_that_does_not_fit_is_not_kept(tmp_path: Path, largest_file: Give):
    write_quickdraw(tmp_path / "quickdraw")
    cache = tmp_path / "cache"
    largest_file(4096)
    with pytest.raises(OSError, match=SENTENCE):
        quickdraw.load_train(tmp_path / "quickdraw", cache)
    largest_file(None)
    assert list(cache.iterdir()) == []
    found = quickdraw.load_train(tmp_path / "quickdraw", cache)
    again = quickdraw.load_train(tmp_path / "quickdraw", cache)
    assert (found.points == again.points).all()


@pytest.mark.parametrize("lack", ["room", "right"])
def test_a_script_reports_a_full_disk_in_one_sentence(data_dir: Path, tmp_path: Path, lack: str):
    run = tmp_path / "run"
    run.mkdir(0o500 if lack == "right" else 0o700)
    no_root = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    before = {
        "room": ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh"],
        "right": [] if os.geteuid() else no_root,
    }[lack]
    command = [
        *before, sys.executable, "training/train_codes.py", "--data-dir", data_dir, "--run-dir",
        run, "--out-dir", tmp_path / "out", "--steps", "4", "--batch-size", "4",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    why = {"room": "File too large", "right": "Permission denied"}[lack]
    assert re.fullmatch(rf"OSError: could not write \S+: {why}\. .*to resume", last)
    run.chmod(0o700)
    assert {path.name for path in run.iterdir()} <= {".lock", "metrics.jsonl"}
