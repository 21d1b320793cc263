"""Models in memory: each released checkpoint is loaded once, on first use."""

import threading
from collections.abc import Callable
from functools import cache

from tabs.validation import user_error

try:
    import spaces  # ZeroGPU's package; it must be imported before torch, which comes on first use
except ImportError:
    spaces = None

_lock = threading.Lock()  # two first calls must not load a model twice


def zero_gpu(function: Callable[[], None]) -> Callable[[], None]:
    """Register `function` for ZeroGPU; outside of ZeroGPU return it unchanged."""
    return spaces.GPU(function) if spaces else function


@zero_gpu
def gpu() -> None:
    """Never called: ZeroGPU stops an app that registers no function. The models run on the CPU."""


@cache
def load(stem: str):
    """The released model `stem`. Imports torch."""
    from models import checkpoint

    return checkpoint.load(stem)


def get_model(stem: str):
    """The released model `stem`; a checkpoint that cannot be loaded is a `gr.Error`."""
    try:
        with _lock:
            return load(stem)
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        raise user_error(str(error)) from error
