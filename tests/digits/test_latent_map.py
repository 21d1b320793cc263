"""The map of latent spaces of two dimensions: the stored positions, and the tab's section."""

import base64
import io
import json

import gradio as gr
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models import checkpoint, images
from models.digits.autoencoder import Autoencoder
from models.digits.vae import VAE, VAEConfig
from tabs import model_cache
from tabs.digits import latent_map, records
from tests.digits.tiny import tiny_plane
from tests.helpers.fake_datasets import write_mnist
from tests.helpers.fake_models import NOISE, load
from training import train_digits
from training.data import mnist
from training.digits import latent_map as stored
from training.digits.config import RELEASED, Config
from training.digits.dataset import to_images

pytestmark = NOISE
PLANES = {
    "digits-latent2-dense-bce": tiny_plane(VAE, "dense"),
    "digits-latent2-conv-mse": tiny_plane(VAE),
    "digits-latent2-ae": tiny_plane(Autoencoder),
}
DENSE, AUTOENCODER = "VAE, dense, BCE", "Autoencoder"
STROKES = [[[60, 200, 200], [60, 60, 200]], [[60, 200], [220, 220]]]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    write_mnist(folder, {"train": mnist.VALID + 40, "test": 50})
    return folder


@pytest.mark.parametrize("name", PLANES)
def test_stored_positions_are_the_encoders(tmp_path, data_dir, name):
    model = PLANES[name].half().float()
    checkpoint.save(tmp_path / name, model)
    stored.main(stored.Config(data_dir=data_dir, checkpoints=tmp_path))
    content = json.loads((tmp_path / name / stored.FILE).read_bytes())
    images, labels = mnist.load(data_dir, "test")
    z = model.encode(to_images(images)).numpy()
    *cells, classes = np.array(content["points"]).T
    low, high = np.array(content["low"]), np.array(content["high"])
    found = low + np.stack(cells, 1) / content["levels"] * (high - low)
    assert (np.abs(found - z) <= 0.51 * (high - low) / content["levels"]).all()
    assert classes.tolist() == labels.tolist()
    error = (model.reconstruct(to_images(images)) - to_images(images)).square().sum()
    assert content["squared_error"] == pytest.approx(float(error) / len(images), rel=1e-4)
    if isinstance(model, VAE):
        q = model.posterior(to_images(images))
        normal = torch.distributions.Normal(q.mu, (q.logvar / 2).exp())
        kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
        assert content["kl"] == pytest.approx(kl.sum(1).mean().item(), rel=1e-4)
    else:
        assert content["kl"] is None


def test_training_stores_the_positions_of_a_plane_at_its_end(tmp_path, data_dir):
    name = "digits-latent2-ae"
    run = {"data_dir": data_dir, "out_dir": tmp_path / name, "run_dir": tmp_path / "run"}
    train_digits.main(Config("ae", PLANES[name].config, steps=2, batch_size=4, log_every=1, **run))
    written = (tmp_path / name / stored.FILE).read_bytes()
    stored.write(tmp_path / name, data_dir)
    assert (tmp_path / name / stored.FILE).read_bytes() == written


def test_a_model_with_more_dimensions_has_no_map():
    assert not stored.is_plane(VAE(VAEConfig("dense", latent_dim=3, width=8, features=8)))
    assert all(stored.is_plane(model) for model in PLANES.values())


@pytest.fixture
def tab(monkeypatch, tmp_path):
    """The section with small models and a folder for what training leaves."""
    monkeypatch.setattr(model_cache, "load", load)
    monkeypatch.setattr(records, "folder_of", tmp_path.joinpath)
    for cached in (records.read_file, latent_map.map_value):
        cached.cache_clear()
    return tmp_path


def opened(url):
    """A sheet's pictures (rows, columns, 28, 28), 0..255."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))
    h, w = (side // 28 for side in pixels.shape)
    return pixels.reshape(h, 28, w, 28).transpose(0, 2, 1, 3)


def decoded(name, places):
    """What the model makes of places, 0..255."""
    model = load(latent_map.VARIANTS[name].stem)
    return (model.decode(torch.tensor(places).float())[:, 0] * 255).numpy()


def test_every_variant_is_a_released_recipe():
    stems = {variant.stem for variant in latent_map.VARIANTS.values()}
    assert stems == {name for name in RELEASED if "latent2" in name}
    assert all(variant.look_for for variant in latent_map.VARIANTS.values())


def test_the_map_shows_the_stored_points_and_the_decoded_grid(tab):
    stem = latent_map.VARIANTS[DENSE].stem
    points = [[0, 0, 1], [1000, 500, 0], [500, 1000, 1], [250, 250, 7]]
    content = {"low": [-1.0, -2.0], "high": [3.0, 2.0], "levels": 1000, "kl": 5.25}
    (tab / stem).mkdir()
    content |= {"squared_error": 31.5, "points": points}
    (tab / stem / stored.FILE).write_text(json.dumps(content))
    value, words = latent_map.on_variant(DENSE, None)
    found = value["map"]
    assert (found["points"], found["low"], found["high"]) == (points, [-1.0, -2.0], [3.0, 2.0])
    assert "4 test digits" in value["note"]
    assert "31.5" in value["note"]
    assert "5.25 nats" in value["note"]
    assert found["line"] == [[0.0, 0.0], [3.0, 0.0]]  # medians of the classes 1 and 0
    assert words == latent_map.VARIANTS[DENSE].look_for
    left, bottom, side = found["view"]
    n = found["columns"]
    pictures = opened(found["sheet"])
    assert pictures.shape == (n, n, 28, 28)
    for row, column in ((0, 0), (0, n - 1), (n - 1, 0), (7, 11)):
        at = [left + (column + 0.5) / n * side, bottom + side - (row + 0.5) / n * side]
        assert np.abs(pictures[row, column] - decoded(DENSE, [at])[0]).max() <= 0.51


def test_a_map_without_stored_points_says_how_to_get_them(tab):
    value, _ = latent_map.on_variant(AUTOENCODER, None)
    assert value["map"]["points"] == []
    assert "training.digits.latent_map" in value["note"]
    assert value["map"]["prior"] is False
    (tab / "digits-latent2-dense-bce").mkdir()
    (tab / "digits-latent2-dense-bce" / stored.FILE).write_text("{")
    with pytest.raises(gr.Error, match="damaged"):
        latent_map.on_variant(DENSE, None)


@given(
    points=st.lists(st.tuples(*[st.floats(-50, 50)] * 2), max_size=60),
    has_prior=st.booleans(),
)
def test_the_view_is_a_square_around_nearly_all_points(points, has_prior):
    points = np.array(points, float).reshape(-1, 2)
    left, bottom, side = latent_map.view_of(points, has_prior=has_prior)
    assert side > 0
    corner = np.array([left, bottom])
    far = ((points < corner) | (points > corner + side)).any(1).sum()
    assert far <= 4  # a few beyond the quantile on each side
    if has_prior:
        assert (corner <= -3).all()
        assert (corner + side >= 3).all()


@pytest.mark.usefixtures("tab")
def test_the_exact_pictures_are_those_of_point_and_line():
    request = {"point": [0.5, -1], "line": [[-2, 0], [2, 1.5]], "serial": 7, "variant": None}
    answer = latent_map.on_decode(DENSE, request)["exact"]
    assert answer["serial"] == 7
    (row,) = opened(answer["sheet"])
    path = [[-2 + 4 * t, 1.5 * t] for t in np.linspace(0, 1, latent_map.STRIP)]
    assert np.abs(row - decoded(DENSE, [[0.5, -1], *path])).max() <= 0.51


@pytest.mark.usefixtures("tab")
def test_the_visitors_digit_is_the_encoders_gaussian():
    digit = latent_map.on_drawing(DENSE, {"strokes": STROKES})["digit"]
    x = images.ink_to_digit(images.rasterise(STROKES))
    q = load(latent_map.VARIANTS[DENSE].stem).posterior(x[None, None])
    assert digit["mean"] == pytest.approx(q.mu[0].tolist())
    assert digit["std"] == pytest.approx((q.logvar / 2).exp()[0].tolist())
    assert np.abs(opened(digit["seen"])[0, 0] / 255 - x.numpy()).max() < 0.003
    found = latent_map.on_drawing(AUTOENCODER, {"strokes": STROKES})["digit"]
    assert found["std"] is None
    assert found["mean"] == pytest.approx(
        load("digits-latent2-ae").encode(x[None, None])[0].tolist()
    )
    assert latent_map.on_drawing(DENSE, {"strokes": []}) == {"digit": None}


@pytest.mark.usefixtures("tab")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"point": None}, "two numbers"),
        ({"point": [0, float("nan")]}, "A coordinate must be a number"),
        ({"point": [0, 1e30]}, "A coordinate must be a number"),
        ({"line": [[0, 0]]}, "The line must be two points"),
        ({"line": [[0, 0], "b"]}, "two numbers"),
    ],
)
def test_a_bad_request_is_one_sentence(change, sentence):
    request = {"point": [0, 0], "line": [[0, 0], [1, 1]], "serial": 1} | change
    with pytest.raises(gr.Error, match=sentence):
        latent_map.on_decode(DENSE, request)


@pytest.mark.usefixtures("tab")
def test_a_bad_drawing_or_map_is_one_sentence():
    with pytest.raises(gr.Error, match="Map 'mine' is unknown"):
        latent_map.on_variant("mine", None)
    with pytest.raises(gr.Error, match="as many xs as ys"):
        latent_map.on_drawing(DENSE, {"strokes": [[[1], [1, 2]]]})
    with pytest.raises(gr.Error, match="Draw something first"):
        latent_map.on_drawing(DENSE, {"strokes": [[[900], [900]]]})
