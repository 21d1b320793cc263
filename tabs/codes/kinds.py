"""What a codebook begins with on the page: its pictures, its labels, or what a link brings back."""

from functools import lru_cache

import gradio as gr
import numpy as np
from PIL import Image

from tabs import permalink, sample_faces
from tabs.codes import board as codes_board
from tabs.codes import pictures as codes_picture
from tabs.codes import render as codes_view
from tabs.codes.api import MAX_TEMPERATURE
from tabs.validation import MAX_SEED

ABOUT = {
    "digits": "7x7 codes out of 64, trained on MNIST.",
    "sketches": "8x8 codes out of 256, trained on Quick, Draw! drawings of 24 things.",
    "faces": "16x16 codes out of 512, trained on CelebA's faces (non-commercial research only).",
    codes_picture.OWN: "The VQModel that this app was started with, on photographs of 256 px.",
}
SHOWN = 10


def labels(kind: str) -> list[str]:
    """What can be asked of the prior; "any" first."""
    return ["any", *codes_picture.model(kind).config.class_names]


@lru_cache(maxsize=4)
def starts(kind: str) -> tuple:
    """Pictures to begin with, each (c, h, w): one of each of the first classes, or our faces."""
    import torch

    model = codes_picture.model(kind)
    if model.config.channels == 3:
        faces = (np.array(Image.open(file).convert("RGB")) for file in sample_faces.PATHS)
        size = model.config.image_size
        return tuple(codes_picture.photo(face, size, find=False)[0] for face in faces)
    names, prior = model.config.class_names[:SHOWN], codes_picture.prior(kind)
    grids = [prior.sample(1, name, None, 0.8, None, 3) for name in names]
    return tuple(model.decode(torch.cat(grids)))


def tiles(made, kind: str, names=()) -> dict:
    """The strip's value."""
    return {
        "tiles": [codes_view.picture(one, kind) for one in made],
        "names": list(names),
        "chosen": None,
    }


def on_kind(kind: str):
    """Another codebook: its first two pictures, its atlas, its labels."""
    codes_picture.known(kind)
    made = starts(kind)
    board = codes_board.begin(kind, made[0], made[1])
    names = labels(kind)
    return (
        board, "", tiles(made, kind), made, codes_view.atlas_value(kind), ABOUT[kind],
        gr.update(choices=names, value="any", visible=len(names) > 1),
        gr.update(visible=kind in ("digits", "sketches")),
    )  # fmt: skip


def packed(text: str, kind: str):
    """The grid of a link's `a` or `b`; ValueError or gr.Error where it is none."""
    side = codes_picture.model(kind).config.grid_size
    codes = permalink.decode_base36(text, 2)
    rows = [codes[i : i + side] for i in range(0, len(codes), side)]
    return codes_picture.fitting(rows, "The grid", kind)


def from_link(request: gr.Request):
    """Codebook, grids, edits and settings named in the page's address; what is wrong is ignored."""
    told = permalink.tab_query(request, "codes")
    kind = told.get("kind")
    kind = kind if kind in codes_picture.kinds() else codes_picture.KINDS[0]
    begun = list(on_kind(kind))
    try:
        text = told.get("edits", "")[: permalink.MAX_QUERY]
        edits = [str(edit) for edit in codes_board.parsed(text)]
        grids = [packed(told.get(name, ""), kind) for name in ("a", "b")]
        board = codes_board.Board(kind, *grids, edits, [])
        begun[:2] = codes_board.shown(board), board.text()
    except (ValueError, gr.Error):
        pass
    names = labels(kind)
    if told.get("label") in names:
        begun[6] = gr.update(choices=names, value=told["label"], visible=len(names) > 1)
    most = codes_picture.model(kind).config.num_codes
    return (
        *begun,
        kind,
        permalink.parse_number(told, "temperature", 0, MAX_TEMPERATURE, whole=False),
        permalink.parse_number(told, "top_k", 0, min(most, 64)),
        permalink.parse_number(told, "seed", 0, MAX_SEED),
    )
