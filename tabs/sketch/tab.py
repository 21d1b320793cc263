"""Sketch completion: a few strokes in, many different finished drawings out."""

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.context import Context
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from tabs import image_encoding, model_cache, permalink
from tabs.components import completion_grid, drawing_pad
from tabs.components.completion_grid import CompletionGrid
from tabs.components.drawing_pad import DrawingPad
from tabs.components.share_panel import SharePanel
from tabs.server.uploads import accept_uploads_only
from tabs.sketch import render as sketch_view
from tabs.sketch.examples import examples
from tabs.sketch.render import Completions
from tabs.validation import MAX_SEED, check_choice, check_number, user_error

LABELS = (
    "airplane", "alarm clock", "apple", "backpack", "bicycle", "book", "butterfly", "cactus",
    "cake", "car", "cat", "coffee cup", "crab", "eye", "face", "ice cream", "mug", "pig",
    "pineapple", "shoe", "smiley face", "snowman", "sun", "teapot",
)  # fmt: skip
OVERSAMPLE = 2  # samples drawn for each one shown
MAX_SHOWN, MAX_COUNT, MAX_TEMPERATURE = 32, 64, 2.0
KINDS = ("Probabilities", "Binary")


def sample(
    drawing: object, label: str, count: int, temperature: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The drawing's ink and `count` samples of the model for it, all arguments checked."""
    partial = drawing_pad.parse_drawing(drawing)
    count = check_number(count, "Count", 1, MAX_COUNT, whole=True)
    temperature = check_number(temperature, "Temperature", 0, MAX_TEMPERATURE)
    seed = check_number(seed, "Seed", 0, MAX_SEED, whole=True)
    model = model_cache.get_model("sketch")
    label = check_choice(label, "Label", ("any", *model.labels))
    import torch

    try:
        ink = model.complete(torch.from_numpy(partial), label, count, temperature, seed)
    except ValueError as error:
        raise user_error(str(error)) from error
    return partial, ink.cpu().numpy()


def complete(drawing: object, label: str, count: int, temperature: float, seed: int) -> Completions:
    """A spread of `count` completions out of twice as many; the same seed gives the same ones."""
    count = check_number(count, "Count", 1, MAX_SHOWN, whole=True)
    partial, samples = sample(drawing, label, OVERSAMPLE * count, temperature, seed)
    shown = samples[sketch_view.spread(samples, partial, count)]
    name = f"sketch-{label.replace(' ', '-')}-seed{int(seed)}"
    import torch

    guess = model_cache.get_model("sketch").guess(torch.from_numpy(partial))
    return Completions(partial, shown, samples.std(0), len(samples), guess, name)


def show(made: Completions | None, kind: str, threshold: float) -> dict:
    """The kept completions as the grid's value, without sampling again."""
    kind = check_choice(kind, "View", KINDS)
    threshold = check_number(threshold, "Threshold", 0.05, 0.95)
    return completion_grid.EMPTY if made is None else sketch_view.view(made, kind, threshold)


def on_complete(drawing, label, count, temperature, seed, kind, threshold):
    """The button: an error is a message on the page."""
    made = complete(drawing, label, count, temperature, seed)
    return made, show(made, kind, threshold)


def on_live(drawing, *settings):
    """A change in live mode: bare paper clears the grid, an error is a line in it."""
    if not (isinstance(drawing, dict) and drawing.get("live")):
        return gr.skip(), gr.skip()
    if not drawing.get("strokes") and not drawing.get("base"):
        return None, completion_grid.EMPTY
    try:
        return on_complete(drawing, *settings)
    except gr.Error as error:
        return None, {**completion_grid.EMPTY, "note": error.message}


def complete_sketch(
    drawing: Any, label: str = "any", count: int = 16, temperature: float = 1.0, seed: int = 0
) -> list[dict]:
    """Completions of a drawing as PNG files, 64x64, black ink on white paper.

    `drawing` is a picture (`gradio_client.handle_file`, dark on light, at most 50 megapixels), a
    PNG data URL, a list of strokes `[[xs, ys], ...]` in px of a 256x256 canvas, or the value of
    the page's pad. `label` is a class or "any"; the same `seed` gives the same pictures; a higher
    `temperature` varies them more.
    """
    _, samples = sample(drawing, label, count, temperature, seed)
    folder = get_upload_folder()
    files = []
    for i, pixels in enumerate(sketch_view.grey(samples)):
        file = save_bytes_to_cache(
            image_encoding.encode_png(pixels), f"completion-{i + 1:02}.png", folder
        )
        files.append(gr.FileData(path=file, orig_name=Path(file).name).model_dump())
    return files


def inked(text: str) -> dict:
    """The pad's value of a link's `ink`: strokes of x and y, "-" before what is erased."""
    parts = text.split(".")
    places = [permalink.decode_base36(part.removeprefix("-"), 2) for part in parts]
    strokes = [[row[0::2], row[1::2]] for row in places]
    drawing = {"strokes": strokes, "erase": [part.startswith("-") for part in parts]}
    drawing_pad.parse_drawing(drawing)
    return {**drawing_pad.EMPTY, **drawing}


def from_link(request: gr.Request):
    """Drawing and settings named in the page's address; what is wrong is ignored."""
    told = permalink.tab_query(request, "sketch")
    drawing = gr.skip()
    with contextlib.suppress(ValueError, gr.Error):
        drawing = inked(told.get("ink", ""))
    label = told.get("label")
    return (
        drawing,
        label if label in LABELS else gr.skip(),
        permalink.parse_number(told, "count", 1, MAX_SHOWN),
        permalink.parse_number(told, "temperature", 0, MAX_TEMPERATURE, whole=False),
        permalink.parse_number(told, "seed", 0, MAX_SEED),
    )


def warm() -> None:
    """Load the model and run it once, so that the first visitor need not wait; errors wait, too."""
    with contextlib.suppress(gr.Error):
        complete({"strokes": [[[9], [9]]]}, "any", 16, 1.0, 0)


def build() -> None:
    """The tab: pad and settings on the left, completions on the right."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            drawing = DrawingPad(elem_id="sketch-pad")
            go = gr.Button("Complete", variant="primary", size="lg", elem_id="sketch-go")
            starts = examples()
        with gr.Column(elem_classes="studio-results"):
            with gr.Row(elem_classes="studio-pair"):
                kind = gr.Radio(KINDS, value=KINDS[0], label="Show", elem_id="sketch-kind")
                threshold = gr.Slider(0.05, 0.95, 0.5, step=0.05, label="Threshold", buttons=[])
            shown = CompletionGrid(elem_id="sketch-results")
        with gr.Column(elem_classes="studio-settings"):
            label = gr.Dropdown(["any", *LABELS], value="any", label="It is a drawing of")
            count = gr.Slider(1, MAX_SHOWN, 16, step=1, label="How many", buttons=[])
            temperature = gr.Slider(
                0, MAX_TEMPERATURE, 1.0, step=0.05, label="Temperature", buttons=[]
            )
            with gr.Row(elem_classes="studio-pair"):
                seed = gr.Number(
                    0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, elem_id="sketch-seed"
                )
                reroll = gr.Button("Reroll", elem_id="sketch-reroll")
            SharePanel("sketch", [drawing, label, count, temperature, seed])
    kept = gr.State(None, time_to_live=3600)

    settings = [drawing, label, count, temperature, seed, kind, threshold]
    plumbing = {"api_visibility": "private", "show_progress": "hidden"}
    heavy = {**plumbing, "concurrency_id": "model", "outputs": [kept, shown]}
    latest = {"trigger_mode": "always_last"}
    go.click(on_complete, settings, **heavy)
    drawing.live(on_live, settings, **latest, **heavy)
    changes = [label.input, count.release, temperature.release, seed.input]
    gr.on(changes, on_live, settings, **latest, **heavy)
    reroll.click(
        None, None, seed, js=f"() => Math.floor(Math.random() * {MAX_SEED})", **plumbing
    ).then(on_complete, settings, **heavy)
    threshold.input(None, None, kind, js=f"() => '{KINDS[1]}'", **plumbing)
    gr.on(
        [kind.change, threshold.input], show, [kept, kind, threshold], shown, **latest, **plumbing
    )
    starts.pick(
        None, starts, [drawing, label], js="s => [{strokes: s.drawings[s.chosen]}, s.chosen]",
        **plumbing,
    )  # fmt: skip
    shown.pick(
        None, shown, drawing, js="s => ({strokes: [], base: s.tiles[s.chosen].ink})", **plumbing
    )
    page = Context.root_block
    page.load(from_link, None, [drawing, label, count, temperature, seed], **plumbing)
    gr.api(complete_sketch, api_name="complete_sketch", concurrency_id="model")
    accept_uploads_only(page, "complete_sketch")
