"""The Digits tab's section that shows samples and losses over the training."""

import base64
import io
import json

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from tabs.digits import records, training_film
from tests.helpers.fake_models import NOISE
from training.digits.config import RELEASED

pytestmark = NOISE


@pytest.fixture
def tab(monkeypatch, tmp_path):
    monkeypatch.setattr(records, "folder_of", tmp_path.joinpath)
    records.read_file.cache_clear()
    return tmp_path


def write_record(root, name, **curve):
    """What a training of 100 steps leaves."""
    folder = root / training_film.MODELS[name]
    folder.mkdir()
    record = {
        "steps": 100,
        "batch_size": 64,
        "seconds": 300.0,
        "snapshot_steps": [1, 20, 100],
        "curve": curve,
    }
    (folder / "training.json").write_text(json.dumps(record))
    rows = np.random.default_rng(0).integers(0, 256, (3 * 28, 16 * 28), np.uint8)
    Image.fromarray(rows).save(folder / "training.png")
    return rows


def test_the_film_is_what_the_training_recorded(tab):
    curve = {"step": [9, 49, 99], "loss": [5.0, 3.0, 2.5], "recon": [4, 2, 1], "kl": [1, 1, 1.5]}
    rows = write_record(tab, "CVAE", **curve)
    film = training_film.on_model("CVAE")
    sheet = Image.open(io.BytesIO(base64.b64decode(film["sheet"].split(",")[1])))
    assert (np.asarray(sheet) == rows).all()
    assert [one["steps"] for one in film["snapshots"]] == [1, 20, 100]
    said = [one["said"] for one in film["snapshots"]]
    assert said[0] == "After 1 step: 64 digits seen, 3 seconds of training."
    assert said[2] == "After 100 steps: 6,400 digits seen, 5 minutes of training."
    points = {one["title"].split(":")[0]: one["points"] for one in film["curves"]}
    assert points["KL divergence, nats a digit"] == [[10, 1], [50, 1], [100, 1.5]]
    assert len(points) == 3


def test_a_loss_of_one_term_is_shown_once(tab):
    write_record(tab, "Autoencoder", step=[9], loss=[5.0], recon=[5.0])
    (curve,) = training_film.on_model("Autoencoder")["curves"]
    assert curve["title"] == training_film.TERMS["recon"]


def test_the_losses_of_a_gan_and_of_diffusion_have_their_own_titles(tab):
    write_record(tab, "GAN", step=[9], generator=[1.0], discriminator=[1.2])
    write_record(tab, "Diffusion", step=[9], loss=[0.1])
    titles = [one["title"] for one in training_film.on_model("GAN")["curves"]]
    assert [title.split("'")[0] for title in titles] == ["Generator", "Discriminator"]
    (curve,) = training_film.on_model("Diffusion")["curves"]
    assert "predicted noise" in curve["title"]


def test_a_model_without_a_record_says_so_in_one_sentence(tab):
    for name in ("GAN", "VQ-VAE"):
        film = training_film.on_model(name)
        assert film["sheet"] == ""
        assert film["note"].count(". ") == 0
    assert "--recipe digits-gan" in training_film.on_model("GAN")["note"]
    write_record(tab, "VAE")
    (tab / "digits-vae" / "training.json").write_text("[")
    records.read_file.cache_clear()
    with pytest.raises(gr.Error, match=r"training.json of digits-vae is damaged"):
        training_film.on_model("VAE")
    with pytest.raises(gr.Error, match="Model 'mine' is unknown"):
        training_film.on_model("mine")


def test_every_model_is_a_released_recipe():
    assert set(training_film.MODELS.values()) <= set(RELEASED)
