"""The Codes tab: pictures as grids of VQ-VAE codes, and edits of the grid."""

import contextlib

import gradio as gr
from gradio.context import Context

from tabs.codes import api, handlers
from tabs.codes.pictures import KINDS, available_kinds
from tabs.components.code_board import CodeBoard
from tabs.components.codebook_atlas import CodebookAtlas
from tabs.components.drawing_pad import DrawingPad
from tabs.components.picture_strip import PictureStrip
from tabs.components.share_panel import SharePanel
from tabs.validation import MAX_SEED


def warm() -> None:
    """Load the models and run them once, so that the first visitor need not wait."""
    with contextlib.suppress(gr.Error):
        for kind in KINDS:
            handlers.on_kind(kind)


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
    pictures = gr.State((), time_to_live=3600)  # of the strip

    private = {"api_visibility": "private", "show_progress": "hidden"}
    heavy = {**private, "concurrency_id": "model"}
    latest = {"trigger_mode": "always_last"}
    prior_settings = [label, temperature, top_k, seed]
    switch = {
        "inputs": kind, "outputs": [board, chain, strip, pictures, atlas, about, label, own],
    }  # fmt: skip
    kind.input(handlers.on_kind, **switch, **heavy)
    strip.pick(handlers.on_pick, [board, strip, pictures, kind, into], board, **heavy)
    upload.upload(handlers.on_upload, [board, upload, kind, into], board, **heavy)
    drawing.live(handlers.on_drawing, [board, drawing, kind, into], board, **latest, **heavy)
    board.edit(handlers.on_edit, board, [board, chain], **latest, **heavy)
    gr.on([chain.submit, chain.blur], handlers.on_chain, [board, chain], [board, chain], **heavy)
    sample.click(handlers.on_sample, [kind, *prior_settings], [strip, pictures], **heavy)
    complete.click(handlers.on_complete, [board, *prior_settings], [board, chain], **heavy)
    atlas.pick(
        None, [atlas, board], board, js="(a, b) => ({...b, pictures: null, chosen: a.chosen})",
        **private,
    )  # fmt: skip
    link_outputs = [*switch["outputs"], kind, temperature, top_k, seed]
    Context.root_block.load(handlers.from_link, None, link_outputs, **heavy)
    api.build()
