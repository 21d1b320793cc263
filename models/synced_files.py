"""Files whose content is on the disk before they are renamed, and why a write failed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def open_synced(path: Path) -> Iterator[IO[bytes]]:
    """A new file at `path` whose content is on the disk when the block ends."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def cause_and_cure(error: OSError) -> tuple[str, str]:
    """Why a write failed and what to do: ("the disk is full", "free some space")."""
    full = error.errno in (*NO_SPACE, errno.EFBIG)
    cause = "the disk is full" if error.errno in NO_SPACE else error.strerror or str(error)
    return cause, "free some space" if full else "make the folder writable or choose another"
