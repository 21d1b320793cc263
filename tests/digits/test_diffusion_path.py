"""The Digits tab's section that shows one sampling of the diffusion model."""

import base64
import io

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from models.digits.diffusion import alpha_bars
from tabs import model_cache
from tabs.digits import diffusion
from tests.helpers.fake_models import NOISE, load

pytestmark = NOISE
SETTINGS = {"label": "3", "seed": 5, "guidance": 1.5, "steps": 6, "schedule": "linear", "eta": 0.5}


@pytest.fixture(autouse=True)
def _model(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)
    diffusion.path_value.cache_clear()


def run(**changes):
    return diffusion.on_settings(**(SETTINGS | changes))


def pictures(value):
    """Noisy and predicted pictures, (2, states, 28, 28) in [0, 1]."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(value["sheet"].split(",")[1]))))
    return pixels.reshape(2, 28, -1, 28).transpose(0, 2, 1, 3) / 255


def test_the_states_are_those_of_one_sampling():
    value = run()
    noisy, clean = pictures(value)
    model = load(diffusion.STEM)
    path = model.trajectory(1, 3, 1.0, 5, 6, 1.5, 0.5, "linear")
    for i, state in enumerate(path):
        assert np.abs(noisy[i + 1] - state.x[0, 0].clamp(0, 1).numpy()).max() < 0.01
        assert np.abs(clean[i] - state.x0[0, 0].numpy()).max() < 0.01
    sample = model.sample(1, 3, 1.0, 5, 6, 1.5, 0.5, "linear")[0, 0].numpy()
    assert np.abs(clean[-1] - sample).max() < 0.01
    assert np.abs(noisy[-1] - sample).max() < 0.01  # without noise x_0 is the picture
    levels = [step["level"] for step in value["steps"]]
    assert levels == sorted(levels)
    assert levels[-1] == 1


def test_the_first_picture_is_the_noise_whatever_the_class():
    first = [pictures(run(**change))[0, 0] for change in ({}, {"label": "8"}, {"steps": 9})]
    assert (first[0] == first[1]).all()
    assert (first[0] == first[2]).all()
    assert (first[0] != pictures(run(seed=6))[0, 0]).any()


def test_each_state_lies_on_the_curve_of_its_schedule():
    for schedule in diffusion.SCHEDULES:
        value = run(schedule=schedule)
        curve = alpha_bars(schedule)
        for step in value["steps"][:-1]:
            assert step["level"] == pytest.approx(float(curve[step["t"]]))
        assert set(value["curves"]) == set(diffusion.SCHEDULES)
        assert value["curves"][schedule][0] == float(curve[0])
        assert value["curves"][schedule][-1] == float(curve[-1])


def test_every_state_is_explained_and_the_words_follow_the_noise():
    said = [step["said"] for step in run(steps=60)["steps"]]
    assert said[0] == diffusion.START
    assert said[-1] == diffusion.END
    order = [said.index(text) for text in dict.fromkeys(said)]
    assert order == sorted(order)
    assert len(order) == len(diffusion.PHASES) + 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": "10"}, "Class '10' is unknown"),
        ({"seed": -1}, "Seed must be a whole number"),
        ({"seed": None}, "Seed must be a whole number"),
        ({"steps": 0}, "Steps must be a whole number from 1 to 200"),
        ({"steps": float("nan")}, "Steps must be"),
        ({"guidance": 99}, "Guidance must be a number from 0 to 5"),
        ({"eta": 2}, "Eta must be a number from 0 to 1"),
        ({"schedule": "square"}, "Schedule 'square' is unknown"),
    ],
)
def test_a_bad_setting_is_one_sentence(change, sentence):
    with pytest.raises(gr.Error, match=sentence):
        run(**change)
