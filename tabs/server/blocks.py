"""The page as Gradio serves it: queue, sessions and error sentences of our own."""

import os
import tempfile
import traceback
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError

from tabs.server.visitor_queue import VisitorQueue
from tabs.validation import NOT_UPLOADED, user_error

GENERIC_ERROR = "This request cannot be carried out: one of its values is not valid."
BUSY = "Too many visitors are waiting: ask again."
MAX_WAITING = 64  # calls of pages that are computed or wait
CHOICES = "is not in the list of choices"  # Gradio then shows the value's type, and all choices


class StudioBlocks(gr.Blocks):
    """Blocks whose API explains errors, opens no links, and drops a caller's session once answered.

    At most two events are computed at a time; each visitor's keep their order.
    """

    def __init__(self, title: str) -> None:
        user = os.getuid() if hasattr(os, "getuid") else "files"
        folder = Path(tempfile.gettempdir()) / f"latent-studio-{user}"
        os.environ.setdefault("GRADIO_TEMP_DIR", str(folder))  # cleaned up: not shared with others
        super().__init__(title=title, analytics_enabled=False, delete_cache=(3600, 3600))
        self.waiting = 0  # calls of pages, which do not go through the queue

    def queue(self, *, max_size: int | None = None, **settings: Any) -> "StudioBlocks":
        """As in Gradio, with a `VisitorQueue`."""
        super().queue(max_size=max_size, **settings)
        self._queue = VisitorQueue(max_size, self)
        return self

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Refuse too few values, and values that Gradio would download."""
        expected = len(block_fn.inputs)
        if len(inputs) < expected:
            raise user_error(f"This needs {expected} values, not {len(inputs)}.")
        if contains_url(inputs):
            raise user_error(NOT_UPLOADED)

    async def process_api(self, block_fn: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in Gradio; an unexpected error becomes a sentence, and a trace in the log.

        The title "Busy" of an error says that the same call may be answered later.
        """
        direct = int(not block_fn.queue)
        if direct and self.waiting >= MAX_WAITING:
            raise gr.Error(BUSY, title="Busy", print_exception=False)
        self.waiting += direct
        try:
            return await super().process_api(block_fn, *args, **kwargs)
        except InvalidPathError as error:
            raise user_error(NOT_UPLOADED) from error
        except Exception as error:
            if type(error) is gr.Error and CHOICES not in error.message:
                raise
            traceback.print_exc()
            raise user_error(GENERIC_ERROR) from error
        finally:
            self.waiting -= direct
            session = kwargs.get("session_hash")
            if session and session == kwargs.get("event_id"):  # an API call without a session
                self.state_holder.session_data.pop(session, None)
                self.state_holder.time_last_used.pop(session, None)


def contains_url(values: object) -> bool:
    """Whether a file's description anywhere inside names a URL instead of an upload."""
    stack = [values]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and path.lower().lstrip().startswith(("http:", "https:")):
                return True
            stack += value.values()
        elif isinstance(value, list | tuple):
            stack += value
    return False
