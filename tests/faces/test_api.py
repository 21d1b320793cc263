"""The endpoints of the Faces tab, over HTTP as a program calls them."""

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tabs import sample_faces
from tests.helpers.fake_models import NOISE, load, serving

pytestmark = NOISE
EYES = [[48, 56], [80, 56]]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch, serving(monkeypatch) as address:
        folder = tmp_path_factory.mktemp("files")
        client = Client(address, verbose=False, download_files=str(folder))
        yield client
        client.close()


@pytest.fixture(scope="module")
def photo():
    return handle_file(str(sample_faces.PATHS[0]))


def picture(file) -> np.ndarray:
    return np.asarray(Image.open(file["path"] if isinstance(file, dict) else file))


@pytest.mark.parametrize(("model", "stem"), [("faces", "faces"), ("vae", "faces-vae")])
def test_samples_are_those_of_the_model(client, model, stem):
    files = client.predict(2, {"Smiling": True}, 0.8, 5, model, api_name="/sample_faces")
    expected = load(stem).sample(2, {"Smiling": True}, 0.8, 5)
    expected = (expected * 255).round().byte().permute(0, 2, 3, 1).numpy()
    found = np.stack([picture(file) for file in files])
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_face_is_changed(client, photo):
    found = client.predict(photo, {"Smiling": 2.0}, None, EYES, api_name="/edit_face")
    before, after = picture(found["before"]), picture(found["picture"])
    assert before.shape == after.shape == (128, 128, 3)
    own = np.asarray(Image.open(sample_faces.PATHS[0]).convert("RGB"))
    assert picture(found["photo"]).shape == own.shape
    assert not np.array_equal(picture(found["photo"]), own)
    assert not np.array_equal(before, after)
    assert "Smiling" in found["attributes"]
    same = client.predict(photo, {}, None, EYES, api_name="/edit_face")
    assert np.array_equal(picture(same["picture"]), before)


@pytest.mark.parametrize(("model", "side"), [("faces", 128), ("vae", 64), ("plain", 64)])
def test_a_face_is_reconstructed(client, photo, model, side):
    found = client.predict(photo, model, EYES, api_name="/reconstruct_face")
    out, seen = picture(found["picture"]), picture(found["seen"])
    assert out.shape == seen.shape == (side, side, 3)
    error = np.square(out / 255 - seen / 255).mean()
    assert found["squared_error"] == pytest.approx(error, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "name", "message"),
    [
        ((0,), "sample_faces", "Count must be"),
        ((1, {"Flying": True}), "sample_faces", "no attribute"),
        ((1, {"Smiling": 3}), "sample_faces", "True or False"),
        ((1, None, 9), "sample_faces", "Temperature must be"),
        ((1, None, 1, 0, "x"), "sample_faces", "Model 'x' is unknown"),
    ],
)
def test_bad_samples_are_refused(client, arguments, name, message):
    with pytest.raises(AppError, match=message):
        client.predict(*arguments, api_name=f"/{name}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"Flying": 1}, None, EYES), "is unknown"),
        (({"Smiling": 30}, None, EYES), "A change must be"),
        (({"Smiling": 1}, ["Flying"], EYES), "is unknown"),
        (({"Smiling": 1}, None, [[1, 1], [1, 1]]), "Click again"),
    ],
)
def test_bad_changes_are_refused(client, photo, arguments, message):
    with pytest.raises(AppError, match=message):
        client.predict(photo, *arguments, api_name="/edit_face")


def test_a_photo_without_a_face_is_refused(client, tmp_path):
    Image.new("RGB", (200, 200), "green").save(tmp_path / "grass.png")
    grass = handle_file(str(tmp_path / "grass.png"))
    with pytest.raises(AppError, match="No face was found"):
        client.predict(grass, api_name="/reconstruct_face")
