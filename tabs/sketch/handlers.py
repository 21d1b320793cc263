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
THRESHOLDS = 0.05, 0.95


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
    """`count` diverse completions out of twice as many samples; reproducible by the seed.

    The first one is that which a classifier of drawings recognises best.
    """
    count = check_number(count, "Count", 1, MAX_SHOWN, whole=True)
    partial, samples, probabilities = sample(drawing, label, OVERSAMPLE * count, temperature, seed)
    first = most_recognisable(samples, label)
    shown = samples[render.select_diverse(samples, partial, count, first)]
    name = f"sketch-{label.replace(' ', '-')}-seed{int(seed)}"
    return Completions(partial, shown, samples.std(0), len(samples), probabilities, name)


def most_recognisable(samples: np.ndarray, label: str) -> int:
    """The index of the sample (n, 64, 64) whose class, or `label`, is the most probable."""
    classifier = model_cache.get_model("sketch-classifier")
    logits, _ = classifier.predict((255 * samples).round().astype(np.uint8))
    logits = logits - logits.max(1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if label == "any":
        return int(probabilities.max(1).argmax())
    return int(probabilities[:, classifier.config.classes.index(label)].argmax())


def answer(drawing: object, label: str, count: int, temperature: float, seed: int) -> tuple[dict]:
    """The grid's value for a state of the tab; an error is a line in it."""
    if isinstance(drawing, dict) and not drawing.get("strokes") and not drawing.get("base"):
        return (completion_grid.EMPTY,)
    try:
        return (render.grid_value(complete(drawing, label, count, temperature, seed)),)
    except gr.Error as error:
        return ({**completion_grid.EMPTY, "note": error.message},)


def from_link(query: dict[str, str]):
    """Drawing, settings and view of a link; invalid ones are ignored."""
    drawing = gr.skip()
    with contextlib.suppress(ValueError, gr.Error):
        drawing = drawing_pad.drawing_from_link(query)
    label, view = query.get("label"), query.get("view")
    return (
        drawing,
        label if label in LABELS else gr.skip(),
        permalink.parse_number(query, "count", 1, MAX_SHOWN),
        permalink.parse_number(query, "temperature", 0, MAX_TEMPERATURE, whole=False),
        permalink.parse_number(query, "seed", 0, MAX_SEED),
        view if view in VIEWS else gr.skip(),
        permalink.parse_number(query, "threshold", *THRESHOLDS, whole=False),
    )
