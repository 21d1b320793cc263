"""The experiments: small runs of each part on random digits; what the plots show."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models import checkpoint
from models.classifiers import DigitClassifier, DigitClassifierConfig
from models.digits.autoencoder import Autoencoder
from models.digits.diffusion import Diffusion
from tests.digits.tiny import tiny
from tests.helpers.fake_datasets import write_mnist
from training import sweep_digits
from training.data import mnist
from training.digits import plots


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sweep_digits.Config:
    write_mnist(tmp_path / "data", {"train": mnist.VALID + 60, "test": 40})
    folder = tmp_path / "checkpoints"
    torch.manual_seed(0)
    classifier = DigitClassifier(DigitClassifierConfig(mnist.NAMES))
    checkpoint.save(folder / "digit-classifier", classifier)
    checkpoint.save(folder / "digits-diffusion", tiny(Diffusion))
    checkpoint.save(folder / "digits-ae", tiny(Autoencoder))
    monkeypatch.setattr(sweep_digits, "FAMILIES", ("ae",))
    monkeypatch.setattr(sweep_digits, "REAL", (1, 2))
    monkeypatch.setattr(sweep_digits, "DIFFUSION_STEPS", (1, 2))
    monkeypatch.setattr(sweep_digits, "BETAS", (0.5, 2.0))
    return sweep_digits.Config(
        tmp_path / "data",
        folder,
        tmp_path / "runs",
        tmp_path / "docs",
        steps=2,
        test_digits=20,
        samples=20,
        synthetic=2,
        classifier_steps=2,
    )


def test_rate_and_distortion_add_up_to_the_negative_elbo(cfg):
    rows = sweep_digits.sweep_beta(cfg)
    assert [row["value"] for row in rows] == [0.5, 2.0]
    for row in rows:
        assert row["rate"] + row["distortion"] == pytest.approx(row["negative_elbo"], rel=1e-5)
        assert 0 <= row["active"] <= sweep_digits.BASE.latent_dim


def test_diffusion_is_measured_for_each_schedule_and_number_of_steps(cfg):
    found = sweep_digits.sweep_diffusion(cfg)
    assert [(row["schedule"], row["steps"]) for row in found["rows"]] == [
        ("cosine", 1), ("cosine", 2), ("linear", 1), ("linear", 2),
    ]  # fmt: skip
    assert all(0 <= row["class_accuracy"] <= 1 for row in found["rows"])


def test_classifiers_learn_from_the_digits_that_they_are_given(cfg):
    found = sweep_digits.sweep_augmentation(cfg)
    assert found["real"] == (1, 2)
    assert set(found["accuracy"]) == {"nothing", "ae"}
    real, _ = mnist.load(cfg.data_dir, "train")
    for name, count in (("nothing-2", 20), ("ae-1", 30)):
        digits, labels = mnist.load(cfg.run_dir / "augmentation" / name / "data", "train")
        assert len(digits) == len(labels) == count
        assert all((real == digit).all((1, 2)).any() for digit in digits[:10])
    assert np.bincount(labels).tolist() == [3] * 10


def test_a_finished_part_is_kept_until_the_settings_change(cfg):
    calls = []

    def run(given: sweep_digits.Config) -> int:
        calls.append(given)
        return len(calls)

    assert sweep_digits.finished(cfg, "a part", run) == 1
    assert sweep_digits.finished(cfg, "a part", run) == 1
    other = sweep_digits.Config(cfg.data_dir, cfg.checkpoints, cfg.run_dir, steps=3)
    assert sweep_digits.finished(other, "a part", run) == 2


def test_plots_show_the_figures_and_files_repeat(tmp_path):
    text = (Path(__file__).parents[2] / "docs/experiments/digits.json").read_text()
    found = json.loads(text)
    (line,) = plots.plot_rate_distortion(found).axes[0].lines
    assert list(line.get_xdata()) == [row["rate"] for row in found["vae beta"]]
    assert list(line.get_ydata()) == [row["distortion"] for row in found["vae beta"]]
    lines = plots.plot_augmentation(found).axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == list(
        found["augmentation"]["accuracy"].values()
    )
    plots.write(tmp_path, found)
    page = (tmp_path / "README.md").read_text()
    assert page == (Path(__file__).parents[2] / "docs/experiments/README.md").read_text()
    for picture in tmp_path.glob("*.png"):
        assert f"({picture.name})" in page
