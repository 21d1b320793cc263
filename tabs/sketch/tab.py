"""Layout and events of the Sketch tab: a few strokes in, many different finished drawings out."""

import contextlib

import gradio as gr
from gradio.context import Context

from tabs.components.completion_grid import CompletionGrid
from tabs.components.drawing_pad import DrawingPad
from tabs.components.share_panel import SharePanel
from tabs.sketch import api, handlers
from tabs.sketch.examples import example_row
from tabs.validation import MAX_SEED


def build() -> None:
    """The tab: pad and settings on the left, completions on the right."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            drawing = DrawingPad(elem_id="sketch-pad")
            go = gr.Button("Complete", variant="primary", size="lg", elem_id="sketch-go")
            starts = example_row()
        with gr.Column(elem_classes="studio-results"):
            with gr.Row(elem_classes="studio-pair"):
                view = gr.Radio(
                    handlers.VIEWS, value=handlers.VIEWS[0], label="Show", elem_id="sketch-kind"
                )
                threshold = gr.Slider(0.05, 0.95, 0.5, step=0.05, label="Threshold", buttons=[])
            shown = CompletionGrid(elem_id="sketch-results")
        with gr.Column(elem_classes="studio-settings"):
            label = gr.Dropdown(["any", *handlers.LABELS], value="any", label="It is a drawing of")
            count = gr.Slider(1, handlers.MAX_SHOWN, 16, step=1, label="How many", buttons=[])
            temperature = gr.Slider(
                0, handlers.MAX_TEMPERATURE, 1.0, step=0.05, label="Temperature", buttons=[]
            )
            with gr.Row(elem_classes="studio-pair"):
                seed = gr.Number(
                    0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, elem_id="sketch-seed"
                )
                reroll = gr.Button("Reroll", elem_id="sketch-reroll")
            SharePanel("sketch").describe([drawing, label, count, temperature, seed])
    kept = gr.State(None, time_to_live=3600)

    settings = [drawing, label, count, temperature, seed, view, threshold]
    plumbing = {"api_visibility": "private", "show_progress": "hidden"}
    heavy = {**plumbing, "concurrency_id": "model", "outputs": [kept, shown]}
    latest = {"trigger_mode": "always_last"}
    go.click(handlers.on_complete, settings, **heavy)
    drawing.live(handlers.on_live, settings, **latest, **heavy)
    changes = [label.input, count.release, temperature.release, seed.input]
    gr.on(changes, handlers.on_live, settings, **latest, **heavy)
    reroll.click(
        None, None, seed, js=f"() => Math.floor(Math.random() * {MAX_SEED})", **plumbing
    ).then(handlers.on_complete, settings, **heavy)
    threshold.input(None, None, view, js=f"() => '{handlers.VIEWS[1]}'", **plumbing)
    gr.on(
        [view.change, threshold.input],
        handlers.show,
        [kept, view, threshold],
        shown,
        **latest,
        **plumbing,
    )
    starts.pick(
        None, starts, [drawing, label], js="s => [{strokes: s.drawings[s.chosen]}, s.chosen]",
        **plumbing,
    )  # fmt: skip
    shown.pick(
        None, shown, drawing, js="s => ({strokes: [], base: s.tiles[s.chosen].ink})", **plumbing
    )
    Context.root_block.load(
        handlers.from_link, None, [drawing, label, count, temperature, seed], **plumbing
    )
    api.register()


def warm() -> None:
    """Load the model and run it once before the first visitor does; errors are shown to them."""
    with contextlib.suppress(gr.Error):
        handlers.complete({"strokes": [[[9], [9]]]}, "any", 16, 1.0, 0)
