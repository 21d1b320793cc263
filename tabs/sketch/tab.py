"""Layout and events of the Sketch tab: a few strokes in, many different finished drawings out."""

import contextlib

import gradio as gr

from tabs.components.completion_grid import CompletionGrid
from tabs.components.drawing_pad import DrawingPad
from tabs.components.share_panel import SharePanel
from tabs.components.tab_state import PRIVATE, TabState
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
            state = TabState("sketch", sent=5)
            with gr.Row(elem_classes="studio-setting"):
                label = gr.Dropdown(
                    ["any", *handlers.LABELS], value="any", label="It is a drawing of",
                    elem_id="sketch-label",
                )  # fmt: skip
            with gr.Row(elem_classes="studio-pair"):
                view = gr.Radio(
                    handlers.VIEWS, value=handlers.VIEWS[0], label="Show", elem_id="sketch-kind"
                )
                threshold = gr.Slider(
                    *handlers.THRESHOLDS, 0.5, step=0.05, label="Threshold", buttons=[]
                )
            shown = CompletionGrid(elem_id="sketch-results")
        with gr.Column(elem_classes="studio-settings"):
            count = gr.Slider(1, handlers.MAX_SHOWN, 16, step=1, label="How many", buttons=[])
            temperature = gr.Slider(
                0, handlers.MAX_TEMPERATURE, 1.0, step=0.05, label="Temperature", buttons=[]
            )
            with gr.Row(elem_classes="studio-pair"):
                seed = gr.Number(
                    0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, elem_id="sketch-seed"
                )
                reroll = gr.Button("Reroll", elem_id="sketch-reroll")
            settings = [drawing, label, count, temperature, seed, view, threshold]
            SharePanel("sketch").describe(settings)

    changes = [drawing.edit, *(setting.change for setting in settings[1:])]
    state.connect(handlers.answer, settings, [shown], changes, handlers.from_link)
    go.click(None, None, None, js=state.ask_js, **PRIVATE)
    random_seed = f"() => Math.floor(Math.random() * {MAX_SEED})"
    reroll.click(None, None, seed, js=random_seed, **PRIVATE).then(
        None, None, None, js=state.ask_js, **PRIVATE
    )
    threshold.input(None, None, view, js=f"() => '{handlers.VIEWS[1]}'", **PRIVATE)
    gr.on(
        [view.change, threshold.change], None, [view, threshold], None,
        js="(...look) => { studio.look(...look); return []; }", **PRIVATE,
    )  # fmt: skip
    starts.pick(
        None, starts, [drawing, label], js="s => [{strokes: s.drawings[s.chosen]}, s.chosen]",
        **PRIVATE,
    )  # fmt: skip
    forget = "(s, label) => [s.chosen === label ? 'any' : label]"  # what an example has set
    drawing.clear(None, [starts, label], label, js=forget, **PRIVATE)
    shown.name(None, shown, label, js="s => [s.named]", **PRIVATE)
    shown.pick(None, shown, drawing, js="s => ({strokes: [], base: s.tiles[s.chosen]})", **PRIVATE)
    api.register()


def warm() -> None:
    """Load the model and run it once before the first visitor does; errors are shown to them."""
    with contextlib.suppress(gr.Error):
        handlers.complete({"strokes": [[[9], [9]]]}, "any", 16, 1.0, 0)
