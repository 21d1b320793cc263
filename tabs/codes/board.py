"""The board of the Codes tab: what it holds, the edits done on it, what it shows then."""

from typing import NamedTuple

from tabs.codes import pictures as codes_picture
from tabs.codes import render as codes_view
from tabs.validation import user_error

SLOTS = ("first", "second")
START = {"kind": codes_picture.KINDS[0], "first": None, "second": None, "chain": [], "redo": []}


class Board(NamedTuple):
    """Two grids of codes, the edits done on the first, and those taken back, the next one last."""

    kind: str
    first: object
    second: object
    chain: list[str]
    redo: list[str]

    def text(self) -> str:
        """The edits as a visitor copies them."""
        return "\n".join(self.chain)


def read(value: object) -> Board:
    """The component's value, all of it checked."""
    from models.codes import edit_script

    if not isinstance(value, dict) or value.get("first") is None:
        raise user_error("Choose a picture first.")
    kind = codes_picture.known(value.get("kind"))
    grids = [codes_picture.fitting(value.get(slot), "The grid", kind) for slot in SLOTS]
    chains = []
    for name in ("chain", "redo"):
        lines = value.get(name) or []
        good = isinstance(lines, list) and len(lines) <= edit_script.MAX_EDITS
        if not good or not all(isinstance(line, str) and len(line) <= 4000 for line in lines):
            raise user_error(f"`{name}` must be a list of at most {edit_script.MAX_EDITS} edits.")
        chains.append(lines)
    return Board(kind, *grids, *chains)


def parsed(text: str) -> list:
    """Edits of a text; a bad line is the visitor's sentence."""
    from models.codes import edit_script

    try:
        return edit_script.parse(text)
    except ValueError as error:
        raise user_error(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


class Drawn(NamedTuple):
    """What a board decodes to: pictures (c, h, w) in [0, 1], and the grid after all edits."""

    edited: object
    ours: object
    moved: object
    plain: object


def drawn(board: Board) -> Drawn:
    """Do all edits on the codes, and on the decoded pixels."""
    import torch

    from models.codes import edit_script
    from models.codes.edit_script import Codebook

    model = codes_picture.model(board.kind)
    book = Codebook(model.codebook.detach(), model.background)
    edits = parsed(board.text())
    with torch.inference_mode():
        plain = model.decode(torch.stack([board.first, board.second]))
        backdrop = float(model.decode(torch.full_like(board.first, book.background)[None]).mean())
        try:
            edited = edit_script.apply(edits, board.first, board.second, book)
            moved = edit_script.apply_to_pixels(edits, *plain, model.config.cell_size, backdrop)
        except ValueError as error:
            raise user_error(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        ours = model.decode_latents(book.signed_vectors()[edited].permute(2, 0, 1)[None])[0]
    return Drawn(edited, ours, moved, plain)


def shown(board: Board, sources: dict | None = None) -> dict:
    """The component's value; `sources` are pictures that have just come in, by slot."""
    config = codes_picture.model(board.kind).config
    made = drawn(board)
    moved, told = codes_view.compared(made.ours, made.moved, board.kind)
    again = zip(SLOTS, made.plain, strict=True)
    pictures = {f"{slot}_again": codes_view.picture(part, board.kind) for slot, part in again}
    pictures |= {"edited": codes_view.picture(made.ours, board.kind), "moved": moved}
    notes = {"moved": told}
    for slot, source in (sources or {}).items():
        pictures[slot] = codes_view.picture(source, board.kind)
        error = codes_view.psnr(source, made.plain[SLOTS.index(slot)])
        notes[slot] = f"{error:.1f} dB"
    return {
        "kind": board.kind,
        "first": board.first.tolist(),
        "second": board.second.tolist(),
        "chain": board.chain,
        "redo": board.redo,
        "edited": made.edited.tolist(),
        "codes": config.num_codes,
        "colours": codes_view.colours(board.kind),
        "pictures": pictures,
        "notes": notes,
    }


def did(board: Board, line: str) -> Board:
    """The board after one more edit, or after "undo", "redo" or "reset".

    A splice takes the place of a splice just before it: that is its slider being dragged.
    """
    match line:
        case "undo":
            return board._replace(chain=board.chain[:-1], redo=[*board.redo, *board.chain[-1:]])
        case "redo":
            return board._replace(chain=[*board.chain, *board.redo[-1:]], redo=board.redo[:-1])
        case "reset":
            return board._replace(chain=[], redo=board.chain[::-1])
    edits = parsed(line)
    if len(edits) != 1:
        raise user_error("One edit at a time.")
    last = board.chain[-1:]
    again = line.startswith("splice") and last and last[0].startswith("splice")
    chain = [*(board.chain[:-1] if again else board.chain), str(edits[0])]
    return board._replace(chain=chain, redo=[])


def begin(kind: str, first, second) -> dict:
    """A board without edits, of two pictures (c, h, w)."""
    import torch

    codes = codes_picture.model(kind).encode(torch.stack([first, second]))
    return shown(Board(kind, *codes, [], []), {"first": first, "second": second})


def put(value: dict, kind: str, slot: str, source) -> dict:
    """The board with a picture (1, c, h, w) encoded in one slot; its edits stay."""
    if not isinstance(value, dict) or value.get("kind") != kind or value.get("first") is None:
        return begin(kind, source[0], source[0])
    codes = codes_picture.model(kind).encode(source)[0]
    return shown(read(value)._replace(**{slot: codes}), {slot: source[0]})
