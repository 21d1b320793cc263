"""Edit scripts: a sequence of grid edits as text, one edit per line, to copy and to paste.

    shift 2 -1 wrap            columns to the right, rows down; edge: wrap, border or fill
    rotate 1                   quarter turns anticlockwise
    flip x                     or y
    splice 3 x                 the first 3 columns (y: rows), the others from the second grid
    transplant 0 0 2 3 1 1     a rectangle of the second grid: left top right bottom, to x y
    negate                     every vector times -1
    negate nearest             the same, then the nearest code
    replace 3 7                code 3 becomes 7
    paint 7 0,0 1,0            code 7 in the cells x,y
    cells 0,0=7 1,0=9          one code for each of the cells, as sampled by a prior

A grid holds codes 0..K-1, and K..2K-1 for their negated vectors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.codes import edits

MAX_EDITS = 200
OPS = ("shift", "rotate", "flip", "splice", "transplant", "negate", "replace", "paint", "cells")
CODE_OPS = ("replace", "paint", "cells")  # edits that have no counterpart on pixels


@dataclass(frozen=True)
class Edit:
    """One line: the operation and its arguments, still as text."""

    op: str
    args: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.op, *self.args))


class Codebook(NamedTuple):
    """What edits need of a codebook: its vectors, and the code that fills vacated cells."""

    vectors: Float[Tensor, "k d"]
    background: int

    def signed_vectors(self) -> Float[Tensor, "k2 d"]:
        """Vectors of all values that a grid may hold: the codebook's, then the same negated."""
        return torch.cat([self.vectors, -self.vectors])


def parse(text: str) -> list[Edit]:
    """The edits of a text; empty lines and what follows a # are ignored.

    ValueError for an unknown operation or more than MAX_EDITS edits. Arguments are checked by
    `apply`.
    """
    script = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].lower().split()
        if not words:
            continue
        if words[0] not in OPS:
            raise ValueError(
                f"line {number}: {words[0][:20]!r} is not an edit: use one of {', '.join(OPS)}"
            )
        script.append(Edit(words[0], tuple(words[1:])))
    if len(script) > MAX_EDITS:
        raise ValueError(f"at most {MAX_EDITS} edits are allowed, not {len(script)}")
    return script


def apply(
    script: list[Edit], grid: Int64[Tensor, "h w"], second: Int64[Tensor, "h w"], codebook: Codebook
) -> Int64[Tensor, "h2 w2"]:
    """The grid after all edits; ValueError names the edit that cannot be applied."""
    for number, edit in enumerate(script, 1):
        grid = _with_line_number(
            number, edit, lambda edit=edit, grid=grid: _edit_codes(edit, grid, second, codebook)
        )
    return grid


def apply_to_pixels(
    script: list[Edit],
    image: Float[Tensor, "c h w"],
    second: Float[Tensor, "c h w"],
    cell_size: int,
    background: int | float,
) -> Float[Tensor, "c h2 w2"] | None:
    """The same edits on pixels in [0, 1]; None where one of them has no counterpart there.

    A cell is `cell_size` px a side; "negate" is 1 - image.
    """
    for number, edit in enumerate(script, 1):
        if edit.op in CODE_OPS or edit.args == ("nearest",):
            return None
        if edit.op == "negate":
            image = 1 - image
            continue
        image = _with_line_number(
            number,
            edit,
            lambda edit=edit, image=image: _spatial(edit, image, second, cell_size, background),
        )
    return image


def _with_line_number(number: int, edit: Edit, compute: Callable[[], Tensor]) -> Tensor:
    """What `compute` returns; its ValueError names the edit."""
    try:
        return compute()
    except ValueError as error:
        raise ValueError(f"edit {number}, {str(edit)[:60]!r}: {error}") from error


def _edit_codes(edit: Edit, grid: Tensor, second: Tensor, codebook: Codebook) -> Tensor:
    """One edit of a code grid."""
    k = len(codebook.vectors)
    if edit.op == "negate":
        if edit.args not in ((), ("nearest",)):
            raise ValueError("negate takes no argument, or 'nearest'")
        if not edit.args:
            return (grid + k) % (2 * k)
        table = edits.opposites(codebook.vectors)
        return edits.permute(grid, torch.cat([table, torch.arange(k)]))
    if edit.op == "replace":
        old, new = (_code(word, k) for word in _args(edit, 2))
        return edits.replace(grid, old, new)
    if edit.op == "paint":
        if len(edit.args) < 2:
            raise ValueError("paint needs a code and cells x,y")
        cells = [_integers(word.split(","), 2) for word in edit.args[1:]]
        return edits.paint(grid, [(x, y) for x, y in cells], _code(edit.args[0], k))
    if edit.op == "cells":
        pairs = [word.split("=") for word in edit.args]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise ValueError("cells needs cells and codes x,y=code")
        for cell, code in pairs:
            x, y = _integers(cell.split(","), 2)
            grid = edits.paint(grid, [(x, y)], _code(code, k))
        return grid
    return _spatial(edit, grid, second, 1, codebook.background)


def _spatial(
    edit: Edit, grid: Tensor, second: Tensor, cell_size: int, background: int | float
) -> Tensor:
    """One of the edits that move cells, of a code grid (cell_size 1) or of an image."""
    if edit.op == "shift":
        *amounts, edge = edit.args if len(edit.args) == 3 else (*edit.args, "wrap")
        x, y = _integers(amounts, 2)
        return edits.shift(grid, cell_size * x, cell_size * y, edge, background)
    if edit.op == "rotate":
        return edits.rotate(grid, *_integers(edit.args, 1))
    if edit.op == "flip":
        return edits.flip(grid, *_args(edit, 1))
    if edit.op == "splice":
        if len(edit.args) not in (1, 2):
            raise ValueError("splice needs a cut, and x or y")
        cut, axis = (*edit.args, "x")[:2]
        return edits.splice(grid, second, cell_size * _integers([cut], 1)[0], axis)
    left, top, right, bottom, x, y = (cell_size * n for n in _integers(edit.args, 6))
    return edits.transplant(second, grid, (left, top, right, bottom), x, y)


def _args(edit: Edit, count: int) -> tuple[str, ...]:
    """Exactly `count` arguments."""
    if len(edit.args) != count:
        raise ValueError(f"{edit.op} needs {count} argument(s), not {len(edit.args)}")
    return edit.args


def _integers(words: list[str] | tuple[str, ...], count: int) -> list[int]:
    """Exactly `count` integers."""
    if len(words) != count:
        raise ValueError(f"it needs {count} number(s), not {len(words)}")
    try:
        numbers = [int(word[:8]) for word in words]
    except ValueError:
        raise ValueError(f"{' '.join(words)[:40]!r} must be whole numbers") from None
    if any(abs(number) > 10_000 for number in numbers):
        raise ValueError(f"numbers must be -10,000 to 10,000, not {' '.join(words)[:40]}")
    return numbers


def _code(word: str, k: int) -> int:
    """A code of the codebook."""
    (code,) = _integers([word], 1)
    if not 0 <= code < k:
        raise ValueError(f"there is no code {code}: use 0 to {k - 1}")
    return code
