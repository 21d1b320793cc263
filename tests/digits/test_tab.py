"""The sections of the Digits tab with settings: comparison, the visitor's digit, its style."""

import base64
import io

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from models.digits.base import add_noise
from models.images import ink_to_digit, rasterise
from tabs import model_cache
from tabs.components.drawing_pad import parse_digit
from tabs.digits import compare, style, tab, your_digit
from tabs.digits.families import FAMILIES
from tests.helpers.fake_models import NOISE, load

pytestmark = NOISE
SEVEN = {"strokes": [[[80, 180, 120], [60, 60, 200]]], "erase": [False], "base": None}


@pytest.fixture(autouse=True)
def _models(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)
    compare.column.cache_clear()


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def tiles(url: str, columns: int) -> np.ndarray:
    """The 28x28 pictures of a sheet."""
    return pixels(url).reshape(-1, 28, columns, 28).transpose(0, 2, 1, 3).reshape(-1, 28, 28)


def to_bytes(images: torch.Tensor) -> np.ndarray:
    return (images[:, 0] * 255).round().byte().numpy()


def test_each_column_shows_the_samples_of_its_model():
    value = compare.answer("3", 5, 0.8, 1.5, 4, 11)
    assert [column["name"] for column in value["columns"]] == list(FAMILIES)
    for column, family in zip(value["columns"], FAMILIES.values(), strict=True):
        own = {"steps": 4, "guidance": 1.5} if family.stem == compare.DIFFUSION else {}
        expected = load(family.stem).sample(5, 3, 0.8, 11, **own)
        found = tiles(column["picture"], compare.COLUMNS)
        assert (found[:5] == to_bytes(expected)).all()
        assert not found[5:].any()


def test_guidance_and_steps_change_diffusion_alone():
    one, other = (compare.answer("3", 2, 1.0, w, n, 0)["columns"] for w, n in ((1.0, 3), (2.0, 5)))
    changed = [a["name"] for a, b in zip(one, other, strict=True) if a["picture"] != b["picture"]]
    assert changed == ["Diffusion"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("10", 4, 1.0, 1.0, 20, 0), "Class '10' is unknown"),
        (("3", 0, 1.0, 1.0, 20, 0), "How many must be a whole number from 1 to 16"),
        (("3", 4, float("nan"), 1.0, 20, 0), "Temperature must be a number"),
        (("3", 4, 1.0, 1.0, 0, 0), "Steps must be a whole number from 1 to 100, not 0"),
        (("3", 4, 1.0, 1.0, 20, None), "Seed must be a whole number"),
    ],
)
def test_a_wrong_setting_is_one_sentence_in_the_section(values, message):
    with pytest.raises(gr.Error, match=message):
        compare.answer(*values)
    rest = [None] * 8
    shown, *others = tab.answer(tab.COMPARE, *values, *rest)
    assert shown["note"].startswith(message[:20])
    assert shown["columns"] == []
    assert all(other == gr.skip() for other in others)


def test_only_the_open_section_is_computed():
    values = [*compare.DEFAULTS, SEVEN, "Reconstruct", 0.5, "centre", 0, SEVEN, style.READ, "8"]
    for i, name in enumerate(tab.ANSWERS):
        answers = tab.answer(name, *values)
        assert [part == gr.skip() for part in answers] == [k != i for k in range(3)]
    assert all(part == gr.skip() for part in tab.answer("", *values))
    assert all(part == gr.skip() for part in tab.answer("latent-map", *values))


def test_a_drawing_becomes_a_digit_in_the_frame_of_mnist():
    digit = parse_digit(SEVEN)
    expected = ink_to_digit(rasterise(SEVEN["strokes"])).numpy()
    np.testing.assert_array_equal(digit, expected)


@pytest.mark.parametrize("side", [28, 64, 280])
def test_a_picture_of_any_size_and_polarity_becomes_the_same_digit(side):
    ink = torch.zeros(side, side)
    a, b = side // 4, side // 2
    ink[a : 3 * a, b : b + max(2, side // 10)] = 1
    ink[a : a + max(2, side // 10), a : b + 1] = 1
    drawn = []
    for grey in (1 - ink, ink):
        picture = Image.fromarray((255 * grey).byte().numpy())
        file = io.BytesIO()
        picture.save(file, "PNG")
        url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        drawn.append(parse_digit(url))
    np.testing.assert_allclose(drawn[0], drawn[1], atol=0.02)
    assert drawn[0].shape == (28, 28)
    assert 0.9 < drawn[0].max() <= 1


@pytest.mark.parametrize("task", your_digit.TASKS)
def test_each_model_gets_the_digit_and_repairs_it(task):
    value = your_digit.answer(SEVEN, task, 0.4, "upper half", 3)
    own, *columns = value["columns"]
    x = torch.from_numpy(parse_digit(SEVEN))[None, None]
    mask = torch.zeros(28, 28)
    mask[:14] = 1
    for column, family in zip(columns, FAMILIES.values(), strict=True):
        model = load(family.stem)
        expected = {
            your_digit.RECONSTRUCT: lambda m: m.reconstruct(x),
            your_digit.DENOISE: lambda m: m.denoise(add_noise(x, 0.4, 3), 0.4, 3),
            your_digit.FILL: lambda m: m.inpaint(x, mask, 3),
        }[task](model)
        assert np.abs(pixels(column["picture"]) - to_bytes(expected)[0].astype(int)).max() <= 1
        error = float((expected - x).square().sum())
        assert float(column["figures"][0][1]) == pytest.approx(error, abs=0.06)
    seen = pixels(own["picture"])
    if task == your_digit.FILL:
        assert (seen[:14] == your_digit.HOLE_GREY).all()
        assert (seen[14:] == to_bytes(x)[0][14:]).all()
    assert (pixels(value["digit"]) == to_bytes(x)[0]).all()


def test_an_empty_pad_asks_for_a_drawing():
    empty = {"strokes": [], "erase": [], "base": None}
    assert your_digit.answer(empty, "Reconstruct", 0.5, "centre", 0)["note"]
    assert style.answer(empty, style.READ, "8")["note"]
    erased = SEVEN | {"erase": [True]}
    with pytest.raises(gr.Error, match="Draw something first"):
        your_digit.answer(erased, "Reconstruct", 0.5, "centre", 0)


def test_the_style_is_carried_to_every_class():
    own, ten, path = style.answer(SEVEN, "7", "2")["columns"]
    x = torch.from_numpy(parse_digit(SEVEN))[None, None]
    cvae = load("digits-cvae")
    expected = torch.cat(
        [cvae.transfer_style(x, torch.tensor([k]), torch.tensor([7])) for k in range(10)]
    )
    found = tiles(ten["picture"], 10).astype(int)
    assert np.abs(found - to_bytes(expected)).max() <= 1
    vae, strip = load("digits-vae"), tiles(path["picture"], style.STRIP).astype(int)
    for picture, end in ((strip[0], x), (strip[-1], expected[2:3])):
        assert np.abs(picture - to_bytes(vae.decode(vae.encode(end)))[0]).max() <= 1
    assert "Your digit" in own["name"]


def test_the_class_is_read_where_none_is_said():
    value = style.answer(SEVEN, style.READ, "2")
    x = torch.from_numpy(parse_digit(SEVEN))[None, None]
    read = int(load("digits-cvae").predict_label(x))
    assert f"read as {read}" in value["columns"][1]["name"]


def test_examples_are_samples_of_every_class_that_the_pad_can_take():
    value = your_digit.example_sheet()
    assert len(value["tiles"]) == len(value["names"]) == 10
    gan = load("digits-gan")
    for label, url in enumerate(value["tiles"]):
        assert parse_digit({"strokes": [], "erase": [], "base": url}).max() > 0.9
        sampled = gan.sample(1, label, 0.7, your_digit.EXAMPLE_SEED)
        large = torch.from_numpy(1 - pixels(url) / 255)[None, None].float()
        small = F.interpolate(large, (28, 28), mode="bilinear", antialias=True)
        both = torch.stack([small.flatten(), sampled.flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.8  # noise between pixels is smoothed


def test_links_restore_a_section_and_ignore_what_is_wrong():
    query = {"section": "your-digit", "task": "Fill in a part", "part": "nowhere", "seed": "5"}
    values = tab.from_link(query)
    assert values[0] == "your-digit"
    _, task, sigma, part, seed = values[tab.PARTS[tab.OWN]]
    assert (task, seed) == ("Fill in a part", 5)
    assert part == sigma == gr.skip()
    assert tab.from_link({"section": "../etc"})[0] == tab.COMPARE
    settings = tab.from_link({"label": "3", "count": "99", "steps": "0"})[tab.PARTS[tab.COMPARE]]
    assert settings[0] == "3"
    assert settings[1] == settings[4] == gr.skip()
