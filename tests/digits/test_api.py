"""The endpoints of the Digits tab, over HTTP as a program calls them."""

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from models.images import ink_to_digit, rasterise
from tabs.digits.api import MODELS
from tests.helpers.fake_models import NOISE, load, serving

pytestmark = NOISE
STROKES = [[[80, 180, 120], [60, 60, 200]]]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch, serving(monkeypatch) as address:
        folder = tmp_path_factory.mktemp("files")
        client = Client(address, verbose=False, download_files=str(folder))
        yield client
        client.close()


def picture(file) -> np.ndarray:
    return np.asarray(Image.open(file["path"] if isinstance(file, dict) else file))


def to_bytes(images: torch.Tensor) -> np.ndarray:
    return (images[:, 0] * 255).round().byte().numpy()


@pytest.mark.parametrize("model", MODELS)
def test_samples_are_those_of_the_model(client, model):
    files = client.predict(model, 3, 2, 0.8, 5, 4, 1.5, api_name="/sample_digits")
    own = {"steps": 4, "guidance": 1.5} if model == "diffusion" else {}
    expected = to_bytes(load(MODELS[model]).sample(2, 3, 0.8, 5, **own))
    assert np.array_equal(np.stack([picture(file) for file in files]), expected)


def test_any_class_is_the_default(client):
    files = client.predict("cvae", count=3, api_name="/sample_digits")
    expected = to_bytes(load("digits-cvae").sample(3))
    assert np.array_equal(np.stack([picture(file) for file in files]), expected)


@pytest.mark.parametrize("task", ["reconstruct", "denoise", "inpaint"])
def test_a_digit_is_drawn_again(client, task):
    found = client.predict(STROKES, "vae", task, api_name="/reconstruct_digit")
    x = ink_to_digit(rasterise(STROKES))[None, None]
    assert np.array_equal(picture(found["seen"]), to_bytes(x)[0]) == (task == "reconstruct")
    error = ((picture(found["picture"]) / 255 - x[0, 0].numpy()) ** 2).sum()
    assert found["squared_error"] == pytest.approx(error, abs=0.3)


def test_a_white_digit_on_black_is_the_same_as_a_black_one_on_white(client, tmp_path):
    grey = np.zeros((280, 280), np.uint8)
    grey[60:220, 130:160] = 255
    found = []
    for name, pixels in (("white", grey), ("black", 255 - grey)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        file = handle_file(tmp_path / f"{name}.png")
        found.append(client.predict(file, "ae", api_name="/reconstruct_digit"))
    assert np.abs(picture(found[0]["seen"]) - picture(found[1]["seen"]).astype(int)).max() <= 5


def test_a_style_is_carried_to_ten_classes(client):
    files = client.predict(STROKES, 7, api_name="/transfer_style")
    x = ink_to_digit(rasterise(STROKES))[None, None].expand(10, -1, -1, -1)
    cvae = load("digits-cvae")
    expected = to_bytes(cvae.transfer_style(x, torch.arange(10), torch.full((10,), 7)))
    found = np.stack([picture(file) for file in files]).astype(int)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(
    ("endpoint", "arguments", "message"),
    [
        ("/sample_digits", {"model": "flow"}, "Model 'flow' is unknown"),
        ("/sample_digits", {"label": 10}, "Label must be a whole number from 0 to 9, not 10"),
        ("/sample_digits", {"label": "seven"}, "Label must be a whole number"),
        ("/sample_digits", {"count": 0}, "Count must be a whole number from 1 to 64"),
        ("/sample_digits", {"model": "diffusion", "steps": 0}, "Steps must be a whole number"),
        ("/sample_digits", {"temperature": -1}, "Temperature must be a number from 0 to 2"),
        ("/reconstruct_digit", {"drawing": []}, "Draw something first"),
        (
            "/reconstruct_digit",
            {"drawing": STROKES, "sigma": 0},
            "Sigma must be a number",
        ),
        ("/reconstruct_digit", {"drawing": STROKES, "part": "all"}, "Part 'all' is unknown"),
        ("/reconstruct_digit", {"drawing": "/etc/passwd"}, "paths and links are not opened"),
        ("/transfer_style", {"drawing": STROKES, "label": -1}, "Label must be a whole number"),
    ],
)
def test_a_wrong_value_is_answered_with_one_sentence(client, endpoint, arguments, message):
    with pytest.raises(AppError, match=message):
        client.predict(**arguments, api_name=endpoint)
