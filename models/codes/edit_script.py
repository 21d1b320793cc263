"""Chains of edits as text, a line an edit: what a visitor did, to copy and to paste back.

    shift 2 -1 wrap            columns to the right, rows down; wrap, border or fill
    rotate 1                   quarter turns anticlockwise
    flip x                     or y
    splice 3 x                 the first 3 columns (y: rows), the rest from the second picture
    transplant 0 0 2 3 1 1     a rectangle of the second picture: left top right bottom to x y
    negate                     every vector times -1
    negate nearest             and from there to the nearest code
    replace 3 7                code 3 becomes 7
    paint 7 0,0 1,0            code 7 in some cells x,y
    cells 0,0=7 1,0=9          a code for each of some cells, as a prior completes them

A grid holds codes 0..K-1, and K more that stand for the negated vectors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.codes import edits

MAX_EDITS = 200
WORDS = ("shift", "rotate", "flip", "splice", "transplant", "negate", "replace", "paint", "cells")
OF_CODES = ("replace", "paint", "cells")  # edits that mean nothing to pixels


@dataclass(frozen=True)
class Edit:
    """One line: its word and what follows it."""

    word: str
    rest: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.word, *self.rest))


class Book(NamedTuple):
    """What an edit must know of the codebook: its vectors, and the code that means nothing here."""

    vectors: Float[Tensor, "k d"]
    background: int

    def signed(self) -> Float[Tensor, "k2 d"]:
        """The vectors of all numbers that a grid may hold: the codebook's, and those negated."""
        return torch.cat([self.vectors, -self.vectors])


def parse(text: str) -> list[Edit]:
    """The edits of a text, without empty lines and what follows a #. ValueError for others."""
    edits = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].lower().split()
        if not words:
            continue
        if words[0] not in WORDS:
            raise ValueError(
                f"line {number}: {words[0][:20]!r} is no edit: use one of {', '.join(WORDS)}"
            )
        edits.append(Edit(words[0], tuple(words[1:])))
    if len(edits) > MAX_EDITS:
        raise ValueError(f"at most {MAX_EDITS} edits can be chained, not {len(edits)}")
    return edits


def apply(
    edits: list[Edit], grid: Int64[Tensor, "h w"], second: Int64[Tensor, "h w"], book: Book
) -> Int64[Tensor, "h2 w2"]:
    """The grid after all edits; ValueError says which line cannot be done."""
    for number, edit in enumerate(edits, 1):
        grid = _said(number, edit, lambda edit=edit, grid=grid: _on_codes(edit, grid, second, book))
    return grid


def apply_to_pixels(
    edits: list[Edit],
    picture: Float[Tensor, "c h w"],
    second: Float[Tensor, "c h w"],
    cell: int,
    background: int | float,
) -> Float[Tensor, "c h2 w2"] | None:
    """The same edits on pixels, a cell being `cell` px a side; None where one has no such meaning.

    To negate a picture is to take it from 1.
    """
    for number, edit in enumerate(edits, 1):
        if edit.word in OF_CODES or edit.rest == ("nearest",):
            return None
        if edit.word == "negate":
            picture = 1 - picture
            continue
        picture = _said(
            number,
            edit,
            lambda edit=edit, picture=picture: _moved(edit, picture, second, cell, background),
        )
    return picture


def _said(number: int, edit: Edit, act: Callable[[], Tensor]) -> Tensor:
    try:
        return act()
    except ValueError as error:
        raise ValueError(f"edit {number}, {str(edit)[:60]!r}: {error}") from error


def _on_codes(edit: Edit, grid: Tensor, second: Tensor, book: Book) -> Tensor:
    k = len(book.vectors)
    if edit.word == "negate":
        if edit.rest not in ((), ("nearest",)):
            raise ValueError("negate stands alone, or before 'nearest'")
        if not edit.rest:
            return (grid + k) % (2 * k)
        table = edits.opposites(book.vectors)
        return edits.permute(grid, torch.cat([table, torch.arange(k)]))
    if edit.word == "replace":
        old, new = (_code(word, k) for word in _exactly(edit, 2))
        return edits.replace(grid, old, new)
    if edit.word == "paint":
        if len(edit.rest) < 2:
            raise ValueError("paint needs a code and cells x,y")
        cells = [_numbers(word.split(","), 2) for word in edit.rest[1:]]
        return edits.paint(grid, [(x, y) for x, y in cells], _code(edit.rest[0], k))
    if edit.word == "cells":
        pairs = [word.split("=") for word in edit.rest]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise ValueError("cells needs cells and codes x,y=code")
        for cell, code in pairs:
            x, y = _numbers(cell.split(","), 2)
            grid = edits.paint(grid, [(x, y)], _code(code, k))
        return grid
    return _moved(edit, grid, second, 1, book.background)


def _moved(edit: Edit, grid: Tensor, second: Tensor, cell: int, background: int | float) -> Tensor:
    """The edits that pixels know as well."""
    if edit.word == "shift":
        *amounts, edge = edit.rest if len(edit.rest) == 3 else (*edit.rest, "wrap")
        x, y = _numbers(amounts, 2)
        return edits.shift(grid, cell * x, cell * y, edge, background)
    if edit.word == "rotate":
        return edits.rotate(grid, *_numbers(edit.rest, 1))
    if edit.word == "flip":
        return edits.flip(grid, *_exactly(edit, 1))
    if edit.word == "splice":
        if len(edit.rest) not in (1, 2):
            raise ValueError("splice needs a cut, and x or y")
        cut, axis = (*edit.rest, "x")[:2]
        return edits.splice(grid, second, cell * _numbers([cut], 1)[0], axis)
    left, top, right, bottom, x, y = (cell * n for n in _numbers(edit.rest, 6))
    return edits.transplant(second, grid, (left, top, right, bottom), x, y)


def _exactly(edit: Edit, count: int) -> tuple[str, ...]:
    if len(edit.rest) != count:
        raise ValueError(f"{edit.word} needs {count} value(s), not {len(edit.rest)}")
    return edit.rest


def _numbers(words: list[str] | tuple[str, ...], count: int) -> list[int]:
    if len(words) != count:
        raise ValueError(f"it needs {count} number(s), not {len(words)}")
    try:
        numbers = [int(word[:8]) for word in words]
    except ValueError:
        raise ValueError(f"{' '.join(words)[:40]!r} must be whole numbers") from None
    if any(abs(number) > 10_000 for number in numbers):
        raise ValueError("numbers must be -10,000 to 10,000")
    return numbers


def _code(word: str, k: int) -> int:
    (code,) = _numbers([word], 1)
    if not 0 <= code < k:
        raise ValueError(f"there is no code {code}: use 0 to {k - 1}")
    return code
