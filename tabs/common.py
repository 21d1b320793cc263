"""What the tabs share: the model cache, checks of what comes in, error texts."""

import math
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

try:
    import spaces  # ZeroGPU's own; it must come before torch, which is imported on first use
except ImportError:
    spaces = None

ASSETS = Path(__file__).parent / "components"
SAMPLE_FACES = Path(__file__).parent / "sample_faces"
MAX_SEED = 2**31 - 1
NOT_UPLOADED = (
    "The picture must be uploaded: with gradio_client, pass handle_file('your_picture.png')."
)

_loading = threading.Lock()


def marked(function: Callable[[], None]) -> Callable[[], None]:
    """`function` as one that ZeroGPU may lend a GPU to; anywhere else, just it."""
    return spaces.GPU(function) if spaces else function


@marked
def gpu() -> None:
    """Never called: ZeroGPU stops an app that marks nothing, and the models are quick without."""


def asset(name: str) -> str:
    """A file of HTML or JavaScript that belongs to a component."""
    return (ASSETS / name).read_text("utf-8")


def component(value: dict, name: str, **layout) -> gr.HTML:
    """A component of our own, from the assets `name`.html and `name`.js."""
    return gr.HTML(
        value,
        html_template=asset(f"{name}.html"),
        js_on_load=asset(f"{name}.js"),
        apply_default_css=False,
        **layout,
    )


def part(value: object, name: str) -> Any:
    """What a component's value has under `name`; None where it has no such thing."""
    return value.get(name) if isinstance(value, dict) else None


def problem(text: str) -> gr.Error:
    """A sentence for the visitor, with no stack trace in the page, the reply or the log."""
    return gr.Error(text, title="That did not work", duration=8, print_exception=False)


@cache
def _load(stem: str):
    """The released model, from now on in memory. Torch is imported here, on first use."""
    from models import checkpoint

    return checkpoint.load(stem)


def model(stem: str):
    """The model of the demo `stem`, loaded once; a bad checkpoint is the visitor's sentence."""
    try:
        with _loading:
            return _load(stem)
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        raise problem(str(error)) from error


def number(value: object, name: str, low: float, high: float, *, whole: bool = False) -> float:
    """`value` as a finite number in [low, high], an int if `whole`; anything else is refused."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not low <= value <= high or (whole and value != math.floor(value)):
        kind = "a whole number" if whole else "a number"
        raise problem(f"{name} must be {kind} from {low:g} to {high:.10g}, not {brief(value)}.")
    return int(value) if whole else float(value)


def choice(value: object, name: str, allowed: Sequence[str]) -> str:
    """`value` if it is one of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise problem(f"{name} {brief(value)} is unknown. Choose one of: {', '.join(allowed)}.")
    return value


def brief(value: object) -> str:
    """`value` for an error text, cut to a readable length."""
    if isinstance(value, int) and abs(value) >= 10**12:  # str() of a huge int is itself an error
        return "a huge number"
    if not isinstance(value, int | float | str | None):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def uploaded(file: object) -> Path:
    """The path of a file that came through Gradio's upload; no other path is opened."""
    path = file.get("path") if isinstance(file, dict) else None
    if isinstance(path, str) and "\0" not in path and len(path) < 1024:
        place = Path(path).resolve()
        if place.is_relative_to(Path(get_upload_folder()).resolve()) and place.is_file():
            return place
    raise problem(NOT_UPLOADED)


async def keep_upload(path: str) -> str:
    """What Gradio does with a file in the request: keep it where it is, and fetch no link."""
    return str(uploaded({"path": path}))
