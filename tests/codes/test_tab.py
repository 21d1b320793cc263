import base64
import io

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from models import face_alignment, images
from models.codes import pretrained
from tabs import model_cache
from tabs.codes import board as codes_board
from tabs.codes import kinds as codes_kind
from tabs.codes import pictures as codes_picture
from tabs.codes import render as codes_view
from tabs.codes import tab as codes
from tabs.codes.pictures import KINDS
from tests.codes.test_pretrained import made as small_model
from tests.helpers.fake_models import CODES, NOISE, load

pytestmark = NOISE
STROKES = [[[60, 200, 200], [60, 60, 200]], [[60, 200], [220, 220]]]


@pytest.fixture(autouse=True)
def _model(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)
    for cached in (codes_kind.starts, codes_view.colours, codes_view.atlas_value):
        cached.cache_clear()


def board(kind="digits", **change):
    return codes_kind.on_kind(kind)[0] | change


def edited(kind, *lines):
    value = board(kind)
    for line in lines:
        value, text = codes.on_edit(value | {"line": line})
    return value, text


def opened(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def same(shown, expected):
    """One level of 255 apart at most: batches of other sizes are summed in another order."""
    assert np.abs(shown.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_board_shows_what_the_model_makes_of_its_pictures(kind):
    value, book = board(kind), load(f"codes-{kind}")
    made = codes_kind.starts(kind)
    for slot, picture in zip(codes_board.SLOTS, made[:2], strict=True):
        grid = book.encode(picture[None])
        assert value[slot] == grid[0].tolist()
        again = codes_view.pixels(book.decode(grid)[0], kind)
        same(opened(value["pictures"][f"{slot}_again"]), again)
        same(opened(value["pictures"][slot]), codes_view.pixels(picture, kind))
        assert value["notes"][slot] == f"{codes_view.psnr(picture, book.decode(grid)[0]):.1f} dB"
    assert len(set(value["colours"])) > 0.8 * CODES[kind].num_codes


@pytest.mark.parametrize("kind", KINDS)
def test_edits_are_done_on_the_grid_and_beside_it_on_pixels(kind):
    value, text = edited(kind, "shift 1 0 wrap", "flip y")
    assert text == "shift 1 0 wrap\nflip y"
    first = torch.tensor(value["first"])
    expected = first.roll(1, 1).flip(0)
    assert value["edited"] == expected.tolist()
    book = load(f"codes-{kind}")
    ours = book.decode(expected[None])[0]
    moved = book.decode(first[None])[0].roll(book.config.cell_size, 2).flip(1)
    same(opened(value["pictures"]["edited"]), codes_view.pixels(ours, kind))
    same(opened(value["pictures"]["moved"]), codes_view.pixels(moved, kind))
    error = -10 * np.log10(float((ours - moved).square().mean()))
    assert value["notes"]["moved"].startswith(f"{error:.1f} dB")


def test_undo_redo_and_reset_walk_the_history():
    value, _ = edited("digits", "rotate 1", "flip x", "undo")
    assert (value["chain"], value["redo"]) == (["rotate 1"], ["flip x"])
    assert value["edited"] == torch.rot90(torch.tensor(value["first"])).tolist()
    value, text = codes.on_edit(value | {"line": "redo"})
    assert text == "rotate 1\nflip x"
    value, text = codes.on_edit(value | {"line": "reset"})
    assert (text, value["edited"]) == ("", value["first"])
    for _ in range(2):
        value, text = codes.on_edit(value | {"line": "redo"})
    assert (text, value["redo"]) == ("rotate 1\nflip x", [])
    value, _ = codes.on_edit(value | {"line": "undo"})
    value, _ = codes.on_edit(value | {"line": "negate"})
    assert value["redo"] == []


def test_a_dragged_splice_is_one_edit():
    value, text = edited("digits", "flip x", "splice 2 x", "splice 3 x", "splice 4 y")
    assert text == "flip x\nsplice 4 y"
    first, second = (torch.tensor(value[slot]) for slot in codes_board.SLOTS)
    assert value["edited"] == torch.cat([first.flip(1)[:4], second[4:]]).tolist()


def test_painting_has_no_counterpart_in_pixels():
    value, _ = edited("digits", "paint 5 0,0 6,6")
    assert (value["edited"][0][0], value["edited"][6][6]) == (5, 5)
    assert (value["pictures"]["moved"], value["notes"]["moved"]) == ("", codes_view.NO_PIXELS)


def test_a_chain_is_pasted_back():
    value, text = edited("digits", "shift 2 -1 border", "negate")
    other, again = codes.on_chain(board(), f"# mine\n\n{text.upper()}\n")
    assert (again, other["edited"]) == (text, value["edited"])
    same = codes.on_chain(other, text)
    assert all(part["__type__"] == "update" for part in same)
    with pytest.raises(gr.Error, match=r"Line 2: 'jump' is not an edit"):
        codes.on_chain(board(), "flip x\njump 3")


def test_open_cells_are_completed_by_the_prior_and_kept_as_an_edit():
    value = board("digits", open=[[0, 0], [3, 2]])
    done, text = codes.on_complete(value, "7", 1.0, 0, 5)
    keep = torch.tensor(value["first"])
    keep[0, 0] = keep[2, 3] = -1
    expected = load("prior-digits").sample(1, "7", keep, 1.0, None, 5)[0]
    assert done["edited"] == expected.tolist()
    assert codes.on_chain(board(), text)[0]["edited"] == done["edited"]
    with pytest.raises(gr.Error, match="Erase"):
        codes.on_complete(board(), "any", 1.0, 0, 0)
    minus, _ = edited("digits", "negate")
    with pytest.raises(gr.Error, match="no negated codes"):
        codes.on_complete(minus | {"open": [[0, 0]]}, "any", 1.0, 0, 0)


def test_a_picture_goes_where_it_is_wanted_and_the_edits_stay():
    value, _ = edited("digits", "flip x")
    made = codes_kind.starts("digits")
    after = codes.on_pick(value, {"chosen": 4}, made, "digits", "B")
    grid = load("codes-digits").encode(made[4][None])[0].tolist()
    assert (after["second"], after["first"], after["chain"]) == (grid, value["first"], ["flip x"])
    assert set(after["pictures"]) == {"first_again", "second_again", "second", "edited", "moved"}


def test_sampling_fills_the_strip_with_what_the_prior_draws():
    strip, made = codes.on_sample("digits", "3", 0.7, 4, 11)
    grids = load("prior-digits").sample(codes_kind.SHOWN, "3", None, 0.7, 4, 11)
    expected = load("codes-digits").decode(grids)
    assert torch.equal(torch.stack(made), expected)
    same(opened(strip["tiles"][2]), codes_view.pixels(expected[2], "digits"))


def test_the_atlas_lists_every_code_by_its_use():
    value = codes_view.atlas_value("digits")
    uses = load("codes-digits").code_counts.double()
    assert [code for code, _ in value["codes"]] == list(range(11, -1, -1))
    assert sum(share for _, share in value["codes"]) == pytest.approx(1)
    assert value["codes"][0][1] == pytest.approx(float(uses[11] / uses.sum()))
    assert value["codes"][-1] == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tile_of_the_atlas_is_what_its_code_decodes_to(kind):
    value, book = codes_view.atlas_value(kind), load(f"codes-{kind}")
    code, cell = value["codes"][3][0], book.config.cell_size
    grid = torch.full((1, 7, 7), code)
    inside = slice(3 * cell - cell // 2, 4 * cell + cell // 2)
    expected = codes_view.pixels(book.decode(grid)[0][:, inside, inside], kind)
    same(opened(value["sheet"])[: 2 * cell, 6 * cell : 8 * cell], expected)


def test_a_drawn_digit_is_centred_as_mnist_has_them():
    digit = images.ink_to_digit(images.rasterise(STROKES))
    rows, columns = (torch.nonzero(digit.amax(axis) > 0.1)[:, 0] for axis in (1, 0))
    spans = [int(s[-1] - s[0]) + 1 for s in (rows, columns)]
    assert 19 <= max(spans) <= 20
    where = torch.arange(28.0) + 0.5
    for axis in (0, 1):
        middle = float((digit.sum(1 - axis) * where).sum() / digit.sum())
        assert abs(middle - 14) <= 0.6
    moved = [[[v - 32 for v in xs], [v - 40 for v in ys]] for xs, ys in STROKES]
    assert (images.ink_to_digit(images.rasterise(moved)) - digit).abs().max() < 1e-5
    with pytest.raises(ValueError, match="no ink"):
        images.ink_to_digit(torch.zeros(64, 64))


@pytest.mark.parametrize(
    "change",
    [
        {"first": None},
        {"first": [[99] * 7] * 7},
        {"second": "no"},
        {"kind": "sketches"},
        {"chain": "flip x"},
        {"chain": ["flip x"] * 201},
        {"redo": [3]},
        {"line": "flip x\nflip y"},
        {"line": ""},
    ],
)
def test_a_forged_board_is_one_sentence(change):
    with pytest.raises(gr.Error):
        codes.on_edit(board() | {"line": "flip x"} | change)


def test_a_face_in_a_photo_is_cut_out_as_celeba_has_it(monkeypatch):
    photo = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    transform = (1.0, 0.1, 9.0, 12.0)
    monkeypatch.setattr(codes_picture.face_photo, "find_face", lambda _: (transform, 1))
    expected = face_alignment.crop(
        Image.fromarray(photo), face_alignment.SimilarityTransform(*transform), 64
    )
    assert torch.equal(codes_picture.photo(photo, 64, find=True)[0], expected)
    monkeypatch.setattr(codes_picture.face_photo, "find_face", lambda _: (None, 0))
    middle = Image.fromarray(photo[15:105]).resize((64, 64), Image.Resampling.LANCZOS)
    found = codes_view.pixels(codes_picture.photo(photo, 64, find=True)[0], "faces")
    same(found, np.asarray(middle))


def test_anyones_model_is_one_more_codebook(monkeypatch, tmp_path):
    small_model().save_pretrained(tmp_path)
    monkeypatch.setenv(codes_picture.SOURCE, str(tmp_path))
    book = pretrained.load(tmp_path)
    value = board(codes_picture.OWN)
    first = codes_kind.starts(codes_picture.OWN)[0]
    assert first.shape == (3, 256, 256)
    assert value["first"] == book.encode(first[None])[0].tolist()
    value, _ = codes.on_edit(value | {"line": "flip x"})
    expected = book.decode(torch.tensor(value["first"]).flip(1)[None])[0]
    same(opened(value["pictures"]["edited"]), codes_view.pixels(expected, codes_picture.OWN))
    with pytest.raises(gr.Error, match="Nothing has learnt"):
        codes.on_sample(codes_picture.OWN, "any", 1.0, 0, 0)
    monkeypatch.setenv(codes_picture.SOURCE, str(tmp_path / "no" / "such" / "model"))
    with pytest.raises(gr.Error, match="is not a Hub id"):
        board(codes_picture.OWN)
