"""Delete what visitors leave behind: files in the upload folder, entries of Gradio's lists."""

import asyncio
import re
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from tabs.server.process import release_memory
from tabs.server.sessions import LightSessions

PERIOD_S = 20  # between two rounds
MAX_AGE_S = 3600  # for which a file is kept
MAX_BYTES = 2 * 2**30  # kept at once; beyond them the oldest files go first
CACHE_FOLDER = re.compile("[0-9a-f]{64}")  # holds one upload or result
PARTIAL_UPLOAD = re.compile("tmp[a-z0-9_]{8}")  # an upload while it comes in, or if it never ends


@asynccontextmanager
async def lifespan(server: Any) -> AsyncIterator[None]:
    """What runs beside the server: light sessions, and the clean-up."""
    page = server.get_blocks()
    server.state_holder = LightSessions()
    server.state_holder.set_blocks(page)
    task = asyncio.create_task(cleanup_loop(page))
    try:
        yield
    finally:
        task.cancel()


async def cleanup_loop(page: gr.Blocks) -> None:
    """Every `PERIOD_S`: delete old files and entries, and free memory while nobody waits."""
    while True:
        await asyncio.to_thread(delete_files, Path(get_upload_folder()), MAX_AGE_S, MAX_BYTES)
        drop_sessions(page)
        if page._queue.is_idle():
            await asyncio.to_thread(release_memory)
        await asyncio.sleep(PERIOD_S)


def delete_files(folder: Path, max_age: float, max_bytes: int) -> None:
    """Delete files older than `max_age` s, then the oldest until `max_bytes` are left.

    Gradio's own `delete_cache` knows neither partial uploads nor a limit of size. Only files with
    names that Gradio gives are touched.
    """
    files, now = [], time.time()
    for entry in [*_list(folder)]:
        if entry.is_symlink() or not entry.is_dir():
            paths = [entry] if PARTIAL_UPLOAD.fullmatch(entry.name) else []
        else:
            paths = [*_list(entry)] if CACHE_FOLDER.fullmatch(entry.name) else []
        for path in paths:
            with suppress(OSError):
                status = path.lstat()
                size = status.st_size if stat.S_ISREG(status.st_mode) else 0
                files.append((status.st_mtime, size, path))
        with suppress(OSError):  # a file has just come in, or the entry is a link
            is_empty = CACHE_FOLDER.fullmatch(entry.name) and not paths
            if is_empty and entry.lstat().st_mtime < now - max_age:
                entry.rmdir()
    total = sum(size for _, size, _ in files)
    for modified, size, path in sorted(files):
        if modified < now - max_age or total > max_bytes:
            with suppress(OSError):  # already gone, or a folder
                path.unlink()
            total -= size


def _list(folder: Path) -> Iterator[Path]:
    with suppress(OSError):  # gone, a file, or somebody else's
        yield from folder.iterdir()


def drop_sessions(page: gr.Blocks) -> None:
    """Shorten Gradio's lists that only grow: names of deleted files, sessions without an event."""
    for files in page.temp_file_sets:
        files -= {file for file in list(files) if not Path(file).exists()}
    queue = page._queue
    for session, events in list(queue.pending_event_ids_session.items()):
        if not events and session not in queue.pending_messages_per_session:
            del queue.pending_event_ids_session[session]
