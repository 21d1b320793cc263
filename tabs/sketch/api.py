"""The endpoint of Sketch: a drawing in, PNG files of its completions out."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from tabs.image_encoding import encode_png
from tabs.server.uploads import accept_uploads_only
from tabs.sketch import render
from tabs.sketch.handlers import complete, sample
from tabs.validation import user_error


def complete_sketch(
    drawing: Any,
    label: str = "any",
    count: int = 16,
    temperature: float = 1.0,
    seed: int = 0,
    spread: bool = False,
) -> list[dict]:
    """Completions of a drawing as PNG files, 64x64, black ink on white paper.

    `drawing` is a picture (`gradio_client.handle_file`, dark on light, at most 50 megapixels), a
    PNG data URL, a list of strokes `[[xs, ys], ...]` in px of a 256x256 canvas, or the value of
    the page's pad. `label` is a class or "any"; the same `seed` gives the same pictures; a higher
    `temperature` makes them more diverse. `spread` selects the most diverse ones of twice as many,
    as the page does, for a `count` of at most 32.
    """
    if not isinstance(spread, bool):
        raise user_error("Spread must be true or false.")
    if spread:
        samples = complete(drawing, label, count, temperature, seed).shown
    else:
        _, samples, _ = sample(drawing, label, count, temperature, seed)
    folder = get_upload_folder()
    files = []
    for i, pixels in enumerate(render.greyscale(samples)):
        file = save_bytes_to_cache(encode_png(pixels), f"completion-{i + 1:02}.png", folder)
        files.append(gr.FileData(path=file, orig_name=Path(file).name).model_dump())
    return files


def register() -> None:
    """Add the endpoint /complete_sketch to the page being built."""
    gr.api(complete_sketch, api_name="complete_sketch", concurrency_id="model")
    accept_uploads_only(Context.root_block, "complete_sketch")
