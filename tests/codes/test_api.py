"""Endpoints of Codes, over HTTP and called directly: results and errors."""

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image

from tabs import model_cache
from tabs.codes import api
from tabs.codes.handlers import initial_pictures
from tabs.codes.render import to_pixels
from tests.codes.test_tab import assert_same_picture
from tests.helpers.fake_models import CODES, NOISE, load, serving

pytestmark = NOISE


@pytest.fixture(autouse=True)
def _model(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)
    initial_pictures.cache_clear()


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as patch, serving(patch) as address:
        yield Client(address, verbose=False)


def test_a_digit_of_28_px_is_not_resampled(client, tmp_path):
    digit = (initial_pictures("digits")[2][0] * 200).byte().numpy()
    digit[0] = digit[-1] = digit[:, 0] = digit[:, -1] = 0
    expected = load("codes-digits").encode(torch.from_numpy(digit)[None, None].float() / 255)
    for name, pixels in (("light", digit), ("dark", 255 - digit)):
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        found = client.predict(handle_file(path), "digits", api_name="/encode_codes")
        assert found["codes"] == expected[0].tolist()
        assert found["size"] == CODES["digits"].num_codes


def test_endpoints_encode_edit_and_sample_as_the_models_do(client, tmp_path):
    face = (initial_pictures("faces")[0] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(face).save(tmp_path / "face.png")
    found = client.predict(handle_file(tmp_path / "face.png"), "faces", api_name="/encode_codes")
    vqvae = load("codes-faces")
    grid = vqvae.encode(torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255)
    assert found["codes"] == grid[0].tolist()
    after = client.predict(found["codes"], "rotate 2\nnegate", "faces", api_name="/edit_codes")
    assert after["codes"] == (grid[0].flip(0).flip(1) + vqvae.config.num_codes).tolist()
    drawn = np.asarray(Image.open(after["picture"]))
    minus = vqvae.decode_latents(-vqvae.lookup(grid.flip(1).flip(2)))[0]
    assert_same_picture(drawn, to_pixels(minus, "faces"))
    assert np.asarray(Image.open(after["pixels"])).shape == drawn.shape
    known = [[-1] * 7] * 3 + [[2] * 7] * 4
    many = client.predict("digits", "4", 3, 0.5, 0, 9, known, api_name="/sample_codes")
    expected = load("prior-digits").sample(3, "4", torch.tensor(known), 0.5, None, 9)
    assert many["codes"] == expected.tolist()
    picture = np.asarray(Image.open(many["pictures"][1]))
    drawn = load("codes-digits").decode(expected)[1]
    assert_same_picture(picture, to_pixels(drawn, "digits"))


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
def test_bad_edits_are_one_sentence(arguments, sentence):
    with pytest.raises(gr.Error, match=sentence):
        api.edit_codes(*arguments)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "cats"}, "Kind 'cats' is unknown"),
        ({"label": "11"}, "Label '11' is unknown"),
        ({"count": 0}, "Count must be a whole number from 1 to 64"),
        ({"temperature": float("nan")}, "Temperature must be"),
        ({"top_k": -1}, "Top-k must be"),
        ({"seed": 1.5}, "Seed must be"),
        ({"known": [[0] * 6] * 7}, "`known` must be 7x7"),
        ({"known": [[-2] * 7] * 7}, "from -1 to 11, not -2"),
    ],
)
def test_bad_sampling_arguments_are_one_sentence(change, sentence):
    with pytest.raises(gr.Error, match=sentence):
        api.sample_codes(**change)


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
def test_bad_pictures_are_one_sentence(picture, kind, sentence):
    with pytest.raises(gr.Error, match=sentence):
        api.encode_codes(picture, kind)
