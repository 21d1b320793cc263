import base64
import io

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image
from standin import CODES, NOISE, load, serving
from test_codes_pretrained import made as small_model

from models import align, codes_pretrained, images
from tabs import codes, codes_api, codes_board, codes_picture, codes_view, common
from tabs.codes_picture import KINDS

pytestmark = NOISE
STROKES = [[[60, 200, 200], [60, 60, 200]], [[60, 200], [220, 220]]]


@pytest.fixture(autouse=True)
def _model(monkeypatch):
    monkeypatch.setattr(common, "_load", load)
    for cached in (codes.starts, codes_view.colours, codes_view.atlas_value):
        cached.cache_clear()


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as patch, serving(patch) as address:
        yield Client(address, verbose=False)


def board(kind="digits", **change):
    return codes.on_kind(kind)[0] | change


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
    made = codes.starts(kind)
    for slot, picture in zip(codes_board.SLOTS, made[:2], strict=True):
        grid = book.encode(picture[None])
        assert value[slot] == grid[0].tolist()
        again = codes_view.pixels(book.decode(grid)[0], kind)
        same(opened(value["pictures"][f"{slot}_again"]), again)
        same(opened(value["pictures"][slot]), codes_view.pixels(picture, kind))
        assert value["notes"][slot] == f"{codes_view.psnr(picture, book.decode(grid)[0]):.1f} dB"
    assert len(set(value["colours"])) > 0.8 * CODES[kind].codes


@pytest.mark.parametrize("kind", KINDS)
def test_edits_are_done_on_the_grid_and_beside_it_on_pixels(kind):
    value, text = edited(kind, "shift 1 0 wrap", "flip y")
    assert text == "shift 1 0 wrap\nflip y"
    first = torch.tensor(value["first"])
    expected = first.roll(1, 1).flip(0)
    assert value["edited"] == expected.tolist()
    book = load(f"codes-{kind}")
    ours = book.decode(expected[None])[0]
    moved = book.decode(first[None])[0].roll(book.config.cell, 2).flip(1)
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
    with pytest.raises(gr.Error, match=r"Line 2: 'jump' is no edit"):
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
    made = codes.starts("digits")
    after = codes.on_pick(value, {"chosen": 4}, made, "digits", "B")
    grid = load("codes-digits").encode(made[4][None])[0].tolist()
    assert (after["second"], after["first"], after["chain"]) == (grid, value["first"], ["flip x"])
    assert set(after["pictures"]) == {"first_again", "second_again", "second", "edited", "moved"}


def test_sampling_fills_the_strip_with_what_the_prior_draws():
    strip, made = codes.on_sample("digits", "3", 0.7, 4, 11)
    grids = load("prior-digits").sample(codes.SHOWN, "3", None, 0.7, 4, 11)
    expected = load("codes-digits").decode(grids)
    assert torch.equal(torch.stack(made), expected)
    same(opened(strip["tiles"][2]), codes_view.pixels(expected[2], "digits"))


def test_the_atlas_lists_every_code_by_its_use():
    value = codes_view.atlas_value("digits")
    uses = load("codes-digits").uses.double()
    assert [code for code, _ in value["codes"]] == list(range(11, -1, -1))
    assert sum(share for _, share in value["codes"]) == pytest.approx(1)
    assert value["codes"][0][1] == pytest.approx(float(uses[11] / uses.sum()))
    assert value["codes"][-1] == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tile_of_the_atlas_is_what_its_code_decodes_to(kind):
    value, book = codes_view.atlas_value(kind), load(f"codes-{kind}")
    code, cell = value["codes"][3][0], book.config.cell
    grid = torch.full((1, 7, 7), code if kind == "faces" else book.background)
    grid[0, 3, 3] = code
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


def test_a_digit_of_the_networks_size_is_taken_as_it_is(client, tmp_path):
    digit = (codes.starts("digits")[2][0] * 200).byte().numpy()
    digit[0] = digit[-1] = digit[:, 0] = digit[:, -1] = 0
    expected = load("codes-digits").encode(torch.from_numpy(digit)[None, None].float() / 255)
    for name, pixels in (("light", digit), ("dark", 255 - digit)):
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        found = client.predict(handle_file(path), "digits", api_name="/encode_codes")
        assert found["codes"] == expected[0].tolist()
        assert found["size"] == CODES["digits"].codes


def test_endpoints_encode_edit_and_sample_as_the_models_do(client, tmp_path):
    face = (codes.starts("faces")[0] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(face).save(tmp_path / "face.png")
    found = client.predict(handle_file(tmp_path / "face.png"), "faces", api_name="/encode_codes")
    book = load("codes-faces")
    grid = book.encode(torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255)
    assert found["codes"] == grid[0].tolist()
    after = client.predict(found["codes"], "rotate 2\nnegate", "faces", api_name="/edit_codes")
    assert after["codes"] == (grid[0].flip(0).flip(1) + book.config.codes).tolist()
    drawn = np.asarray(Image.open(after["picture"]))
    minus = book.draw(-book.vectors(grid.flip(1).flip(2)))[0]
    same(drawn, codes_view.pixels(minus, "faces"))
    assert np.asarray(Image.open(after["pixels"])).shape == drawn.shape
    keep = [[-1] * 7] * 3 + [[2] * 7] * 4
    many = client.predict("digits", "4", 3, 0.5, 0, 9, keep, api_name="/sample_codes")
    expected = load("prior-digits").sample(3, "4", torch.tensor(keep), 0.5, None, 9)
    assert many["codes"] == expected.tolist()
    picture = np.asarray(Image.open(many["pictures"][1]))
    drawn = load("codes-digits").decode(expected)[1]
    same(picture, codes_view.pixels(drawn, "digits"))


GRID = [[0] * 7] * 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((GRID, "flip x", "dogs"), "Kind 'dogs' is unknown"),
        ((None, "flip x"), "`codes` must be a list of rows"),
        ((GRID[1:], "flip x"), "`codes` must be 7x7 codes for digits, not 7x6"),
        (([[0] * 7] * 6 + [[0] * 6], "flip x"), "rows of one length"),
        (([[12] * 7] * 7, "flip x"), "whole numbers from 0 to 11, not 12"),
        (([[-1] * 7] * 7, "flip x"), "whole numbers from 0 to 11, not -1"),
        (([[0.5] * 7] * 7, "flip x"), "not 0.5"),
        ((GRID, 7), "`edits` must be a text"),
        ((GRID, "flip z"), "Edit 1, 'flip z': axis must be 'x' or 'y'"),
        ((GRID, "transplant 0 0 9 2 0 0"), "must be left, top, right, bottom within 7x7 cells"),
        ((GRID, "paint 3 7,0"), r"there is no cell \(7, 0\) in a grid of 7x7"),
        ((GRID, "paint 99 0,0"), "there is no code 99: use 0 to 11"),
        ((GRID, "cells 0,0"), "cells needs cells and codes"),
        ((GRID, "splice 8 x"), "cut must be 0 to 7"),
        ((GRID, "shift a b"), "must be whole numbers"),
        ((GRID, "flip x\n" * 201), "At most 200 edits"),
    ],
)
def test_what_cannot_be_edited_is_one_sentence(arguments, sentence):
    with pytest.raises(gr.Error, match=sentence):
        codes_api.edit_codes(*arguments)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "cats"}, "Kind 'cats' is unknown"),
        ({"label": "11"}, "Label '11' is unknown"),
        ({"count": 0}, "Count must be a whole number from 1 to 64"),
        ({"temperature": float("nan")}, "Temperature must be"),
        ({"top_k": -1}, "Top-k must be"),
        ({"seed": 1.5}, "Seed must be"),
        ({"keep": [[0] * 6] * 7}, "`keep` must be 7x7"),
        ({"keep": [[-2] * 7] * 7}, "from -1 to 11, not -2"),
    ],
)
def test_what_cannot_be_sampled_is_one_sentence(change, sentence):
    with pytest.raises(gr.Error, match=sentence):
        codes_api.sample_codes(**change)


@pytest.mark.parametrize(
    ("picture", "kind", "sentence"),
    [
        (None, "digits", "Draw something first"),
        ({"path": "/etc/passwd"}, "digits", "must be uploaded"),
        ({"path": "/etc/passwd"}, "faces", "must be uploaded"),
        ([[[1], [1]]], "faces", "neither faces nor photographs"),
        ("http://127.0.0.1/x.png", "sketches", "links are not opened"),
    ],
)
def test_what_is_no_picture_is_one_sentence(picture, kind, sentence):
    with pytest.raises(gr.Error, match=sentence):
        codes_api.encode_codes(picture, kind)


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
    frame = (1.0, 0.1, 9.0, 12.0)
    monkeypatch.setattr(codes_picture.face_photo, "find", lambda _: (frame, 1))
    expected = align.cut(Image.fromarray(photo), align.Frame(*frame), 64)
    assert torch.equal(codes_picture.photo(photo, 64, find=True)[0], expected)
    monkeypatch.setattr(codes_picture.face_photo, "find", lambda _: (None, 0))
    middle = Image.fromarray(photo[15:105]).resize((64, 64), Image.Resampling.LANCZOS)
    found = codes_view.pixels(codes_picture.photo(photo, 64, find=True)[0], "faces")
    same(found, np.asarray(middle))


def test_anyones_model_is_one_more_codebook(monkeypatch, tmp_path):
    small_model().save_pretrained(tmp_path)
    monkeypatch.setenv(codes_picture.SOURCE, str(tmp_path))
    book = codes_pretrained.load(tmp_path)
    value = board(codes_picture.OWN)
    first = codes.starts(codes_picture.OWN)[0]
    assert first.shape == (3, 256, 256)
    assert value["first"] == book.encode(first[None])[0].tolist()
    value, _ = codes.on_edit(value | {"line": "flip x"})
    expected = book.decode(torch.tensor(value["first"]).flip(1)[None])[0]
    same(opened(value["pictures"]["edited"]), codes_view.pixels(expected, codes_picture.OWN))
    with pytest.raises(gr.Error, match="Nothing has learnt"):
        codes.on_sample(codes_picture.OWN, "any", 1.0, 0, 0)
    monkeypatch.setenv(codes_picture.SOURCE, str(tmp_path / "no" / "such" / "model"))
    with pytest.raises(gr.Error, match="is no Hub id"):
        board(codes_picture.OWN)
