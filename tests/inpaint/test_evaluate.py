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
from training import make_contact_sheet, make_sample_faces
from training.inpaint import evaluate


def random_pictures(count: int = 3, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Random pictures with one square hole each."""
    rng = np.random.default_rng(0)
    holes = np.zeros((count, size, size), bool)
    for i in range(count):
        holes[i, 8 + i : 20, 9 : 22 + i] = True
    return rng.integers(0, 256, (count, size, size, 3), np.uint8), holes


@pytest.mark.parametrize("method", ["telea", "navier_stokes", "mean_colour"])
def test_baselines_fill_only_the_hole_and_without_its_pixels(method):
    real, holes = random_pictures()
    filled = getattr(evaluate, method)(np.where(holes[..., None], 0, real).astype(np.uint8), holes)
    again = getattr(evaluate, method)(real, holes)
    np.testing.assert_array_equal(filled[holes], again[holes])
    np.testing.assert_array_equal(again[~holes], real[~holes])
    if method == "mean_colour":
        mean = real[0][~holes[0]].mean(0)
        assert np.abs(again[0][holes[0]] - mean).max() <= 0.5


@pytest.fixture
def trained(tmp_path) -> Path:
    """Noise as faces, and untrained networks as checkpoints."""
    with_random_photos(write_celeba(tmp_path / "celeba", 24))
    torch.manual_seed(0)
    tiny = InpaintConfig(64, ("Smiling", "Eyeglasses", "Male", "Young"), (8, 8, 8), 8, 4, 4, 8, 2)
    checkpoint.save(tmp_path / "inpaint", randomized(Inpainter(tiny)))
    checkpoint.save(tmp_path / "paper", FaceCVAE(FaceCVAEConfig(64, 4, 2, 9, (4, 4, 4, 4))))
    classifier = AttributeClassifier(AttributeClassifierConfig(NAMES, 4))
    checkpoint.save(tmp_path / "face-classifier", classifier)
    return tmp_path


def test_every_figure_is_measured(trained: Path):
    cfg = evaluate.Config(
        data_dir=trained,
        cache_dir=trained / "cache",
        checkpoint_dir=trained / "inpaint",
        baseline_dir=trained / "paper",
        classifier_dir=trained / "face-classifier",
    )
    found = evaluate.evaluate_inpaint(cfg)
    rows = {
        "ours", "ours_mean_of_8", "paper", "paper_mean_of_8", "telea",
        "navier_stokes", "mean_colour",
    }  # fmt: skip
    assert set(found["hole"]) == rows
    assert found["hole"]["ours"]["large"]["frechet"] > 0
    assert found["faces"] == 6
    assert found["pairwise_rmse"]["temperature_0"] < 1e-6 < found["pairwise_rmse"]["temperature_1"]
    assert set(found["smile_rates"]) == {"ours", "paper"}


def test_sample_faces_are_a_function_of_their_seeds(trained: Path):
    cfg = make_sample_faces.Config(
        out_dir=trained / "sample-faces", seeds=(3, 8), glasses_seeds=((8, 2),)
    )
    make_sample_faces.main(cfg)
    first = [path.read_bytes() for path in sorted(cfg.out_dir.iterdir())]
    make_sample_faces.main(cfg)
    assert first == [path.read_bytes() for path in sorted(cfg.out_dir.iterdir())]
    assert len(set(first)) == 3
    without, wearing = (np.array(Image.open(cfg.out_dir / f"face-0{i}.png"), int) for i in (1, 2))
    assert without.shape == (256, 256, 3)
    assert 0.005 < (np.abs(without - wearing).max(-1) > 30).mean() < 0.2


def test_the_contact_sheet_shows_holes_fills_and_faces(trained: Path, monkeypatch):
    faces = torch.rand(12, 3, 64, 64)
    monkeypatch.setattr(make_contact_sheet, "load_faces", lambda *_: faces)
    out = trained / "sheet.webp"
    cfg = make_contact_sheet.Config(checkpoint_dir=trained / "inpaint", out=out, count=12)
    sheet = np.asarray(make_contact_sheet.contact_sheet(cfg), int)
    assert sheet.shape == (6 * 64, 12 * 64, 3)
    masked, free, other, smile, serious, real = sheet.reshape(6, 64, 12 * 64, 3)
    hole = (masked == 128).all(-1)
    assert 0.05 < hole.mean() < 0.4
    for row in (masked, free, other, smile, serious):
        assert (row[~hole] == real[~hole]).all()
    for a, b in ((free, other), (smile, serious), (free, real)):
        assert (a[hole] != b[hole]).any()
    make_contact_sheet.main(cfg)
    with Image.open(out) as written:
        assert written.size == (12 * 64, 6 * 64)
    with pytest.raises(ValueError, match="multiple of 12"):
        make_contact_sheet.main(make_contact_sheet.Config(count=7))
