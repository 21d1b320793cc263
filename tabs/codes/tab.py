"""Codes: pictures as grids of VQ-VAE codes, and edits of the grid; what the page calls."""

import contextlib

import gradio as gr
from gradio.context import Context

from tabs.codes import api as codes_api
from tabs.codes import board as codes_board
from tabs.codes import kinds as codes_kind
from tabs.codes import pictures as codes_picture
from tabs.codes.kinds import ABOUT, SHOWN, on_kind, tiles
from tabs.codes.pictures import KINDS
from tabs.components.code_board import CodeBoard
from tabs.components.codebook_atlas import CodebookAtlas
from tabs.components.drawing_pad import DrawingPad
from tabs.components.picture_strip import PictureStrip
from tabs.components.share_panel import SharePanel
from tabs.validation import MAX_SEED, check_choice, check_number, get_key, user_error

SLOTS = ("A", "B")


def slot(name: object) -> str:
    """Which picture of the board is meant by A or B."""
    return codes_board.SLOTS[SLOTS.index(check_choice(name, "Picture", SLOTS))]


def on_pick(board: dict, strip: dict, made: tuple, kind: str, into: str):
    """A picture of the strip goes into A or B."""
    i = check_number(get_key(strip, "chosen"), "Picture", 0, len(made or ()) - 1, whole=True)
    return codes_board.put(board, kind, slot(into), made[i][None])


def on_upload(board: dict, path: str | None, kind: str, into: str):
    """An own picture."""
    if not path:
        return gr.skip()
    return codes_board.put(board, kind, slot(into), codes_picture.read({"path": path}, kind))


def on_drawing(board: dict, drawing: dict, kind: str, into: str):
    """A drawing, while it grows."""
    if kind not in ("digits", "sketches") or not (
        isinstance(drawing, dict) and drawing.get("strokes")
    ):
        return gr.skip()
    return codes_board.put(board, kind, slot(into), codes_picture.read(drawing, kind))


def on_edit(value: dict):
    """One more edit, or one less; what cannot be done changes nothing."""
    board = codes_board.did(codes_board.read(value), str(get_key(value, "line") or "")[:4000])
    return codes_board.shown(board), board.text()


def on_chain(value: dict, text: str):
    """Edits that were pasted in."""
    board = codes_board.read(value)
    lines = [str(edit) for edit in codes_board.parsed(str(text)[:200_000])]
    if lines == board.chain:
        return gr.skip(), gr.skip()
    board = board._replace(chain=lines, redo=[])
    return codes_board.shown(board), board.text()


def on_sample(kind: str, label: str, temperature: float, top_k: float, seed: int):
    """New pictures for the strip."""
    grids = codes_api.sample(kind, label, temperature, top_k, seed, SHOWN, None)
    made = tuple(codes_picture.model(kind).decode(grids))
    return tiles(made, kind), made


def on_complete(value: dict, label: str, temperature: float, top_k: float, seed: int):
    """The open cells of the edited grid, drawn by the prior; one more edit of the chain."""
    board = codes_board.read(value)
    cells = get_key(value, "open") or []
    if not isinstance(cells, list) or not cells:
        raise user_error("Take Erase and open some cells of the edited codes first.")
    edited = codes_board.drawn(board).edited
    line = codes_api.completion(board.kind, edited, cells, label, temperature, top_k, seed)
    board = codes_board.did(board, line)
    return codes_board.shown(board), board.text()


def warm() -> None:
    """Load the models and run them once, so that the first visitor need not wait."""
    with contextlib.suppress(gr.Error):
        for kind in KINDS:
            on_kind(kind)


def build() -> None:
    """The tab: where pictures come from on the left, the board on the right."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            kind = gr.Radio(
                codes_picture.kinds(), value=KINDS[0], label="Codebook", elem_id="codes-kind"
            )
            about = gr.Markdown(ABOUT[KINDS[0]], elem_classes="credit")
            into = gr.Radio(
                SLOTS, value="A", label="A picture you take becomes", elem_id="codes-into"
            )
            strip = PictureStrip(elem_id="codes-strip")
            upload = gr.UploadButton(
                "Your own picture", file_types=["image"], type="filepath", elem_id="codes-upload"
            )
            with gr.Accordion("Draw one", open=False) as own:
                drawing = DrawingPad(elem_id="codes-pad")
        with gr.Column(elem_classes="studio-results"):
            board = CodeBoard(codes_board.START, elem_id="codes-board")
            atlas = CodebookAtlas(elem_id="codes-atlas")
        with gr.Column(elem_classes="studio-settings"):
            label = gr.Dropdown(["any"], value="any", label="Sample", elem_id="codes-label")
            temperature = gr.Slider(
                0, codes_api.MAX_TEMPERATURE, 1.0, step=0.05, label="Temperature", buttons=[]
            )
            top_k = gr.Slider(0, 64, 0, step=1, label="Top-k (0: all codes)", buttons=[])
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED)
            with gr.Row(elem_classes="studio-pair"):
                sample = gr.Button("Sample new ones", elem_id="codes-sample")
                complete = gr.Button("Complete open cells", elem_id="codes-complete")
            SharePanel("codes").describe([board, label, temperature, top_k, seed])
            chain = gr.Textbox(
                label="Edits as text: copy them, or paste yours", lines=4, max_lines=12,
                buttons=["copy"], elem_id="codes-chain",
            )  # fmt: skip
    made = gr.State((), time_to_live=3600)

    plumbing = {"api_visibility": "private", "show_progress": "hidden"}
    heavy = {**plumbing, "concurrency_id": "model"}
    latest = {"trigger_mode": "always_last"}
    asked = [label, temperature, top_k, seed]
    switch = {
        "inputs": kind, "outputs": [board, chain, strip, made, atlas, about, label, own],
    }  # fmt: skip
    kind.input(on_kind, **switch, **heavy)
    strip.pick(on_pick, [board, strip, made, kind, into], board, **heavy)
    upload.upload(on_upload, [board, upload, kind, into], board, **heavy)
    drawing.live(on_drawing, [board, drawing, kind, into], board, **latest, **heavy)
    board.edit(on_edit, board, [board, chain], **latest, **heavy)
    gr.on([chain.submit, chain.blur], on_chain, [board, chain], [board, chain], **heavy)
    sample.click(on_sample, [kind, *asked], [strip, made], **heavy)
    complete.click(on_complete, [board, *asked], [board, chain], **heavy)
    atlas.pick(
        None, [atlas, board], board, js="(a, b) => ({...b, pictures: null, chosen: a.chosen})",
        **plumbing,
    )  # fmt: skip
    linked = [*switch["outputs"], kind, temperature, top_k, seed]
    Context.root_block.load(codes_kind.from_link, None, linked, **heavy)
    codes_api.build()
