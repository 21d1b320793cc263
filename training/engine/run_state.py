"""Resume state, run locks, atomic writes and the metric log of a training run."""

import errno
import fcntl
import io
import json
import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import torch
from accelerate import Accelerator


@contextmanager
def explain_write_error(path: Path) -> Iterator[None]:
    """A failure to write `path`, as one sentence with its cure."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
        cure = "make room" if full else "make its folder writable"
        raise OSError(
            f"could not write {path}: {why}. What was saved before is untouched; "
            f"{cure} and start the same command again to go on"
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `path` that takes its place when all is written (and synced).

    A full disk or a read-only folder is one clear OSError, and what was at `path` stays.
    """
    temporary = path.with_name(path.name + ".part")
    with explain_write_error(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Everything a run needs to go on, in one file that is whole or the one before.

    Through memory: on a full disk torch's own writer says "unexpected pos 896 vs 790".
    """
    whole = io.BytesIO()
    torch.save(state, whole)
    with atomic_write(path) as file:
        file.write(whole.getbuffer())


def load_state(path: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    """The state to go on from, or None for a new run; refuses one of another configuration."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is damaged: restore it, or remove it to begin anew") from error
    there = state["config"]
    differ = [f"{k} {there.get(k)!r}, now {v!r}" for k, v in config.items() if there.get(k) != v]
    if differ:
        raise ValueError(
            f"{path} belongs to a run with other settings ({'; '.join(differ)}): "
            "go on with those, or choose another --run-dir"
        )
    return state


class Resume:
    """What a run keeps in `folder` so that it can go on: its settings, step, time and parts.

    A part has state_dict and load_state_dict; settings named in `aside` (paths) may differ.
    """

    def __init__(self, folder: Path, cfg: Any, aside: set[str], parts: dict[str, Any]):
        self.path, self.parts = folder / "state.pt", parts
        self.identity = {k: v for k, v in asdict(cfg).items() if k not in aside}

    def load(self) -> tuple[int, float]:
        """Bring the parts to where they were: the steps done and their seconds, 0 for a new run."""
        state = load_state(self.path, self.identity)
        if state is None:
            return 0, 0.0
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return state["step"], state["seconds"]

    def save(self, step: int, seconds: float) -> None:
        """In one file that is whole or the one before."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        progress = {"config": self.identity, "step": step, "seconds": seconds}
        save_state(self.path, progress | states)


@contextmanager
def run_lock(*folders: Path) -> Iterator[None]:
    """Hold what a run writes to for one process; another one is refused, a dead one holds nothing.

    POSIX record locks: unlike flock's they do not pass to the process that makes the batches,
    which outlives a killed run by some seconds.
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
