"""Training faces: losses against closed forms, directions, resuming."""

import dataclasses

import numpy as np
import pytest
import torch

from models import checkpoint
from models.distributions import DiagonalGaussian
from models.faces.base import VAEOutput
from models.faces.latents import AttributeDirections
from models.faces.model import TwoStageVAEConfig
from training import plot_faces, train_faces
from training.data.celeba import Faces
from training.faces import directions, losses
from training.faces.config import Config
from training.faces.discriminator import Augmentation

SIZES = TwoStageVAEConfig(
    (), 128, (4, 4, 4, 4, 8, 8), (4, 4, 4, 4, 8, 8), 4, 8, 1, 2, 2
)  # fmt: skip


def test_published_loss_is_half_the_squared_error_plus_kl():
    x = torch.rand(3, 3, 8, 8)
    posterior = DiagonalGaussian(torch.full((3, 2), 2.0), torch.zeros(3, 2))
    terms = losses.published_elbo(VAEOutput(x + 0.5, posterior), x, beta=2.0)
    assert terms["recon"] == pytest.approx(0.5 * 0.25 * 192, rel=1e-4)
    assert terms["kl"] == pytest.approx(4.0)  # 1/2 mu^2 of two dimensions
    assert terms["loss"] == pytest.approx(0.5 * 0.25 * 192 + 8.0, rel=1e-4)


def test_pixel_nll_is_that_of_the_best_variance():
    x, out = torch.rand(2, 2, 3, 4, 4)
    variances = torch.logspace(-3, 1, 400)
    squared = (out - x).square().flatten(1).sum(1).mean()
    full = 0.5 * (squared / variances + x[0].numel() * variances.log())
    least = full.min() - 0.5 * x[0].numel()
    assert losses.pixel_nll(out, x) == pytest.approx(float(least), abs=0.01)


def test_hinge_losses():
    real, fake = [torch.tensor([2.0, 0.5])], [torch.tensor([-2.0, 1.0])]
    assert losses.discriminator_hinge(real, fake) == pytest.approx(0.25 + 1.0)
    assert losses.generator_hinge(fake) == pytest.approx(0.5)


def test_straight_paths_have_no_flow_matching_loss():
    z, noise = torch.randn(2, 4, 3)
    assert losses.flow_matching(z - noise, z, noise) == 0
    assert losses.flow_matching(z - noise + 2, z, noise) == pytest.approx(4)


def test_directions_find_what_makes_an_attribute():
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 6, generator=rng)
    labels = torch.stack([z[:, 0] > 1.0, z[:, 1] + z[:, 2] > 0], 1)
    found = AttributeDirections(("a", "b"), 6)
    directions.fit(found, (z, labels), (z, labels))
    assert (found.aucs > 0.97).all()
    score, on = found.scores(z)[:, 0], labels[:, 0]
    balanced = torch.cat([score[on].repeat(int((~on).sum() / on.sum())), score[~on]])
    assert balanced.mean() == pytest.approx(0, abs=0.05)
    assert balanced.std() == pytest.approx(1, abs=0.05)
    assert found.class_means[0, 1] == pytest.approx(-float(found.class_means[0, 0]), abs=1e-3)


def test_auc_is_the_share_of_pairs_in_order():
    scores = torch.tensor([0.1, 0.4, 0.35, 0.8])
    assert directions.auc(scores, torch.tensor([False, False, True, True])) == 0.75
    assert directions.auc(scores, torch.tensor([True] * 4)) == 0.5


def test_both_pictures_are_augmented_alike():
    real = torch.rand(2, 3, 16, 16)
    augmentation = Augmentation.draw(len(real), torch.Generator().manual_seed(1))
    a, b = augmentation(real), augmentation(real.clone())
    assert torch.equal(a, b)
    assert not torch.equal(a, real)


@pytest.fixture
def faces(monkeypatch) -> Faces:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 128, 128, 3), np.uint8)
    made = Faces(images, rng.uniform(size=(12, 2)) < 0.5, np.arange(12), ("Smiling", "Eyeglasses"))
    monkeypatch.setattr(train_faces.celeba, "load", lambda *_: made)
    return made


def train(folder, family: str, **changes) -> torch.nn.Module:
    cfg = Config(
        family, SIZES, out_dir=folder / "faces", run_dir=folder / "run", steps=4, batch_size=2,
        adversarial_from=2, discriminator_warmup=1, prior_steps=2, log_every=1, save_every=2,
    )  # fmt: skip
    train_faces.main(dataclasses.replace(cfg, **changes))
    return checkpoint.load(folder / "faces")


@pytest.mark.usefixtures("faces")
@pytest.mark.parametrize("family", ["two-stage", "vae", "plain"])
def test_an_interrupted_run_ends_as_a_whole_one(tmp_path, monkeypatch, family):
    whole = train(tmp_path / "whole", family)
    after_step = train_faces.recording.Recorder.after_step

    def stop(recorder, done, terms):
        seconds = after_step(recorder, done, terms)
        if done == 3:
            raise KeyboardInterrupt
        return seconds

    with monkeypatch.context() as patched:
        patched.setattr(train_faces.recording.Recorder, "after_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", family)
    parts = train(tmp_path / "parts", family)
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert (tmp_path / "whole" / "faces" / "training.json").exists()
    assert "--family" in (tmp_path / "whole" / "faces" / "README.md").read_text() or (
        family == "two-stage"
    )


def test_the_plot_shows_each_model_s_curves(tmp_path):
    curves = {
        "one": {"step": [0.0, 10.0], "recon": [5.0, 3.0], "kl": [0.0, 2.0]},
        "two": {"step": [0.0, 20.0], "recon": [4.0, 1.0], "kl": [1.0, 3.0]},
    }
    left, right = plot_faces.plot_losses(curves).axes
    for axes, term in ((left, "recon"), (right, "kl")):
        drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
        assert drawn == {name: curve[term] for name, curve in curves.items()}
    files = []
    for name in "ab":
        plot_faces.main(plot_faces.Config(out=tmp_path / name))
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
