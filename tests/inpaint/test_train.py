"""The inpainting scripts: resume, stages, refusals; all on a few made-up faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models import checkpoint
from models.classifiers import AttributeClassifier, AttributeClassifierConfig
from models.inpaint.attributes import OFF, ON, UNKNOWN
from models.inpaint.cvae import FaceCVAEConfig
from models.inpaint.model import InpaintConfig, Inpainter
from tests.helpers.faces import NAMES, with_random_photos, write_celeba
from tests.helpers.interrupted_runs import INTERRUPTIONS, run_interrupted, run_outputs
from training import train_inpaint, train_inpaint_paper
from training.data import celeba
from training.inpaint import config as inpaint_plan
from training.inpaint import losses as inpaint_step
from training.inpaint.dataset import Erased

ATTRIBUTES = ("Smiling", "Eyeglasses", "Male", "Young")
TINY = InpaintConfig(64, ATTRIBUTES, (8, 8, 8), 8, 4, 4, 8, 2)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    with_random_photos(write_celeba(folder / "celeba", 24))
    torch.manual_seed(0)
    checkpoint.save(
        folder / "perceptual-classifier", AttributeClassifier(AttributeClassifierConfig(NAMES, 4))
    )
    return folder


def config(data_dir: Path, run: Path, **changes: object) -> inpaint_plan.Config:
    base = inpaint_plan.Config(
        data_dir=data_dir,
        out_dir=run / "inpaint",
        run_dir=run,
        cache_dir=data_dir / "cache",
        tutors=(data_dir / "perceptual-classifier",) * 2,
        model=TINY,
        steps=5,
        sharpen_steps=6,
        penalty_every=3,
        batch_size=4,
        log_every=1,
        save_every=2,
    )
    return replace(base, **changes)


def paper_config(data_dir: Path, run: Path) -> train_inpaint_paper.Config:
    return train_inpaint_paper.Config(
        data_dir=data_dir,
        out_dir=run / "inpaint",
        run_dir=run,
        cache_dir=data_dir / "cache",
        model=FaceCVAEConfig(32, 8, 4, 9, (8, 8, 8, 8)),
        steps=5,
        sharpen_steps=6,
        batch_size=4,
        log_every=1,
        save_every=2,
    )


@pytest.mark.parametrize(
    ("what", "stop"),
    [
        ("ours", INTERRUPTIONS[0]),
        ("ours", (checkpoint, "save", 3)),  # of which it does two at the end of stage one
        ("paper", INTERRUPTIONS[0]),
        ("paper", INTERRUPTIONS[1]),
    ],
)
def test_a_resumed_run_equals_the_unbroken_one(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, stop: tuple
):
    made, script = (
        (config, train_inpaint) if what == "ours" else (paper_config, train_inpaint_paper)
    )
    script.main(made(data_dir, tmp_path / "whole"))
    stops = run_interrupted(
        monkeypatch,
        *stop,
        lambda: script.main(made(data_dir, tmp_path / "broken")),
    )
    assert stops >= 3
    assert run_outputs(tmp_path / "broken", "inpaint") == run_outputs(tmp_path / "whole", "inpaint")


def test_stage_two_goes_on_from_stage_one_and_the_size_may_change(data_dir: Path, tmp_path: Path):
    first = config(data_dir, tmp_path / "one", sharpen_steps=0)
    train_inpaint.main(first)
    rows = run_outputs(tmp_path / "one", "inpaint")[1]
    assert "critic" not in rows[-1]
    assert (tmp_path / "one" / "stage-one" / "model.safetensors").exists()
    second = config(
        data_dir, tmp_path / "two", steps=0, init=tmp_path / "one" / "inpaint",
        model=replace(TINY, image_size=128),
    )  # fmt: skip
    train_inpaint.main(second)
    assert {"critic", "r1", "wish"} <= set().union(*run_outputs(tmp_path / "two", "inpaint")[1])
    assert checkpoint.load(tmp_path / "two" / "inpaint").config.image_size == 128


def test_what_ships_holds_a_share_of_stage_one(data_dir: Path, tmp_path: Path):
    made = {}
    for share in (0.0, 0.5, 1.0):
        run = tmp_path / str(share)
        train_inpaint.main(config(data_dir, run, stage_one_share=share))
        made[share] = checkpoint.load(run / "inpaint").state_dict()
    before = checkpoint.load(run / "stage-one").state_dict()
    for name, last in made[0.0].items():
        torch.testing.assert_close(made[1.0][name], before[name], atol=2e-3, rtol=0)
        torch.testing.assert_close(made[0.5][name], (before[name] + last) / 2, atol=2e-3, rtol=0)
    assert any(not torch.equal(before[name], last) for name, last in made[0.0].items())


def test_other_settings_are_refused(data_dir: Path, tmp_path: Path):
    train_inpaint.main(config(data_dir, tmp_path, sharpen_steps=0))
    with pytest.raises(ValueError, match=r"kl_weight 0\.002, now 0\.5"):
        train_inpaint.main(config(data_dir, tmp_path, sharpen_steps=0, kl_weight=0.5))


def test_wishes_are_made_for_free_rows_where_the_hole_allows_them(data_dir: Path):
    faces = celeba.load(data_dir / "celeba", "train")
    batch = Erased(faces, 64, 400, 0, TINY.attributes)[0]
    told = inpaint_plan.asked(batch, ATTRIBUTES, 300, np.random.default_rng(0))
    assert torch.equal(told[:100], batch.told[:100])
    fixed = ~batch.covered[100:]
    assert torch.equal(told[100:][fixed], batch.told[100:][fixed])
    smiles = told[100:, 0][batch.covered[100:, 0]]
    shares = [float((smiles == state).float().mean()) for state in (OFF, ON, UNKNOWN)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.1)
    glasses = told[100:, 1][batch.covered[100:, 1]]
    assert 0 < float((glasses == ON).float().mean()) < 0.25
    for i, name in enumerate(ATTRIBUTES[2:], 2):
        asked, true = told[100:, i], batch.true[100:, i].long()
        told_so = batch.covered[100:, i] & (asked != UNKNOWN)
        against = float((asked != true)[told_so].float().mean())
        assert abs(against - inpaint_plan.CONTRARY[name]) < 0.15
    assert torch.equal(
        inpaint_plan.asked(batch, ATTRIBUTES, 0, np.random.default_rng(0)), batch.told
    )


def test_reading_is_learnt(data_dir: Path):
    faces = celeba.load(data_dir / "celeba", "train")
    torch.manual_seed(0)
    network = Inpainter(replace(TINY, widths=(16, 16, 32)))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    batch, found = Erased(faces, 64, 32, 0, ATTRIBUTES)[0], []
    for step in range(60):
        loss = inpaint_step.read_loss(network, batch, np.random.default_rng(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert np.mean(found[-10:]) < 0.8 * np.mean(found[:10])
