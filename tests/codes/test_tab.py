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
from tabs.codes import handlers, pictures
from tabs.codes.handlers import SLOTS, STRIP_SIZE, initial_pictures
from tabs.codes.pictures import CUSTOM, CUSTOM_SOURCE, KINDS, crop_photo
from tabs.codes.render import (
    NO_PIXELS,
    atlas_value,
    code_colours,
    psnr,
    similarity,
    strip_value,
    to_pixels,
)
from tests.codes.test_pretrained import made as small_model
from tests.helpers.fake_models import CODES, NOISE, load

pytestmark = NOISE
STROKES = [[[60, 200, 200], [60, 60, 200]], [[60, 200], [220, 220]]]


@pytest.fixture(autouse=True)
def _model(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)
    for cached in (initial_pictures, code_colours, atlas_value):
        cached.cache_clear()


def board(kind="digits", **change):
    return handlers.answer({"kind": kind})[0] | change


def acted(value, *actions):
    """The board's value and the text after actions."""
    todo = [{"n": n, **action} for n, action in enumerate(actions, 1)]
    value, text, *_ = handlers.answer(value | {"todo": todo, "dressed": value["kind"]})
    assert value["done"] == len(actions)
    return value, text


def edit(value, *lines):
    return acted(value, *({"do": "edit", "line": line} for line in lines))


def edited(kind, *lines):
    return edit(board(kind), *lines)


def opened(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def assert_same_picture(shown, expected):
    """Within one level of 255: batches of other sizes are summed in another order."""
    assert np.abs(shown.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_board_shows_codes_and_reconstructions_of_its_pictures(kind):
    value, vqvae = board(kind), load(f"codes-{kind}")
    made = initial_pictures(kind)
    for slot, picture in zip(SLOTS.values(), made[:2], strict=True):
        grid = vqvae.encode(picture[None])
        assert value[slot] == grid[0].tolist()
        again = to_pixels(vqvae.decode(grid)[0], kind)
        assert_same_picture(opened(value["pictures"][f"{slot}_again"]), again)
        sources = value["sources"]
        assert_same_picture(opened(sources["pictures"][slot]), to_pixels(picture, kind))
        assert f"({psnr(picture, vqvae.decode(grid)[0]):.1f} dB)" in sources["notes"][slot]
    assert len(set(value["colours"])) > 0.8 * CODES[kind].num_codes


@pytest.mark.parametrize("kind", KINDS)
def test_edits_are_applied_to_codes_and_to_pixels(kind):
    value, text = edited(kind, "shift 1 0 wrap", "flip y")
    assert text == "shift 1 0 wrap\nflip y"
    first = torch.tensor(value["first"])
    expected = first.roll(1, 1).flip(0)
    assert value["edited"] == expected.tolist()
    vqvae = load(f"codes-{kind}")
    ours = vqvae.decode(expected[None])[0]
    moved = vqvae.decode(first[None])[0].roll(vqvae.config.cell_size, 2).flip(1)
    assert_same_picture(opened(value["pictures"]["edited"]), to_pixels(ours, kind))
    assert_same_picture(opened(value["pictures"]["moved"]), to_pixels(moved, kind))
    error = -10 * np.log10(float((ours - moved).square().mean()))
    assert f"({error:.1f} dB)" in value["notes"]["moved"]


def test_undo_redo_and_reset():
    value, _ = edited("digits", "rotate 1", "flip x", "undo")
    assert (value["chain"], value["redo"]) == (["rotate 1"], ["flip x"])
    assert value["edited"] == torch.rot90(torch.tensor(value["first"])).tolist()
    value, text = edit(value, "redo")
    assert text == "rotate 1\nflip x"
    value, text = edit(value, "reset")
    assert (text, value["edited"]) == ("", value["first"])
    value, text = edit(value, "redo", "redo")
    assert (text, value["redo"]) == ("rotate 1\nflip x", [])
    value, _ = edit(value, "undo", "negate")
    assert value["redo"] == []


def test_actions_that_were_answered_or_not_lead_to_the_same_board():
    lines = ("shift 1 0 wrap", "splice 3 x", "splice 4 x", "undo", "flip y")
    actions = [{"do": "edit", "line": line} for line in lines]
    actions.insert(2, {"do": "picture", "slot": "B", "picture": STROKES})
    whole, _ = acted(board(), *actions)
    for cut in range(len(actions)):
        first, _ = acted(board(), *actions[:cut])
        assert acted(first, *actions[cut:])[0]["edited"] == whole["edited"]


def test_an_action_that_fails_leaves_the_others():
    value, text = edited("digits", "flip x", "splice 99 x", "fly", "flip y")
    assert text == "flip x\nflip y"
    assert "'fly' is not an edit" in value["refused"]


def test_dragging_the_splice_slider_is_one_edit():
    value, text = edited("digits", "flip x", "splice 2 x", "splice 3 x", "splice 4 y")
    assert text == "flip x\nsplice 4 y"
    first, second = (torch.tensor(value[slot]) for slot in SLOTS.values())
    assert value["edited"] == torch.cat([first.flip(1)[:4], second[4:]]).tolist()


def test_painting_has_no_counterpart_in_pixels():
    value, _ = edited("digits", "paint 5 0,0 6,6")
    assert (value["edited"][0][0], value["edited"][6][6]) == (5, 5)
    assert (value["pictures"]["moved"], value["notes"]["moved"]) == ("", NO_PIXELS)


def test_edits_as_text_are_pasted_back():
    value, text = edited("digits", "shift 2 -1 border", "negate")
    other, again = acted(board(), {"do": "text", "text": f"# mine\n\n{text.upper()}\n"})
    assert (again, other["edited"]) == (text, value["edited"])
    value, again = acted(other, {"do": "text", "text": "flip x\njump 3"})
    assert again == text
    assert value["refused"].startswith("Line 2: 'jump' is not an edit")


def test_open_cells_are_completed_by_the_prior_in_one_edit():
    settings = {"do": "complete", "label": "7", "temperature": 1.0, "top_k": 0, "seed": 5}
    value = board("digits")
    done, text = acted(value, settings | {"open": [[0, 0], [3, 2]]})
    known = torch.tensor(value["first"])
    known[0, 0] = known[2, 3] = -1
    expected = load("prior-digits").sample(1, "7", known, 1.0, None, 5)[0]
    assert done["edited"] == expected.tolist()
    assert acted(board(), {"do": "text", "text": text})[0]["edited"] == done["edited"]
    assert "Erase" in acted(board(), settings | {"open": []})[0]["refused"]
    minus, _ = edited("digits", "negate")
    minus, _ = acted(minus, settings | {"open": [[0, 0]]})
    assert "no negated codes" in minus["refused"]


def test_a_picture_goes_into_the_chosen_slot():
    value, _ = edited("digits", "flip x")
    tile = strip_value(initial_pictures("digits"), "digits")["tiles"][4]
    seen = torch.from_numpy(opened(tile) / np.float32(255))[None, None]
    grid = load("codes-digits").encode(seen)[0].tolist()
    after, _ = acted(value, {"do": "picture", "slot": "B", "picture": tile})
    assert (after["second"], after["first"], after["chain"]) == (grid, value["first"], ["flip x"])
    assert after["sources"]["pictures"] == {"second": tile}
    after, _ = acted(value, {"do": "picture", "slot": "A", "picture": tile})
    assert (after["first"], after["chain"], after["redo"]) == (grid, [], ["flip x"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_the_strip_is_encoded_as_it_is(kind):
    made = initial_pictures(kind)
    tile = strip_value(made, kind)["tiles"][2]
    assert (pictures.read_image(tile, kind)[0] - made[2]).abs().max() <= 0.5 / 255 + 1e-6


def test_sampling_fills_the_strip_with_samples_of_the_prior():
    settings = {"do": "sample", "label": "3", "temperature": 0.7, "top_k": 4, "seed": 11, "n": 1}
    _, _, strip, *_ = handlers.answer(board() | {"todo": [settings], "dressed": "digits"})
    grids = load("prior-digits").sample(STRIP_SIZE, "3", None, 0.7, 4, 11)
    expected = load("codes-digits").decode(grids)
    assert_same_picture(opened(strip["tiles"][2]), to_pixels(expected[2], "digits"))


@pytest.mark.parametrize(
    ("noise", "word"), [(0.001, "nearly the same"), (0.09, "similar"), (0.5, "very different")]
)
def test_how_similar_two_pictures_are_is_said_in_words(noise, word):
    one = torch.full((1, 28, 28), 0.5)
    assert similarity(one, one) == "identical"
    assert similarity(one, one + noise) == f"{word} ({-20 * np.log10(noise):.1f} dB)"


def test_the_atlas_lists_every_code_by_frequency():
    value = atlas_value("digits")
    uses = load("codes-digits").code_counts.double()
    assert [code for code, _ in value["codes"]] == list(range(11, -1, -1))
    assert sum(share for _, share in value["codes"]) == pytest.approx(1)
    assert value["codes"][0][1] == pytest.approx(float(uses[11] / uses.sum()))
    assert value["codes"][-1] == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tile_of_the_atlas_is_what_its_code_decodes_to(kind):
    value, vqvae = atlas_value(kind), load(f"codes-{kind}")
    code, cell = value["codes"][3][0], vqvae.config.cell_size
    grid = torch.full((1, 7, 7), code)
    inside = slice(3 * cell - cell // 2, 4 * cell + cell // 2)
    expected = to_pixels(vqvae.decode(grid)[0][:, inside, inside], kind)
    assert_same_picture(opened(value["sheet"])[: 2 * cell, 6 * cell : 8 * cell], expected)


def test_a_drawn_digit_is_centred_as_in_mnist():
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
        {"first": [[99] * 7] * 7},
        {"second": "no"},
        {"kind": "sketches"},
        {"chain": "flip x"},
        {"chain": ["flip x"] * 201},
        {"redo": [3]},
        {"todo": "flip x"},
        {"todo": [{"do": "edit", "line": "flip x"}]},
        {"todo": [3]},
    ],
)
def test_a_forged_board_is_one_sentence(change):
    with pytest.raises(gr.Error):
        handlers.answer(board() | change)


@pytest.mark.parametrize("action", [
    {"do": "edit", "line": "flip x\nflip y"}, {"do": "edit", "line": ""}, {"do": "fly"}, {},
    {"do": "kind", "kind": "cats"}, {"do": "picture", "slot": "C", "picture": STROKES},
])  # fmt: skip
def test_a_forged_action_is_refused(action):
    value, text = acted(board(), action)
    assert value["refused"]
    assert text == ""


def test_a_face_in_a_photo_is_cropped_to_celebas_alignment(monkeypatch):
    photo = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    transform = (1.0, 0.1, 9.0, 12.0)
    monkeypatch.setattr(pictures.face_photo, "find_face", lambda _: (transform, 1))
    expected = face_alignment.crop(
        Image.fromarray(photo), face_alignment.SimilarityTransform(*transform), 64
    )
    assert torch.equal(crop_photo(photo, 64, find=True)[0], expected)
    monkeypatch.setattr(pictures.face_photo, "find_face", lambda _: (None, 0))
    middle = Image.fromarray(photo[15:105]).resize((64, 64), Image.Resampling.LANCZOS)
    found = to_pixels(crop_photo(photo, 64, find=True)[0], "faces")
    assert_same_picture(found, np.asarray(middle))


def test_a_pretrained_model_is_one_more_codebook(monkeypatch, tmp_path):
    small_model().save_pretrained(tmp_path)
    monkeypatch.setenv(CUSTOM_SOURCE, str(tmp_path))
    vqvae = pretrained.load(tmp_path)
    value = board(CUSTOM)
    first = initial_pictures(CUSTOM)[0]
    assert first.shape == (3, 256, 256)
    assert value["first"] == vqvae.encode(first[None])[0].tolist()
    value, _ = edit(value, "flip x")
    expected = vqvae.decode(torch.tensor(value["first"]).flip(1)[None])[0]
    assert_same_picture(opened(value["pictures"]["edited"]), to_pixels(expected, CUSTOM))
    sample = {"do": "sample", "label": "any", "temperature": 1.0, "top_k": 0, "seed": 0}
    assert "There is no prior for this model" in acted(value, sample)[0]["refused"]
    monkeypatch.setenv(CUSTOM_SOURCE, str(tmp_path / "no" / "such" / "model"))
    with pytest.raises(gr.Error, match="is not a Hub id"):
        board(CUSTOM)
