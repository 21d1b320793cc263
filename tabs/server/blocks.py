"""The page as Gradio serves it, with each failure told in a sentence and nothing kept for long."""

import ctypes
import os
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError

from tabs.validation import NOT_UPLOADED, user_error

AMISS = "This request cannot be carried out: one of its values is not what is expected here."
CHOICES = "is not in the list of choices"  # Gradio then shows the value's type, and all choices
# Figures of its own that Gradio makes anew after each call, from the last so many calls.
QUIET = {"GRADIO_ANALYTICS_MAX_EVENTS": "100", "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000"}

M_ARENA_MAX = -8  # glibc's malloc.h


def sparing() -> None:
    """Settings of this process, before torch comes: one thread a call, two heaps for all threads.

    Measured by benchmarks/load.py: calls wait for each other's threads, and each worker thread of
    Gradio's would keep a heap of its own that grows.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


class Studio(gr.Blocks):
    """Blocks whose API says what is wrong, opens no links, and forgets a caller once answered."""

    def __init__(self, title: str) -> None:
        user = os.getuid() if hasattr(os, "getuid") else "files"
        own = Path(tempfile.gettempdir()) / f"latent-studio-{user}"
        os.environ.setdefault("GRADIO_TEMP_DIR", str(own))  # to be swept: not shared with others
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        super().__init__(title=title, analytics_enabled=False, delete_cache=(3600, 3600))

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Enough values, and none that Gradio would fetch from somewhere."""
        wanted = len(block_fn.inputs)
        if len(inputs) < wanted:
            raise user_error(f"This needs {wanted} values, not {len(inputs)}.")
        if linked(inputs):
            raise user_error(NOT_UPLOADED)

    async def process_api(self, *call: Any, **how: Any) -> dict[str, Any]:
        """As Gradio does it, but what it or we trip over is a sentence, and a trace in the log."""
        try:
            return await super().process_api(*call, **how)
        except InvalidPathError as error:
            raise user_error(NOT_UPLOADED) from error
        except Exception as error:
            if type(error) is gr.Error and CHOICES not in error.message:
                raise
            traceback.print_exc()
            raise user_error(AMISS) from error
        finally:
            session = how.get("session_hash")
            if session and session == how.get("event_id"):  # a single call by nobody in particular
                self.state_holder.session_data.pop(session, None)
                self.state_holder.time_last_used.pop(session, None)


def linked(values: object) -> bool:
    """Whether a file's description somewhere inside names a link instead of an upload."""
    left = [values]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and path.lower().lstrip().startswith(("http:", "https:")):
                return True
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
    return False
