"""The Codes tab: pictures as grids of VQ-VAE codes, and edits of the grid."""

import contextlib

import gradio as gr

from tabs.codes import api, handlers
from tabs.codes.pictures import KINDS, available_kinds
from tabs.components.code_board import CodeBoard
from tabs.components.codebook_atlas import CodebookAtlas
from tabs.components.drawing_pad import DrawingPad
from tabs.components.picture_strip import PictureStrip
from tabs.components.share_panel import SharePanel
from tabs.components.tab_state import PRIVATE, TabState
from tabs.validation import MAX_SEED


def warm() -> None:
    """Load the models and run them once, so that the first visitor need not wait."""
    with contextlib.suppress(gr.Error):
        for kind in KINDS:
            handlers.answer({"kind": kind})


def build() -> None:
    """Layout and events: sources of pictures, the board, the prior's settings."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            kind = gr.Radio(
                available_kinds(), value=KINDS[0], label="Codebook", elem_id="codes-kind"
            )
            about = gr.Markdown(handlers.ABOUT[KINDS[0]], elem_classes="credit")
            into = gr.Radio(
                list(handlers.SLOTS), value="A", label="Load pictures into", elem_id="codes-into"
            )
            strip = PictureStrip(elem_id="codes-strip")
            upload = gr.UploadButton(
                "Upload a picture", file_types=["image"], type="filepath", elem_id="codes-upload"
            )
            with gr.Accordion("Draw a picture", open=False) as own:
                drawing = DrawingPad(elem_id="codes-pad")
        with gr.Column(elem_classes="studio-results"):
            state = TabState("codes", sent=1)
            board = CodeBoard(handlers.EMPTY_BOARD, elem_id="codes-board")
            atlas = CodebookAtlas(elem_id="codes-atlas")
        with gr.Column(elem_classes="studio-settings"):
            label = gr.Dropdown(["any"], value="any", label="Class", elem_id="codes-label")
            temperature = gr.Slider(
                0, handlers.MAX_TEMPERATURE, 1.0, step=0.05, label="Temperature", buttons=[]
            )
            top_k = gr.Slider(
                0, handlers.MAX_TOP_K, 0, step=1, label="Top-k (0: all codes)", buttons=[]
            )
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED)
            with gr.Row(elem_classes="studio-pair"):
                sample = gr.Button("Sample new pictures", elem_id="codes-sample")
                complete = gr.Button("Complete open cells", elem_id="codes-complete")
            SharePanel("codes").describe([board, label, temperature, top_k, seed])
            chain = gr.Textbox(
                label="Edits as text: copy or paste", lines=4, max_lines=12,
                buttons=["copy"], elem_id="codes-chain",
            )  # fmt: skip

    link = [board, label, temperature, top_k, seed]
    outputs = [board, chain, strip, atlas, about, kind, label, own]
    changes = [board.edit, *(setting.change for setting in link[1:])]
    state.connect(handlers.answer, link, outputs, changes, handlers.from_link)

    def act(event, inputs: list, action: str) -> None:
        """After an event add an action, JavaScript with the inputs' values `v`, to the board."""
        script = f"(...v) => {{ studio.board.act({action}); return []; }}"
        event(None, inputs, None, js=script, **PRIVATE)

    settings = "label: v[0], temperature: v[1], top_k: v[2], seed: v[3]"
    act(kind.input, [kind], "{do: 'kind', kind: v[0]}")
    act(strip.pick, [strip, into], "{do: 'picture', slot: v[1], picture: v[0].tiles[v[0].chosen]}")
    act(upload.upload, [upload, into], "{do: 'picture', slot: v[1], picture: {path: v[0].path}}")
    act(drawing.live, [drawing, into], "{do: 'picture', slot: v[1], picture: v[0]}")
    act(sample.click, link[1:], f"{{do: 'sample', {settings}}}")
    completed = f"(...v) => {{ studio.board.complete({{{settings}}}); return []; }}"
    complete.click(None, link[1:], None, js=completed, **PRIVATE)
    pasted = "text => { studio.board.text(text); return []; }"
    gr.on([chain.submit, chain.blur], None, chain, None, js=pasted, **PRIVATE)
    chosen = "atlas => { studio.board.choose(atlas.chosen); return []; }"
    atlas.pick(None, atlas, None, js=chosen, **PRIVATE)
    api.build()
