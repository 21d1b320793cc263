"""Handlers of the Codes tab: the board with its edits, sampling, completion, permalinks."""

from functools import lru_cache
from typing import NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from tabs import permalink, sample_faces
from tabs.codes.pictures import (
    CUSTOM,
    DRAWABLE,
    KINDS,
    available_kinds,
    check_kind,
    crop_photo,
    get_prior,
    get_vqvae,
    parse_grid,
    read_image,
)
from tabs.codes.render import atlas_value, code_colours, compare, similarity, strip_value, to_url
from tabs.validation import MAX_SEED, check_choice, check_number, get_key, user_error

SLOTS = {"A": "first", "B": "second"}  # as displayed -> in the board's value
EMPTY_BOARD = {"kind": "", "first": None, "second": None, "chain": [], "redo": [], "todo": []}
PRIOR_SETTINGS = ("label", "temperature", "top_k", "seed")
MAX_TEMPERATURE = 2.0
MAX_TOP_K = 64  # of the tab's slider
MAX_LINE = 4_000  # characters of one edit
MAX_TEXT = 200_000  # characters of all edits
STRIP_SIZE = 10
ABOUT = {
    "digits": "7x7 codes from a codebook of 64, trained on MNIST.",
    "sketches": "8x8 codes from a codebook of 256, trained on Quick, Draw! drawings of 24 things.",
    "faces": "16x16 codes from a codebook of 512, trained on CelebA (for non-commercial research).",
    CUSTOM: "The VQModel that this app was started with, for photographs of 256 px.",
}


class Board(NamedTuple):
    """Two code grids, the edits of the first, and the undone edits, the latest last."""

    kind: str
    first: object
    second: object
    chain: list[str]
    redo: list[str]

    def text(self) -> str:
        """The edits as text, one per line."""
        return "\n".join(self.chain)


class DecodedBoard(NamedTuple):
    """The edited grid, and decoded images (c, h, w) in [0, 1]."""

    edited: object
    """Codes (h, w) of the first grid after all edits."""
    by_codes: object
    """The image of those."""
    by_pixels: object
    """The unedited first image after the same edits of its pixels; None without counterpart."""
    unedited: object
    """Images of both grids before the edits (2, c, h, w)."""


def read_board(value: object) -> Board:
    """The component's value, validated."""
    from models.codes import edit_script

    if not isinstance(value, dict) or value.get("first") is None:
        raise user_error("Choose a picture first.")
    kind = check_kind(value.get("kind"))
    grids = [parse_grid(value.get(slot), "The grid", kind) for slot in SLOTS.values()]
    chains = []
    for name in ("chain", "redo"):
        lines = value.get(name) or []
        valid = isinstance(lines, list) and len(lines) <= edit_script.MAX_EDITS
        if not valid or not all(isinstance(line, str) and len(line) <= MAX_LINE for line in lines):
            raise user_error(f"`{name}` must be a list of at most {edit_script.MAX_EDITS} edits.")
        chains.append(lines)
    return Board(kind, *grids, *chains)


def parse_edits(text: str) -> list:
    """The edits of a text; a bad line is an error for the visitor."""
    from models.codes import edit_script

    try:
        return edit_script.parse(text)
    except ValueError as error:
        raise _as_user_error(error) from error


def _as_user_error(error: ValueError) -> gr.Error:
    text = str(error)
    return user_error(f"{text[:1].upper()}{text[1:]}.")


def apply_edit(board: Board, line: str) -> Board:
    """The board after one more edit, or after "undo", "redo" or "reset".

    A splice replaces a splice just before it, so that dragging its slider is one edit.
    """
    match line:
        case "undo":
            return board._replace(chain=board.chain[:-1], redo=[*board.redo, *board.chain[-1:]])
        case "redo":
            return board._replace(chain=[*board.chain, *board.redo[-1:]], redo=board.redo[:-1])
        case "reset":
            return board._replace(chain=[], redo=board.chain[::-1])
    edits = parse_edits(line)
    if len(edits) != 1:
        raise user_error("One edit at a time.")
    last = board.chain[-1:]
    replaces = line.startswith("splice") and last and last[0].startswith("splice")
    chain = [*(board.chain[:-1] if replaces else board.chain), str(edits[0])]
    return board._replace(chain=chain, redo=[])


def _codebook(kind: str):
    from models.codes.edit_script import Codebook

    model = get_vqvae(kind)
    return Codebook(model.codebook.detach(), model.background)


def edited_grid(board: Board):
    """The first grid after all edits."""
    from models.codes import edit_script

    edits = parse_edits(board.text())
    try:
        return edit_script.apply(edits, board.first, board.second, _codebook(board.kind))
    except ValueError as error:
        raise _as_user_error(error) from error


def decode_board(board: Board) -> DecodedBoard:
    """Apply all edits to the codes and to the decoded pixels, and decode."""
    import torch

    from models.codes import edit_script

    model, codebook = get_vqvae(board.kind), _codebook(board.kind)
    edited = edited_grid(board)
    with torch.inference_mode():
        unedited = model.decode(torch.stack([board.first, board.second]))
        uniform = torch.full_like(board.first, codebook.background)[None]
        background = float(model.decode(uniform).mean())
        try:
            by_pixels = edit_script.apply_to_pixels(
                parse_edits(board.text()), *unedited, model.config.cell_size, background
            )
        except ValueError as error:
            raise _as_user_error(error) from error
        vectors = codebook.signed_vectors()[edited].permute(2, 0, 1)
        by_codes = model.decode_latents(vectors[None])[0]
    return DecodedBoard(edited, by_codes, by_pixels, unedited)


def board_value(board: Board, sources: dict | None = None) -> dict:
    """What the component shows of a board; `sources` are new pictures (c, h, w) by slot."""
    decoded = decode_board(board)
    moved, note = compare(decoded.by_codes, decoded.by_pixels, board.kind)
    recon = dict(zip(SLOTS.values(), decoded.unedited, strict=True))
    pictures = {f"{slot}_again": to_url(image, board.kind) for slot, image in recon.items()}
    pictures |= {"edited": to_url(decoded.by_codes, board.kind), "moved": moved}
    sources = sources or {}
    return {
        "kind": board.kind,
        "first": board.first.tolist(),
        "second": board.second.tolist(),
        "chain": board.chain,
        "redo": board.redo,
        "edited": decoded.edited.tolist(),
        "codes": get_vqvae(board.kind).config.num_codes,
        "colours": code_colours(board.kind),
        "pictures": pictures,
        "notes": {"moved": note},
        "sources": {
            "pictures": {slot: to_url(image, board.kind) for slot, image in sources.items()},
            "notes": {slot: similarity(image, recon[slot]) for slot, image in sources.items()},
        },
    }


def initial_board(kind: str) -> tuple[Board, dict]:
    """A board of the first two pictures of a kind, and these pictures by slot."""
    import torch

    pictures = initial_pictures(kind)[:2]
    codes = get_vqvae(kind).encode(torch.stack(pictures))
    return Board(kind, *codes, [], []), dict(zip(SLOTS.values(), pictures, strict=True))


def set_picture(board: Board, slot: str, source) -> Board:
    """The board with a picture (1, c, h, w) encoded in one slot; the edits of another A end."""
    board = board._replace(**{slot: get_vqvae(board.kind).encode(source)[0]})
    return apply_edit(board, "reset") if slot == "first" and board.chain else board


def sample_grids(
    kind: str, label: object, temperature: object, top_k: object, seed: object, count: int, known
):
    """`count` grids (n, gh, gw) from the prior of a kind, all arguments validated."""
    config = get_vqvae(kind).config
    seed = check_number(seed, "Seed", 0, MAX_SEED, whole=True)
    temperature = check_number(temperature, "Temperature", 0, MAX_TEMPERATURE)
    top_k = check_number(top_k, "Top-k", 0, config.num_codes, whole=True)
    label = check_choice(label, "Label", label_choices(kind))
    name = None if label == "any" else label
    return get_prior(kind).sample(count, name, known, temperature, top_k or None, seed)


def completion_edit(
    kind: str, edited, cells: list, label: object, temperature: object, top_k: object, seed: object
) -> str:
    """The edit that sets the open cells [x, y] of a grid to codes sampled from the prior."""
    config = get_vqvae(kind).config
    known, side = edited.clone(), config.grid_size
    if int(known.max()) >= config.num_codes:
        raise user_error("The prior has no negated codes: use `negate nearest` instead.")
    if tuple(known.shape) != (side, side):
        raise user_error(f"The prior completes grids of {side}x{side} codes only.")
    masked = []
    for cell in cells[: side**2]:
        if not isinstance(cell, list) or len(cell) != 2:
            raise user_error("An open cell must be [column, row].")
        x, y = (check_number(v, "An open cell", 0, side - 1, whole=True) for v in cell)
        known[y, x] = -1
        masked.append((x, y))
    sampled = sample_grids(kind, label, temperature, top_k, seed, 1, known)[0]
    return " ".join(["cells", *(f"{x},{y}={int(sampled[y, x])}" for x, y in masked)])


def label_choices(kind: str) -> list[str]:
    """Labels of the prior, "any" first."""
    return ["any", *get_vqvae(kind).config.class_names]


@lru_cache(maxsize=4)
def initial_pictures(kind: str) -> tuple:
    """Pictures (c, h, w) of a new board: a sample of each of the first classes, or our faces."""
    import torch

    model = get_vqvae(kind)
    if model.config.channels == 3:
        faces = (np.array(Image.open(file).convert("RGB")) for file in sample_faces.PATHS)
        size = model.config.image_size
        return tuple(crop_photo(face, size, find=False)[0] for face in faces)
    names, prior = model.config.class_names[:STRIP_SIZE], get_prior(kind)
    grids = [prior.sample(1, name, None, 0.8, None, 3) for name in names]
    return tuple(model.decode(torch.cat(grids)))


def act(board: Board, action: dict) -> tuple[Board, dict]:
    """The board after one action of the page, and its new pictures (c, h, w) by slot.

    {"do": "kind", "kind"}, {"do": "edit", "line"}, {"do": "text", "text"}, {"do": "picture",
    "slot", "picture"}, {"do": "complete", "open", "label", "temperature", "top_k", "seed"};
    gr.Error for one that is not valid.
    """
    match action:
        case {"do": "kind", "kind": kind}:
            return initial_board(check_kind(kind))
        case {"do": "edit", "line": line}:
            board = apply_edit(board, str(line)[:MAX_LINE])
        case {"do": "text", "text": text}:
            chain = [str(edit) for edit in parse_edits(str(text)[:MAX_TEXT])]
            board = board._replace(chain=chain, redo=[])
        case {"do": "picture", "slot": slot, "picture": picture}:
            slot = SLOTS[check_choice(slot, "Picture", tuple(SLOTS))]
            source = read_image(picture, board.kind)
            return set_picture(board, slot, source), {slot: source[0]}
        case {"do": "complete", "open": cells}:
            if not isinstance(cells, list) or not cells:
                raise user_error("Choose Erase and open some cells of the edited codes first.")
            settings = (action.get(name) for name in PRIOR_SETTINGS)
            line = completion_edit(board.kind, edited_grid(board), cells, *settings)
            board = apply_edit(board, line)
        case _:
            raise user_error("This action is unknown.")
    edited_grid(board)
    return board, {}


def answer(value: dict):
    """The tab's outputs for a state of its board: after its actions, each of which may fail.

    The board's `done` is the number of the last action, and `refused` the sentence of one that
    failed. What belongs to a kind is there where the page is not `dressed` for it yet.
    """
    from models.codes import edit_script

    sources, strip, refused, done = {}, gr.skip(), "", 0
    if get_key(value, "first") is None:
        board, sources = initial_board(check_kind(get_key(value, "kind") or KINDS[0]))
    else:
        board = read_board(value)
    todo = get_key(value, "todo") or []
    if not isinstance(todo, list) or len(todo) > edit_script.MAX_EDITS:
        raise user_error(f"`todo` must be a list of at most {edit_script.MAX_EDITS} actions.")
    for action in todo:
        done = check_number(get_key(action, "n"), "An action's number", 0, 2**53, whole=True)
        try:
            if action.get("do") == "sample":
                strip = strip_value(sample_pictures(board.kind, action), board.kind)
                continue
            kind = board.kind
            board, new = act(board, action)
            sources = sources | new if board.kind == kind else new
        except gr.Error as error:
            refused = error.message
    shown = board_value(board, sources) | {"done": done, "refused": refused}
    if get_key(value, "dressed") == board.kind:
        return shown, board.text(), strip, *(gr.skip() for _ in range(5))
    labels = label_choices(board.kind)
    reset = {"value": "any"} if any(action.get("do") == "kind" for action in todo) else {}
    return (
        shown, board.text(), strip_value(initial_pictures(board.kind), board.kind),
        atlas_value(board.kind), ABOUT[board.kind], board.kind,
        gr.update(choices=labels, visible=len(labels) > 1, **reset),
        gr.update(visible=board.kind in DRAWABLE),
    )  # fmt: skip


def sample_pictures(kind: str, settings: dict):
    """New pictures of the strip (n, c, h, w): samples of the prior."""
    label, temperature, top_k, seed = (settings.get(name) for name in PRIOR_SETTINGS)
    grids = sample_grids(kind, label, temperature, top_k, seed, STRIP_SIZE, None)
    return get_vqvae(kind).decode(grids)


def from_link(query: dict[str, str]):
    """The board, its label and the prior's settings of a link; what is invalid is ignored."""
    kind = query.get("kind")
    kind = kind if kind in available_kinds() else KINDS[0]
    board: dict = {"kind": kind, "first": None, "second": None, "chain": [], "redo": []}
    try:
        edits = parse_edits(query.get("edits", "")[: permalink.MAX_QUERY])
        grids = [grid_from_link(query.get(name, ""), kind) for name in ("a", "b")]
        found = Board(kind, *grids, [str(edit) for edit in edits], [])
        edited_grid(found)
        board |= {"first": found.first.tolist(), "second": found.second.tolist()}
        board |= {"chain": found.chain}
    except (ValueError, gr.Error):
        pass
    labels, max_top_k = label_choices(kind), min(get_vqvae(kind).config.num_codes, MAX_TOP_K)
    label = query.get("label")
    return (
        board,
        gr.update(choices=labels, value=label) if label in labels else gr.skip(),
        permalink.parse_number(query, "temperature", 0, MAX_TEMPERATURE, whole=False),
        permalink.parse_number(query, "top_k", 0, max_top_k),
        permalink.parse_number(query, "seed", 0, MAX_SEED),
    )


def grid_from_link(text: str, kind: str):
    """The grid of a link's `a` or `b`; ValueError or gr.Error where it is invalid."""
    side = get_vqvae(kind).config.grid_size
    codes = permalink.decode_base36(text, 2)
    rows = [codes[i : i + side] for i in range(0, len(codes), side)]
    return parse_grid(rows, "The grid", kind)
