"""The inpainting scripts: resume, phases, processes, errors; all on a few random faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models import checkpoint
from models.inpaint.cvae import FaceCVAEConfig
from models.inpaint.model import InpaintConfig, Inpainter
from tests.helpers.faces import with_random_photos, write_celeba
from tests.helpers.interrupted_runs import INTERRUPTIONS, run_interrupted, run_outputs
from tests.helpers.launch import launch
from training import train_inpaint, train_inpaint_cvae
from training.data import celeba
from training.inpaint.config import Config
from training.inpaint.dataset import InpaintDataset
from training.inpaint.losses import auxiliary_loss

ATTRIBUTES = ("Smiling", "Eyeglasses", "Male", "Young")
TINY = InpaintConfig(64, ATTRIBUTES, (8, 8, 8), 8, 4, 4, 8, 2)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    with_random_photos(write_celeba(folder / "celeba", 24))
    return folder


def config(data_dir: Path, run: Path, **changes: object) -> Config:
    base = Config(
        data_dir=data_dir,
        out_dir=run / "inpaint",
        run_dir=run,
        cache_dir=data_dir / "cache",
        model=TINY,
        steps=11,
        half_size_steps=4,
        adversarial_from=6,
        adversarial_ramp=2,
        discriminator_warmup=2,
        batch_size=4,
        log_every=1,
        save_every=2,
    )
    return replace(base, **changes)


def cvae_config(data_dir: Path, run: Path) -> train_inpaint_cvae.Config:
    return train_inpaint_cvae.Config(
        data_dir=data_dir,
        out_dir=run / "inpaint",
        run_dir=run,
        cache_dir=data_dir / "cache",
        model=FaceCVAEConfig(32, 8, 4, 9, (8, 8, 8, 8)),
        steps=5,
        gan_steps=6,
        batch_size=4,
        log_every=1,
        save_every=2,
    )


@pytest.mark.parametrize(
    ("script", "stop"),
    [
        ("inpaint", INTERRUPTIONS[0]),
        ("inpaint", INTERRUPTIONS[1]),
        ("cvae", INTERRUPTIONS[0]),
        ("cvae", INTERRUPTIONS[1]),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, stop: tuple
):
    make, module = {
        "inpaint": (config, train_inpaint),
        "cvae": (cvae_config, train_inpaint_cvae),
    }[script]
    module.main(make(data_dir, tmp_path / "uninterrupted"))
    stops = run_interrupted(
        monkeypatch,
        *stop,
        lambda: module.main(make(data_dir, tmp_path / "interrupted")),
    )
    assert stops >= 3
    assert run_outputs(tmp_path / "interrupted", "inpaint") == run_outputs(
        tmp_path / "uninterrupted", "inpaint"
    )


def test_each_phase_has_its_terms(data_dir: Path, tmp_path: Path):
    train_inpaint.main(config(data_dir, tmp_path, save_every=100))
    rows = run_outputs(tmp_path, "inpaint")[1]
    assert [("discriminator" in row, "adversarial" in row) for row in rows] == (
        [(False, False)] * 4 + [(True, False)] * 2 + [(True, True)] * 5
    )
    assert all({"l1", "kl", "prior_l1", "sameness", "segmentation"} <= set(row) for row in rows)
    assert checkpoint.load(tmp_path / "inpaint").config == TINY


def test_other_settings_raise_an_error(data_dir: Path, tmp_path: Path):
    train_inpaint.main(config(data_dir, tmp_path, steps=2))
    with pytest.raises(ValueError, match=r"kl_weight 0\.0005, now 0\.5"):
        train_inpaint.main(config(data_dir, tmp_path, steps=2, kl_weight=0.5))


def test_the_discriminator_needs_whole_pictures(data_dir: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"must be at least half_size_steps \(5\)"):
        config(data_dir, tmp_path, half_size_steps=5)


def test_the_auxiliary_tasks_are_learnt(data_dir: Path):
    faces = celeba.load(data_dir / "celeba", "train")
    torch.manual_seed(0)
    network = Inpainter(replace(TINY, channels=(16, 16, 32)))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    dataset, found = InpaintDataset(faces, 64, 32, 0, ATTRIBUTES), []
    for step in range(60):
        loss = auxiliary_loss(network, dataset.training_batch(step % 4, 0, 4))["attribute_head"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert np.mean(found[-10:]) < 0.8 * np.mean(found[:10])


def first_step(data_dir: Path, out: Path, processes: int) -> dict:
    """Both optimizers' states after one adversarial step under `accelerate launch`.

    AdamW's first moment is the clipped gradient times a constant.
    """
    launch("tests/helpers/first_inpaint_step.py", data_dir, out, processes=processes)
    state = torch.load(out / "state.pt")
    return {
        f"{name} {i}": moments["exp_avg"]
        for name in ("optimizer", "d_optimizer")
        for i, moments in state[name]["state"].items()
    }


def test_two_processes_have_the_gradients_of_one(data_dir: Path, tmp_path: Path):
    celeba.load(data_dir / "celeba", "train", data_dir / "cache")
    one, two = (first_step(data_dir, tmp_path / str(n), n) for n in (1, 2))
    assert sum(bool(gradient.any()) for gradient in one.values()) > 0.9 * len(one)
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def test_a_batch_that_cannot_be_quartered_raises_an_error(data_dir: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="batch_size must be a multiple of 4"):
        config(data_dir, tmp_path, batch_size=6)


def test_a_batch_whose_faces_all_wear_glasses_has_no_segmentation_loss(data_dir: Path):
    faces = celeba.load(data_dir / "celeba", "train")
    batch = InpaintDataset(faces, 64, 4, 0, ATTRIBUTES).training_batch(0, 0, 4)
    weights = batch.weights._replace(segmentation=torch.zeros(0))
    empty = {"glasses_face": torch.zeros(0, 3, 64, 64), "glasses_target": torch.zeros(0, 1, 64, 64)}
    network = Inpainter(TINY)
    losses = auxiliary_loss(network, batch._replace(weights=weights, **empty))
    assert losses["segmentation"] == 0
    sum(losses.values()).backward()
    assert all(p.grad is None for p in network.glasses_segmenter.parameters())
