"""What training left beside a model's weights: positions of test digits, samples, losses."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from tabs.validation import user_error


def folder_of(stem: str) -> Path | None:
    """The folder of a checkpoint; None where there is none."""
    from models import checkpoint  # imports torch: not before the page answers

    try:
        return checkpoint.locate(stem)
    except FileNotFoundError:
        return None
    except checkpoint.CheckpointError as error:
        raise user_error(str(error)) from error


@lru_cache(maxsize=64)
def read_file(path: Path) -> bytes | None:
    """The content of a file, kept in memory; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def read(stem: str, name: str) -> bytes | None:
    """A file beside the weights of `stem`; None where there is none."""
    folder = folder_of(stem)
    return None if folder is None else read_file(folder / name)


def read_json(stem: str, name: str) -> dict[str, Any] | None:
    """The object in a JSON file beside the weights of `stem`; None where there is none."""
    text = read(stem, name)
    try:
        return None if text is None else dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise user_error(f"{name} of {stem} is damaged: train it again.") from error
