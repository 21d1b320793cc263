"""Endpoints of Codes: encode a picture, edit its codes, sample from the prior."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from tabs.codes.handlers import MAX_TEXT, Board, decode_board, sample_grids
from tabs.codes.pictures import check_kind, get_vqvae, parse_grid, read_image
from tabs.codes.render import psnr, to_pixels
from tabs.image_encoding import encode_png
from tabs.server.uploads import accept_uploads_only
from tabs.validation import check_number, user_error

MAX_GRIDS = 64


def encode_codes(picture: Any, kind: str = "digits") -> dict:
    """The codes of a picture, and their reconstruction.

    `picture` comes through `gradio_client.handle_file` (digits and sketches: dark on light, or
    a list of strokes `[[xs, ys], ...]` in px of a 256x256 canvas; faces: a photo). `kind` is
    "digits", "sketches" or "faces". Returns {"codes": rows of whole numbers, "size": K,
    "picture": a PNG file of the reconstruction, "psnr": its PSNR in dB}.
    """
    check_kind(kind)
    source = read_image(picture, kind)
    model = get_vqvae(kind)
    codes = model.encode(source)
    recon = model.decode(codes)[0]
    return {
        "codes": codes[0].tolist(),
        "size": model.config.num_codes,
        "picture": _file(recon, kind, "decoded.png"),
        "psnr": psnr(source[0], recon),
    }


def edit_codes(codes: list, edits: str, kind: str = "digits", second: list | None = None) -> dict:
    """Codes after a sequence of edits, decoded, beside the same edits of the decoded pixels.

    `codes` (and `second`, for splice and transplant) are rows of whole numbers, as from
    /encode_codes. `edits` has one edit per line: `shift 2 -1 wrap`, `rotate 1`, `flip x`,
    `splice 3 x`, `transplant 0 0 2 3 1 1`, `negate`, `negate nearest`, `replace 3 7`,
    `paint 7 0,0 1,0`, `cells 0,0=7 1,0=9`. Returns {"codes", "picture": a PNG file, "pixels": a
    PNG file or null, "psnr": dB between the two or null}; negated codes are K..2K-1.
    """
    check_kind(kind)
    first = parse_grid(codes, "`codes`", kind)
    other = first if second is None else parse_grid(second, "`second`", kind)
    if not isinstance(edits, str) or len(edits) > MAX_TEXT:
        raise user_error("`edits` must be a text with one edit per line.")
    decoded = decode_board(Board(kind, first, other, edits.splitlines(), []))
    by_codes, by_pixels = decoded.by_codes, decoded.by_pixels
    return {
        "codes": decoded.edited.tolist(),
        "picture": _file(by_codes, kind, "edited.png"),
        "pixels": None if by_pixels is None else _file(by_pixels, kind, "pixels.png"),
        "psnr": None if by_pixels is None else psnr(by_codes, by_pixels),
    }


def sample_codes(
    kind: str = "digits",
    label: str = "any",
    count: int = 16,
    temperature: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    known: list | None = None,
) -> dict:
    """Code grids sampled from the prior, and their pictures.

    `label` is a digit, a class of drawings or "any"; `top_k` 0 samples among all codes. `known` are
    rows of codes to keep, with -1 in the cells to sample. The same `seed` gives the same grids.
    Returns {"codes": grids, "pictures": PNG files}.
    """
    check_kind(kind)
    count = check_number(count, "Count", 1, MAX_GRIDS, whole=True)
    if known is not None:
        known = parse_grid(known, "`known`", kind, allow_masked=True)
    grids = sample_grids(kind, label, temperature, top_k, seed, count, known)
    samples = get_vqvae(kind).decode(grids)
    files = [_file(image, kind, f"sample-{i:02}.png") for i, image in enumerate(samples, 1)]
    return {"codes": grids.tolist(), "pictures": files}


def _file(image, kind: str, name: str) -> dict:
    """(c, h, w) in [0, 1] as a PNG file that the client may fetch."""
    path = save_bytes_to_cache(encode_png(to_pixels(image, kind)), name, get_upload_folder())
    return gr.FileData(path=path, orig_name=Path(path).name).model_dump()


def build() -> None:
    """Add the three endpoints to the page."""
    for endpoint in (encode_codes, edit_codes, sample_codes):
        gr.api(endpoint, api_name=endpoint.__name__, concurrency_id="model")
    accept_uploads_only(Context.root_block, "encode_codes")
