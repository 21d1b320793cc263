"""The endpoints of Codes: encode a picture, edit its codes, sample from the prior."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from tabs.codes import board as codes_board
from tabs.codes import pictures as codes_picture
from tabs.codes import render as codes_view
from tabs.codes.board import Board
from tabs.codes.pictures import MAX_GRIDS
from tabs.image_encoding import encode_png
from tabs.server.uploads import accept_uploads_only
from tabs.validation import MAX_SEED, check_choice, check_number, user_error

MAX_TEMPERATURE = 2.0


def _file(drawn, kind: str, name: str) -> dict:
    png = encode_png(codes_view.pixels(drawn, kind))
    path = save_bytes_to_cache(png, name, get_upload_folder())
    return gr.FileData(path=path, orig_name=Path(path).name).model_dump()


def sample(
    kind: str, label: object, temperature: object, top_k: object, seed: object, count: int, keep
):
    """`count` grids from the prior of a kind, all arguments checked."""
    config = codes_picture.model(kind).config
    seed = check_number(seed, "Seed", 0, MAX_SEED, whole=True)
    temperature = check_number(temperature, "Temperature", 0, MAX_TEMPERATURE)
    top_k = check_number(top_k, "Top-k", 0, config.num_codes, whole=True)
    label = check_choice(label, "Label", ("any", *config.class_names))
    asked = None if label == "any" else label
    prior = codes_picture.prior(kind)
    return prior.sample(count, asked, keep, temperature, top_k or None, seed)


def completion(
    kind: str, edited, cells: list, label: object, temperature: object, top_k: object, seed: object
) -> str:
    """The edit that fills open cells [x, y] of a grid as the prior would."""
    config = codes_picture.model(kind).config
    keep = edited.clone()
    if int(keep.max()) >= config.num_codes:
        raise user_error("The prior knows no negated codes: negate to the nearest ones instead.")
    if tuple(keep.shape) != (config.grid_size, config.grid_size):
        side = config.grid_size
        raise user_error(f"The prior completes grids of {side}x{side} codes only.")
    places = []
    for cell in cells[: config.grid_size**2]:
        if not isinstance(cell, list) or len(cell) != 2:
            raise user_error("An open cell must be [column, row].")
        x, y = (check_number(v, "An open cell", 0, config.grid_size - 1, whole=True) for v in cell)
        keep[y, x] = -1
        places.append((x, y))
    drawn = sample(kind, label, temperature, top_k, seed, 1, keep)[0]
    return " ".join(["cells", *(f"{x},{y}={int(drawn[y, x])}" for x, y in places)])


def encode_codes(picture: Any, kind: str = "digits") -> dict:
    """The codes of a picture, and what they decode to.

    `picture` comes through `gradio_client.handle_file` (digits and sketches: dark on light, or
    a list of strokes `[[xs, ys], ...]` in px of a 256x256 canvas; faces: a photo). `kind` is
    "digits", "sketches" or "faces". Returns {"codes": rows of whole numbers, "size": K,
    "picture": a PNG file, "psnr": dB between the picture and what its codes decode to}.
    """
    codes_picture.known(kind)
    source = codes_picture.read(picture, kind)
    model = codes_picture.model(kind)
    codes = model.encode(source)
    again = model.decode(codes)[0]
    return {
        "codes": codes[0].tolist(),
        "size": model.config.num_codes,
        "picture": _file(again, kind, "decoded.png"),
        "psnr": codes_view.psnr(source[0], again),
    }


def edit_codes(codes: list, edits: str, kind: str = "digits", second: list | None = None) -> dict:
    """Codes after a chain of edits, decoded, beside the same edits done on the decoded pixels.

    `codes` (and `second`, for splice and transplant) are rows of whole numbers, as from
    /encode_codes. `edits` is a line an edit: `shift 2 -1 wrap`, `rotate 1`, `flip x`,
    `splice 3 x`, `transplant 0 0 2 3 1 1`, `negate`, `negate nearest`, `replace 3 7`,
    `paint 7 0,0 1,0`, `cells 0,0=7 1,0=9`. Returns {"codes", "picture": a PNG file, "pixels": a
    PNG file or null, "psnr": dB between the two or null}; negated codes are K..2K-1.
    """
    codes_picture.known(kind)
    first = codes_picture.fitting(codes, "`codes`", kind)
    other = first if second is None else codes_picture.fitting(second, "`second`", kind)
    if not isinstance(edits, str) or len(edits) > 200_000:
        raise user_error("`edits` must be a text, a line an edit.")
    made = codes_board.drawn(Board(kind, first, other, edits.splitlines(), []))
    return {
        "codes": made.edited.tolist(),
        "picture": _file(made.ours, kind, "edited.png"),
        "pixels": None if made.moved is None else _file(made.moved, kind, "pixels.png"),
        "psnr": None if made.moved is None else codes_view.psnr(made.ours, made.moved),
    }


def sample_codes(
    kind: str = "digits",
    label: str = "any",
    count: int = 16,
    temperature: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    keep: list | None = None,
) -> dict:
    """Grids of codes drawn from the learnt prior, decoded.

    `label` is a digit, a class of drawings or "any"; `top_k` 0 draws among all codes. `keep` are
    rows of codes with -1 where one is to be drawn: the rest of the grid stays. The same `seed`
    gives the same grids. Returns {"codes": grids, "pictures": PNG files}.
    """
    codes_picture.known(kind)
    count = check_number(count, "Count", 1, MAX_GRIDS, whole=True)
    kept = None
    if keep is not None:
        kept = codes_picture.fitting(keep, "`keep`", kind, open_cells=True)
    grids = sample(kind, label, temperature, top_k, seed, count, kept)
    drawn = codes_picture.model(kind).decode(grids)
    files = [_file(one, kind, f"sample-{i + 1:02}.png") for i, one in enumerate(drawn)]
    return {"codes": grids.tolist(), "pictures": files}


def build() -> None:
    """The three endpoints."""
    for act in (encode_codes, edit_codes, sample_codes):
        gr.api(act, api_name=act.__name__, concurrency_id="model")
    accept_uploads_only(Context.root_block, "encode_codes")
