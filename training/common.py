"""What the training scripts share: allocator, seed, learning rate, EMA, resume, metric log."""

import copy
import errno
import fcntl
import io
import json
import math
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import torch
import tyro
from PIL import Image
from torch import Tensor, nn

ALLOCATOR = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456"
)


def restart_with_fast_allocator() -> None:
    """Start Python again with glibc kept from giving memory back: 61,000 page faults a step less.

    The setting counts only before the process starts. Does nothing where it is set, or off Linux.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = ALLOCATOR
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def has_fast_bf16() -> bool:
    """Whether autocast to bfloat16 pays on this machine (AVX-512 BF16, AMX, or CUDA)."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def hardware() -> str:
    """What this runs on, for a model's card."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} CPU cores"


def learning_rate(step: int, steps: int, peak: float, warmup: int = 200) -> float:
    """Linear warm-up, then a cosine to 2 % of the peak at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class EMA:
    """Exponential moving average of a network's floating tensors; starts as their plain mean."""

    def __init__(self, network: nn.Module):
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int, decay: float = 0.999) -> None:
        """Move towards `network` after optimizer step number `step` (from 0)."""
        decay = min(decay, (step + 1) / (step + 10))
        averages, values = list(self.network.parameters()), list(network.parameters())
        torch._foreach_lerp_(averages, [v.detach() for v in values], 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """For the resume state."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state_dict`."""
        self.network.load_state_dict(state)

    @contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """Lend `network` the averaged weights for a while."""
        own = copy.deepcopy(network.state_dict())
        network.load_state_dict(self.network.state_dict())
        yield
        network.load_state_dict(own)


@contextmanager
def told(path: Path) -> Iterator[None]:
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
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `path` that takes its place when all is written (and synced).

    A full disk or a read-only folder is one clear OSError, and what was at `path` stays.
    """
    temporary = path.with_name(path.name + ".part")
    with told(path):
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
    with replacing(path) as file:
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
def locked(*folders: Path) -> Iterator[None]:
    """Hold what a run writes to for one process; another one is refused, a dead one holds nothing.

    POSIX record locks: unlike flock's they do not pass to the process that makes the batches,
    which outlives a killed run by some seconds.
    """
    with ExitStack() as held:
        for folder in sorted({folder.resolve() for folder in folders}):
            path = folder / ".lock"
            with told(path):
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
    """One JSON object a line; a resumed run first drops the lines that it will write again."""

    def __init__(self, path: Path, step: int):
        self.path = path
        kept = []
        for line in path.read_text().splitlines() if path.exists() else []:
            if line.endswith("}") and json.loads(line)["step"] < step:
                kept.append(line + "\n")
        with replacing(path) as file:
            file.write("".join(kept).encode())

    def write(self, step: int, **values: float) -> None:
        """Append one row; floats are rounded to six digits."""
        row = {"step": step} | {k: float(f"{v:.6g}") for k, v in values.items()}
        with told(self.path), self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def save_grid(path: Path, rows: list[Tensor], scale: int = 2) -> None:
    """Ink pictures (n, h, w) in [0, 1], one list entry a row, as a PNG: black on white."""
    ink = torch.cat([torch.cat(list(row), 1) for row in rows], 0).clamp(0, 1)
    picture = Image.fromarray((255 - ink * 255).round().byte().numpy())
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.NEAREST)
    with replacing(path) as file:
        picture.save(file, "PNG")


def save_faces(path: Path, rows: list[Tensor]) -> None:
    """Pictures (n, 3, h, w) in [0, 1], one list entry a row, as a PNG."""
    grid = torch.cat([torch.cat(list(row), 2) for row in rows], 1).clamp(0, 1)
    picture = Image.fromarray((grid * 255).round().byte().permute(1, 2, 0).contiguous().numpy())
    with replacing(path) as file:
        picture.save(file, "PNG")


def run(main: Callable[[Any], None], config: type) -> None:
    """A script's last line: fast allocator, command line, and an error as one sentence."""
    restart_with_fast_allocator()
    try:
        main(tyro.cli(config))
    except KeyboardInterrupt:
        sys.exit("stopped; start the same command again to go on")
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
