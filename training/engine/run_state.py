"""Resume state, run locks, atomic writes and the metric log of a training run."""

import fcntl
import io
import json
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import torch
from accelerate import Accelerator

from models.synced_files import cause_and_cure, open_synced


@contextmanager
def explain_write_error(path: Path) -> Iterator[None]:
    """A failure to write `path`, as one sentence with its cure."""
    try:
        yield
    except OSError as error:
        cause, cure = cause_and_cure(error)
        raise OSError(
            f"could not write {path}: {cause}. What was saved before is untouched; {cure} and "
            "start the same command again to resume"
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `path` that takes its place when all is written and synced.

    A full disk or a read-only folder is one clear OSError; the previous content of `path` stays.
    """
    temporary = path.with_name(path.name + ".part")
    with explain_write_error(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_synced(temporary) as file:
                yield file
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a run's resume state; the file is complete, or the previous one.

    Through memory: on a full disk torch's own writer says "unexpected pos 896 vs 790".
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def load_state(path: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    """The state to resume from, or None for a new run; ValueError for other settings."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is damaged: restore it, or remove it to start over") from error
    saved = state["config"]
    differ = [f"{k} {saved.get(k)!r}, now {v!r}" for k, v in config.items() if saved.get(k) != v]
    if differ:
        raise ValueError(
            f"{path} belongs to a run with other settings ({'; '.join(differ)}): "
            "continue with those, or choose another --run-dir"
        )
    return state


class Resume:
    """The resume state of a run in `folder`: settings, step, seconds and parts.

    A part has state_dict and load_state_dict; settings named in `ignored` (paths) may differ.
    """

    def __init__(self, folder: Path, cfg: Any, ignored: set[str], parts: dict[str, Any]):
        self.path, self.parts = folder / "state.pt", parts
        self.identity = {k: v for k, v in asdict(cfg).items() if k not in ignored}

    def load(self) -> tuple[int, float]:
        """Restore the parts; steps done and seconds spent, (0, 0.0) for a new run."""
        state = load_state(self.path, self.identity)
        if state is None:
            return 0, 0.0
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return state["step"], state["seconds"]

    def save(self, step: int, seconds: float) -> None:
        """Write the state of all parts after `step` steps and `seconds` of training."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        progress = {"config": self.identity, "step": step, "seconds": seconds}
        save_state(self.path, progress | states)


@contextmanager
def run_lock(*folders: Path) -> Iterator[None]:
    """Lock a run's folders for this process; RuntimeError if another process holds one.

    POSIX record locks end with the process. Unlike flock's they are not inherited by the worker
    that makes the batches, which outlives a killed run by some seconds.
    """
    with ExitStack() as held:
        for folder in sorted({folder.resolve() for folder in folders}):
            path = folder / ".lock"
            with explain_write_error(path):
                folder.mkdir(parents=True, exist_ok=True)
                file = held.enter_context(path.open("w"))
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                raise RuntimeError(
                    f"another run writes to {folder}: wait for it, or choose another --run-dir "
                    "and --out-dir"
                ) from None
        yield


class MetricLog:
    """Metrics of a run: a JSON object a line in `path`, and the tracker of `acc`, if it has one.

    A resumed run first drops the lines that it will write again. Only the main process writes.
    """

    def __init__(self, path: Path, step: int, acc: Accelerator | None = None):
        self.path, self.acc = path, acc
        if acc is not None and not acc.is_main_process:
            return
        kept = []
        for line in path.read_text().splitlines() if path.exists() else []:
            if line.endswith("}") and json.loads(line)["step"] < step:
                kept.append(line + "\n")
        with atomic_write(path) as file:
            file.write("".join(kept).encode())

    def write(self, step: int, **values: float) -> None:
        """Append one row; floats are rounded to six digits."""
        if self.acc is not None:
            self.acc.log(values, step=step)
            if not self.acc.is_main_process:
                return
        row = {"step": step} | {k: float(f"{v:.6g}") for k, v in values.items()}
        with explain_write_error(self.path), self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
