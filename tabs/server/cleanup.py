"""What visitors leave behind: files in the upload folder, names in Gradio's lists."""

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

EVERY = 60  # s between two rounds
AGE = 3600  # s for which a file is kept
MADE = re.compile("[0-9a-f]{64}")  # a folder that holds one upload or result
BROKEN_OFF = re.compile("tmp[a-z0-9_]{8}")  # an upload while it comes in, and if it never ends
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

    Gradio's own `delete_cache` knows neither broken-off uploads nor any limit of size. Only what
    has a name that Gradio gives is touched.
    """
    files, now = [], time.time()
    for place in [*_listed(folder)]:
        if place.is_symlink() or not place.is_dir():
            inside = [place] if BROKEN_OFF.fullmatch(place.name) else []
        else:
            inside = [*_listed(place)] if MADE.fullmatch(place.name) else []
        for path in inside:
            with suppress(OSError):
                found = path.lstat()
                size = found.st_size if stat.S_ISREG(found.st_mode) else 0
                files.append((found.st_mtime, size, path))
        with suppress(OSError):  # something has just come in, or it is a link
            if MADE.fullmatch(place.name) and not inside and place.lstat().st_mtime < now - age:
                place.rmdir()
    left = sum(size for _, size, _ in files)
    for changed, size, path in sorted(files):
        if changed < now - age or left > most:
            with suppress(OSError):  # gone, or a folder
                path.unlink()
            left -= size


def _listed(folder: Path) -> Iterator[Path]:
    with suppress(OSError):  # gone, a file, somebody else's
        yield from folder.iterdir()


def forget(page: gr.Blocks) -> None:
    """Take names off Gradio's lists that only grow: of gone files, of sessions without an event."""
    for files in page.temp_file_sets:
        files -= {file for file in list(files) if not Path(file).exists()}
    queue = page._queue
    for session, events in list(queue.pending_event_ids_session.items()):
        if not events and session not in queue.pending_messages_per_session:
            del queue.pending_event_ids_session[session]
