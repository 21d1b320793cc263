"""Evaluation of the inpainter: baselines, and every figure that it records."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models import checkpoint
from models.classifiers import AttributeClassifier, AttributeClassifierConfig
from models.inpaint.cvae import FaceCVAE, FaceCVAEConfig
from models.inpaint.model import InpaintConfig, Inpainter
from tests.helpers.faces import NAMES, with_random_photos, write_celeba
from tests.helpers.random_weights import randomized
from training import make_samples
from training.inpaint import evaluate as evaluate_inpaint
from training.inpaint import metrics as inpaint_metrics


def pictures(count: int = 3, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Random pictures with one square hole each."""
    rng = np.random.default_rng(0)
    holes = np.zeros((count, size, size), bool)
    for i in range(count):
        holes[i, 8 + i : 20, 9 : 22 + i] = True
    return rng.integers(0, 256, (count, size, size, 3), np.uint8), holes


@pytest.mark.parametrize("method", ["telea", "navier_stokes", "mean_colour"])
def test_baselines_fill_the_hole_and_nothing_else(method):
    real, holes = pictures()
    filled = getattr(inpaint_metrics, method)(
        np.where(holes[..., None], 0, real).astype(np.uint8), holes
    )
    again = getattr(inpaint_metrics, method)(real, holes)
    np.testing.assert_array_equal(filled[holes], again[holes])
    np.testing.assert_array_equal(again[~holes], real[~holes])
    if method == "mean_colour":
        mean = real[0][~holes[0]].mean(0)
        assert np.abs(again[0][holes[0]] - mean).max() <= 0.5


@pytest.fixture
def trained(tmp_path) -> Path:
    """Made-up faces, and untrained networks in the places of trained ones."""
    with_random_photos(write_celeba(tmp_path / "celeba", 24))
    torch.manual_seed(0)
    tiny = InpaintConfig(64, ("Smiling", "Eyeglasses", "Male", "Young"), (8, 8, 8), 8, 4, 4, 8, 2)
    checkpoint.save(tmp_path / "inpaint", randomized(Inpainter(tiny)))
    checkpoint.save(tmp_path / "stage-one", Inpainter(tiny))
    checkpoint.save(tmp_path / "paper", FaceCVAE(FaceCVAEConfig(64, 4, 2, 9, (4, 4, 4, 4))))
    checkpoint.save(
        tmp_path / "face-classifier", AttributeClassifier(AttributeClassifierConfig(NAMES, 4))
    )
    return tmp_path


def test_every_row_of_the_table_is_measured(trained: Path):
    cfg = evaluate_inpaint.Config(
        data_dir=trained,
        cache_dir=trained / "cache",
        checkpoint_dir=trained / "inpaint",
        stage_one_dir=trained / "stage-one",
        paper_dir=trained / "paper",
        classifier_dir=trained / "face-classifier",
    )
    found = evaluate_inpaint.evaluate_inpaint(cfg)
    rows = {
        "ours", "ours_mean_of_8", "stage_one", "paper", "paper_mean_of_8", "telea",
        "navier_stokes", "mean_colour",
    }  # fmt: skip
    assert set(found["in_the_hole"]) == rows
    assert found["in_the_hole"]["ours"]["large"]["frechet"] > 0
    assert found["faces"] == 6
    assert found["diversity"]["temperature_0"] < 1e-6 < found["diversity"]["temperature_1"]
    assert set(found["smiles"]) == {"ours", "paper"}


def test_samples_are_made_of_seeds_alone(trained: Path):
    cfg = make_samples.Config(
        checkpoint_dir=trained / "inpaint",
        out_dir=trained / "made",
        seeds=(3, 8),
        worn=((8, 2),),
        rounds=1,
    )
    make_samples.main(cfg)
    first = [path.read_bytes() for path in sorted(cfg.out_dir.iterdir())]
    make_samples.main(cfg)
    assert first == [path.read_bytes() for path in sorted(cfg.out_dir.iterdir())]
    assert len(set(first)) == 3
    bare, worn = (np.array(Image.open(cfg.out_dir / f"face-0{i}.png"), int) for i in (1, 2))
    assert bare.shape == (256, 256, 3)
    assert 0.005 < (np.abs(bare - worn).max(-1) > 30).mean() < 0.2
