"""What the Sketch tab's events compute: drawings and settings in, completions out."""

import contextlib

import gradio as gr
import numpy as np

from tabs import model_cache, permalink
from tabs.components import completion_grid, drawing_pad
from tabs.sketch import render
from tabs.sketch.render import Completions
from tabs.validation import MAX_SEED, check_choice, check_number, user_error

LABELS = (
    "airplane", "alarm clock", "apple", "backpack", "bicycle", "book", "butterfly", "cactus",
    "cake", "car", "cat", "coffee cup", "crab", "eye", "face", "ice cream", "mug", "pig",
    "pineapple", "shoe", "smiley face", "snowman", "sun", "teapot",
)  # fmt: skip
OVERSAMPLE = 2  # samples for each completion shown
MAX_SHOWN, MAX_COUNT, MAX_TEMPERATURE = 32, 64, 2.0
VIEWS = ("Probabilities", "Binary")


def sample(
    drawing: object, label: str, count: int, temperature: float, seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """The drawing's ink, `count` samples of the model for it, and the labels' probabilities.

    gr.Error for a wrong argument.
    """
    partial = drawing_pad.parse_drawing(drawing)
    count = check_number(count, "Count", 1, MAX_COUNT, whole=True)
    temperature = check_number(temperature, "Temperature", 0, MAX_TEMPERATURE)
    seed = check_number(seed, "Seed", 0, MAX_SEED, whole=True)
    model = model_cache.get_model("sketch")
    label = check_choice(label, "Label", ("any", *model.labels))
    import torch

    try:
        ink, probabilities = model.complete_with_labels(
            torch.from_numpy(partial), label, count, temperature, seed
        )
    except ValueError as error:
        raise user_error(str(error)) from error
    return partial, ink.cpu().numpy(), probabilities


def complete(drawing: object, label: str, count: int, temperature: float, seed: int) -> Completions:
    """`count` diverse completions out of twice as many samples; reproducible by the seed."""
    count = check_number(count, "Count", 1, MAX_SHOWN, whole=True)
    partial, samples, probabilities = sample(drawing, label, OVERSAMPLE * count, temperature, seed)
    shown = samples[render.select_diverse(samples, partial, count)]
    name = f"sketch-{label.replace(' ', '-')}-seed{int(seed)}"
    return Completions(partial, shown, samples.std(0), len(samples), probabilities, name)


def show(completions: Completions | None, view: str, threshold: float) -> dict:
    """The kept completions as the grid's value, without sampling again."""
    view = check_choice(view, "View", VIEWS)
    threshold = check_number(threshold, "Threshold", 0.05, 0.95)
    if completions is None:
        return completion_grid.EMPTY
    return render.grid_value(completions, view, threshold)


def on_complete(drawing, label, count, temperature, seed, view, threshold):
    """The button: an error is a message on the page."""
    completions = complete(drawing, label, count, temperature, seed)
    return completions, show(completions, view, threshold)


def on_live(drawing, *settings):
    """A change in live mode: an empty pad clears the grid, an error is a line in it."""
    if not (isinstance(drawing, dict) and drawing.get("live")):
        return gr.skip(), gr.skip()
    if not drawing.get("strokes") and not drawing.get("base"):
        return None, completion_grid.EMPTY
    try:
        return on_complete(drawing, *settings)
    except gr.Error as error:
        return None, {**completion_grid.EMPTY, "note": error.message}


def ink_from_link(text: str) -> dict:
    """The pad's value of a link's `ink`: strokes of x and y, "-" before what is erased."""
    parts = text.split(".")
    coordinates = [permalink.decode_base36(part.removeprefix("-"), 2) for part in parts]
    strokes = [[row[0::2], row[1::2]] for row in coordinates]
    drawing = {"strokes": strokes, "erase": [part.startswith("-") for part in parts]}
    drawing_pad.parse_drawing(drawing)
    return {**drawing_pad.EMPTY, **drawing}


def from_link(request: gr.Request):
    """Drawing and settings named in the page's address; invalid ones are ignored."""
    query = permalink.tab_query(request, "sketch")
    drawing = gr.skip()
    with contextlib.suppress(ValueError, gr.Error):
        drawing = ink_from_link(query.get("ink", ""))
    label = query.get("label")
    return (
        drawing,
        label if label in LABELS else gr.skip(),
        permalink.parse_number(query, "count", 1, MAX_SHOWN),
        permalink.parse_number(query, "temperature", 0, MAX_TEMPERATURE, whole=False),
        permalink.parse_number(query, "seed", 0, MAX_SEED),
    )
