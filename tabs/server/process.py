"""Settings of this process: threads and heap."""

import ctypes
import os
from contextlib import suppress

M_ARENA_MAX = -8  # glibc's malloc.h


def limit_threads() -> None:
    """One thread for each computed event, and two heaps for all threads; before torch is imported.

    Measured by benchmarks/load.py: two events with two threads each wait for one another, and
    each thread of Gradio's would keep a heap of its own that grows.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def release_memory() -> None:
    """Give the heap's free pages back to the system; takes some milliseconds."""
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
