"""What visitors leave behind: files in the upload folder, names in Gradio's lists."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

EVERY = 60  # s between two rounds
AGE = 3600  # s for which a file is kept
MOST = 2 * 2**30  # bytes kept at once; beyond them the oldest go first


@asynccontextmanager
async def tidied(server: Any) -> AsyncIterator[None]:
    """Goes round while the server runs: its `lifespan`."""
    rounds = asyncio.create_task(go_round(server.get_blocks()))
    try:
        yield
    finally:
        rounds.cancel()


async def go_round(page: gr.Blocks) -> None:
    """Sweep and forget, again and again."""
    while True:
        await asyncio.to_thread(sweep, Path(get_upload_folder()), AGE, MOST)
        forget(page)
        await asyncio.sleep(EVERY)


def sweep(folder: Path, age: float, most: int) -> None:
    """Delete files older than `age` s, then the oldest until `most` bytes are left.

    Gradio's own `delete_cache` knows neither broken-off uploads nor any limit of size.
    """
    files, now = [], time.time()
    for top, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(top, name)
            with suppress(FileNotFoundError):
                found = path.lstat()
                size = found.st_size if stat.S_ISREG(found.st_mode) else 0
                files.append((found.st_mtime, size, path))
        with suppress(OSError):  # not empty
            if Path(top) != folder and Path(top).stat().st_mtime < now - age:
                Path(top).rmdir()
    left = sum(size for _, size, _ in files)
    for changed, size, path in sorted(files):
        if changed < now - age or left > most:
            path.unlink(missing_ok=True)
            left -= size


def forget(page: gr.Blocks) -> None:
    """Take names off Gradio's lists that only grow: of gone files, of sessions without an event."""
    for files in page.temp_file_sets:
        files -= {file for file in list(files) if not Path(file).exists()}
    queue = page._queue
    for session, events in list(queue.pending_event_ids_session.items()):
        if not events and session not in queue.pending_messages_per_session:
            del queue.pending_event_ids_session[session]
