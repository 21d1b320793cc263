"""Checks of the values that a visitor sends, and the error sentences."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

MAX_SEED = 2**31 - 1
NOT_UPLOADED = (
    "The picture must be uploaded: with gradio_client, pass handle_file('your_picture.png')."
)


def user_error(text: str) -> gr.Error:
    """An error whose sentence is shown to the visitor, without a stack trace anywhere."""
    return gr.Error(text, title="That did not work", duration=8, print_exception=False)


def short_repr(value: object) -> str:
    """`repr(value)` for an error text, at most 40 characters; the type's name for containers."""
    if isinstance(value, int) and abs(value) >= 10**12:  # str() of a huge int is itself an error
        return "a huge number"
    if not isinstance(value, int | float | str | None):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def get_key(value: object, name: str) -> Any:
    """`value[name]`; None if `value` is no dict or has no such key."""
    return value.get(name) if isinstance(value, dict) else None


def check_number(
    value: object, name: str, low: float, high: float, *, whole: bool = False
) -> float:
    """`value` as a finite number in [low, high], an int if `whole`; otherwise a `gr.Error`."""
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    if not valid or not low <= value <= high or (whole and value != math.floor(value)):
        kind = "a whole number" if whole else "a number"
        raise user_error(
            f"{name} must be {kind} from {low:g} to {high:.10g}, not {short_repr(value)}."
        )
    return int(value) if whole else float(value)


def check_choice(value: object, name: str, allowed: Sequence[str]) -> str:
    """`value` if it is one of `allowed`; otherwise a `gr.Error`."""
    if not isinstance(value, str) or value not in allowed:
        raise user_error(
            f"{name} {short_repr(value)} is unknown. Choose one of: {', '.join(allowed)}."
        )
    return value


def uploaded_path(file: object, refusal: str = NOT_UPLOADED) -> Path:
    """The path of a file that came through Gradio's upload; no other path is opened."""
    path = get_key(file, "path")
    if isinstance(path, str) and "\0" not in path and len(path) < 1024:
        resolved = Path(path).resolve()
        if resolved.is_relative_to(Path(get_upload_folder()).resolve()) and resolved.is_file():
            return resolved
    raise user_error(refusal)
