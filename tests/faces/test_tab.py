"""The sections of the Faces tab: what they show, their errors, distortions of equal error."""

import base64
import io
import json

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from models import checkpoint
from tabs import model_cache
from tabs.face_photo import FacePhoto
from tabs.faces import change, films, generate, own_face, portraits, tab
from tests.helpers.fake_models import NOISE, load

pytestmark = NOISE
FACE = json.dumps(portraits.START)
KEEP = ["male", "young"]
NONE = [0.0] * 8


@pytest.fixture(autouse=True)
def _models(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def test_a_sample_that_is_taken_on_is_the_one_of_the_grid():
    grid = generate.answer(["smiling"], ["eyeglasses"], 0.8, 3)
    assert len(grid["tiles"]) == portraits.SAMPLES
    portrait = portraits.open_portrait(grid["faces"][5])
    difference = np.asarray(opened(grid["tiles"][5]), int) - portraits.to_pixels(portrait.image[0])
    assert np.abs(difference).max() <= 1


def test_sliders_at_zero_change_nothing_and_each_changes_something():
    columns = change.answer(FACE, NONE, "bald", KEEP, False)["columns"]
    assert columns[0]["picture"] == columns[1]["picture"]
    seen = set()
    for i in range(8):
        values = [2.0 if k == i else 0.0 for k in range(8)]
        columns = change.answer(FACE, values, "bald", KEEP, False)["columns"]
        seen.add(columns[1]["picture"])
    assert len(seen) == 8


def test_a_lock_changes_the_way():
    values = [2.0, *NONE[1:]]
    locked, free = (
        change.answer(FACE, values, "bald", keep, False)["columns"][1]["picture"]
        for keep in (KEEP, [])
    )
    assert locked != free


def test_the_film_moves_and_can_be_saved():
    column = change.answer(FACE, [1.0, *NONE[1:]], "bald", KEEP, True)["columns"][2]
    film = opened(column["picture"])
    assert film.format == "WEBP"
    assert film.n_frames == 24
    assert column["words"].count("download=") == 2
    assert opened(films.url([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)], "GIF")).n_frames == 2


def test_a_photo_keeps_what_the_model_does_not_change():
    image = torch.rand(1, 3, 128, 128)
    portrait = portraits.Portrait(image, None, FacePhoto("", None))
    before = torch.zeros(1, 3, 128, 128)
    after = before.clone()
    after[:, :, 40:60, 40:60] = 0.3
    changed = change.transfer(portrait, before, after)
    assert torch.equal(changed[:, :, 80:], image[:, :, 80:])
    assert (changed - image)[:, :, 45:55, 45:55].mean() > 0.1


def test_distortions_have_the_same_squared_error():
    x = portraits.reduced(portraits.open_portrait(FACE).image)
    found = own_face.distortions(x)
    assert len(found) == 5
    for image in found.values():
        assert float((image - x).square().mean()) == pytest.approx(own_face.EQUAL_MSE, rel=1e-3)
    likeness = {name: own_face.ssim(image, x) for name, image in found.items()}
    assert likeness["brighter"] > likeness["noisy"] + 0.2


def test_ssim_of_a_picture_with_itself_is_one():
    x = torch.rand(1, 3, 64, 64)
    assert own_face.ssim(x, x) == pytest.approx(1)
    assert own_face.psnr(x + 0.1, x) == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("section", tab.NAMES)
def test_every_section_answers(section):
    settings = [[], [], 0.8, 1, *NONE, "bald", KEEP, False, "", "", "great circle"]
    shown = tab.answer(section, "", *settings)
    value = shown[tab.NAMES.index(section)]
    assert value.get("columns") or value.get("tiles")
    assert value["said"]


@pytest.mark.parametrize(
    ("face", "message"),
    [
        ("nonsense", "Choose a face first"),
        (json.dumps({"seed": -1, "index": 0, "temperature": 1}), "Seed must be"),
        (json.dumps({"seed": 1, "index": 99, "temperature": 1}), "Sample must be"),
        (json.dumps({"photo": "/etc/passwd"}), "upload it again"),
        (json.dumps(portraits.START | {"on": ["flying"]}), "Attribute 'flying' is unknown"),
    ],
)
def test_a_face_that_is_none_is_a_sentence(face, message):
    settings = [[], [], 0.8, 1, *NONE, "bald", KEEP, False, "", "", "straight"]
    value = tab.answer("your-face", face, *settings)[tab.NAMES.index("your-face")]
    assert message in value["note"]


def test_what_is_asked_and_excluded_is_refused():
    with pytest.raises(gr.Error, match="Smiling is asked for and excluded"):
        generate.answer(["smiling"], ["smiling"], 0.8, 1)


def test_a_link_restores_the_settings():
    query = {"section": "change", "face": FACE, "s0": "1.5", "other": "bangs"}
    query |= {"keep": "male", "on": "bald"}
    values = tab.from_link(query)
    assert values[:3] == ["change", FACE, ["bald"]]
    assert values[tab.CHANGED][0] == 1.5
    assert values[tab.CHANGED][-3:-1] == ["bangs", ["male"]]


def test_a_wrong_link_is_ignored():
    query = {"section": "x", "face": "[", "s0": "NaN", "other": "x", "on": "x", "way": "x"}
    values = tab.from_link(query)
    assert values[:2] == ["generate", ""]
    assert all(value in ("", "generate") or isinstance(value, dict) for value in values)


def test_the_shipped_model_has_every_slider():
    offered = {*change.SLIDERS, *change.OTHERS}
    assert offered <= set(checkpoint.load("faces").attributes)
