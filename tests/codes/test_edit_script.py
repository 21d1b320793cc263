"""Chains of edits as text: what they do, what they refuse."""

import pytest
import torch

from models.codes import edit_script, edits
from models.codes.edit_script import Codebook
from tests.codes.test_edits import upsample

K = 5
BOOK = Codebook(torch.randn(K, 3, generator=torch.Generator().manual_seed(0)), 2)


def grids() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randint(0, K, (4, 4), generator=generator) for _ in range(2))


def run(text: str) -> torch.Tensor:
    return edit_script.apply(edit_script.parse(text), *grids(), BOOK)


def by_hand() -> dict[str, torch.Tensor]:
    a, b = grids()
    return {
        "shift 1 -2": edits.shift(a, 1, -2),
        "shift 1 0 border": edits.shift(a, 1, 0, "border"),
        "shift 3 1 fill": edits.shift(a, 3, 1, "fill", 2),
        "rotate 3": edits.rotate(a, 3),
        "flip y": edits.flip(a, "y"),
        "splice 1": edits.splice(a, b, 1, "x"),
        "splice 3 y": edits.splice(a, b, 3, "y"),
        "transplant 0 1 2 3 1 -1": edits.transplant(b, a, (0, 1, 2, 3), 1, -1),
        "negate": a + K,
        "negate\nnegate": a,
        "negate nearest": edits.permute(a, edits.opposites(BOOK.vectors)),
        "negate\nnegate nearest": a,
        "replace 3 0": edits.replace(a, 3, 0),
        "cells 0,0=4 2,3=1": edits.paint(edits.paint(a, [(0, 0)], 4), [(2, 3)], 1),
        "paint 4 0,0 2,3": edits.paint(a, [(0, 0), (2, 3)], 4),
        "  # nothing\n\nFLIP x # mirrored\nrotate 1": edits.rotate(edits.flip(a), 1),
    }


@pytest.mark.parametrize("text", by_hand())
def test_each_word_is_its_edit(text):
    assert torch.equal(run(text), by_hand()[text])


def test_a_chain_written_and_read_again_is_the_same():
    text = "shift 1 -2 fill\npaint 4 0,0 2,3\nnegate nearest\ntransplant 0 1 2 3 1 -1"
    edits = edit_script.parse(text)
    assert "\n".join(map(str, edits)) == text
    assert edit_script.parse("\n".join(map(str, edits))) == edits


def test_negated_numbers_stand_for_negated_vectors():
    a, _ = grids()
    signed = BOOK.signed_vectors()
    torch.testing.assert_close(signed[run("negate")], -signed[a])


@pytest.mark.parametrize(
    "text", ["shift 1 -2", "rotate 1", "flip x", "splice 3 y", "transplant 0 1 2 3 1 0"]
)
def test_pixels_are_edited_alike(text):
    a, b = grids()
    large = [upsample(p, 2)[None].float() for p in (a, b)]
    found = edit_script.apply_to_pixels(edit_script.parse(text), *large, 2, 2.0)
    assert torch.equal(found[0].long(), upsample(run(text), 2))


def test_what_pixels_do_not_know():
    x = torch.rand(1, 8, 8)
    for text in ("paint 1 0,0", "cells 0,0=1", "replace 1 2", "flip x\nnegate nearest"):
        assert edit_script.apply_to_pixels(edit_script.parse(text), x, x, 2, 0.0) is None
    negative = edit_script.apply_to_pixels(edit_script.parse("negate"), x, x, 2, 0.0)
    torch.testing.assert_close(negative, 1 - x)


BAD = {
    "dance": "line 1: 'dance' is not an edit: use one of shift",
    "flip x\nshift 1": "edit 2, 'shift 1': it needs 2",
    "shift a b": "must be whole numbers",
    "shift 1 1 mirror": "'wrap', 'border' or 'fill'",
    "shift 99999 0": "-10,000 to 10,000",
    "rotate": "it needs 1 number",
    "flip z": "'x' or 'y'",
    "flip": "flip needs 1 argument",
    "splice": "splice needs a cut, and x or y",
    "splice 9": "cut must be 0 to 4",
    "transplant 0 0 9 9 0 0": "within 4x4 cells",
    "transplant 1": "it needs 6 number",
    "negate all": "negate takes no argument",
    "replace 1": "replace needs 2",
    "replace 1 5": "no code 5: use 0 to 4",
    "paint 1": "paint needs a code and cells",
    "paint 1 0": "needs 2 number",
    "paint 1 4,0": r"no cell \(4, 0\)",
    "cells": "cells needs cells and codes",
    "cells 1,1": "cells needs cells and codes",
    "cells 1,1=9": "no code 9: use 0 to 4",
    "cells 1,9=1": r"no cell \(1, 9\)",
    "flip x\n" * 201: "at most 200 edits",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_line_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=BAD[text]):
        run(text)
