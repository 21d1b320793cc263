"""The scripts that train codebooks and priors: resume, kinds, figures; all on a few pictures."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models import checkpoint
from models.classifiers import (
    AttributeClassifier,
    AttributeClassifierConfig,
    DrawingClassifier,
    DrawingClassifierConfig,
)
from models.codes.prior import CodesPriorConfig
from models.codes.vqvae import VQVAE, VQVAEConfig
from tests.helpers.faces import with_random_photos, write_celeba
from tests.helpers.fake_datasets import write_mnist
from tests.helpers.interrupted_runs import INTERRUPTIONS, run_interrupted, run_outputs
from tests.helpers.random_weights import randomized
from training import train_codes, train_codes_prior
from training.codes import config as codes_plan
from training.codes import dataset as pictures
from training.codes import evaluate as evaluate_codes
from training.codes import metrics as codes_metrics
from training.data import mnist
from training.perceptual import perceptual_loss

TINY = VQVAEConfig(28, 1, (4, 8), 1, num_codes=6, code_dim=3, class_names=mnist.NAMES)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_mnist(folder, {"train": mnist.VALID + 40, "t10k": 30})
    with_random_photos(write_celeba(folder / "celeba", 24))
    return folder


def config(data_dir: Path, run: Path, **changes: object) -> codes_plan.Config:
    base = codes_plan.Config(
        data_dir=data_dir,
        model=TINY,
        out_dir=run / "codes-digits",
        run_dir=run,
        steps=11,
        batch_size=4,
        revive_every=2,
        least_use=0.5,
        log_every=1,
        save_every=2,
    )
    return replace(base, **changes)


def prior_config(data_dir: Path, run: Path, codes_dir: Path) -> train_codes_prior.Config:
    return train_codes_prior.Config(
        data_dir=data_dir,
        codes_dir=codes_dir,
        model=CodesPriorConfig(width=8, heads=2, layers=1),
        out_dir=run / "prior-digits",
        run_dir=run,
        steps=11,
        batch_size=4,
        log_every=1,
        save_every=2,
    )


@pytest.mark.parametrize(
    ("average", "stop"),
    [(True, INTERRUPTIONS[0]), (False, INTERRUPTIONS[0]), (True, INTERRUPTIONS[1])],
)
def test_a_resumed_codebook_equals_the_unbroken_one(data_dir, tmp_path, monkeypatch, average, stop):
    train_codes.main(config(data_dir, tmp_path / "whole", average=average))
    stops = run_interrupted(
        monkeypatch,
        *stop,
        lambda: train_codes.main(config(data_dir, tmp_path / "broken", average=average)),
    )
    assert stops >= 3
    broken, whole = (run_outputs(tmp_path / name, "codes-digits") for name in ("broken", "whole"))
    assert broken == whole


def test_uses_are_counted_in_the_training_pictures(data_dir, tmp_path):
    train_codes.main(config(data_dir, tmp_path))
    model = checkpoint.load(tmp_path / "codes-digits")
    images, _ = pictures.load("digits", data_dir, "train", 28)
    codes = model.encode(torch.from_numpy(images).float() / 255)
    counted = torch.bincount(codes.flatten(), minlength=6)
    assert (
        int((model.code_counts - counted).abs().sum()) <= 0.02 * codes.numel()
    )  # half precision since
    assert model.background == int(model.code_counts.argmax())


def test_faces_learn_from_error_and_the_tutors_maps():
    tutor = AttributeClassifier(AttributeClassifierConfig(("Smiling",), 4)).requires_grad_(False)
    cfg = train_codes.Config(kind="faces", average=False)
    model = randomized(VQVAE(VQVAEConfig(64, 3, (4, 8), 1, num_codes=6, code_dim=3)), 0.1)
    x = torch.rand(2, 3, 64, 64)
    terms, out = codes_plan.terms_of(cfg, model, x, tutor)
    drawn = out.logits.detach().sigmoid()
    torch.testing.assert_close(terms["recon"].detach(), 20 * (drawn - x).square().mean())
    maps = [tutor(p).feature_maps for p in (drawn, x)]
    torch.testing.assert_close(terms["perceptual"].detach(), 0.1 * perceptual_loss(*maps).mean())
    terms["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.decoder.parameters())
    terms, _ = codes_plan.terms_of(replace(cfg, perceptual_weight=0.0), model, x, tutor)
    assert "perceptual" not in terms


def test_a_resumed_prior_equals_the_unbroken_one_and_is_measured(data_dir, tmp_path, monkeypatch):
    train_codes.main(config(data_dir, tmp_path / "codes"))
    book = tmp_path / "codes" / "codes-digits"
    train_codes_prior.main(prior_config(data_dir, tmp_path / "whole", book))
    for name, stop in zip(("broken", "cut"), INTERRUPTIONS, strict=True):
        cfg = prior_config(data_dir, tmp_path / name, book)
        with monkeypatch.context() as patch:
            stops = run_interrupted(patch, *stop, lambda cfg=cfg: train_codes_prior.main(cfg))
        assert stops >= 3
        broken, whole = (run_outputs(tmp_path / run, "prior-digits") for run in (name, "whole"))
        assert broken == whole
    prior = checkpoint.load(tmp_path / "whole" / "prior-digits")
    assert (prior.config.num_codes, prior.config.grid_size, prior.config.class_names) == (
        6,
        7,
        mnist.NAMES,
    )

    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "codes-digits").symlink_to(book)
    (shelf / "prior-digits").symlink_to(tmp_path / "whole" / "prior-digits")
    torch.manual_seed(0)
    classifier = DrawingClassifier(DrawingClassifierConfig(tuple("0123456789")))
    checkpoint.save(shelf / "digit-classifier", classifier)
    found = evaluate_codes.evaluate_codes(
        evaluate_codes.Config(
            data_dir=data_dir, checkpoints=shelf, classifier=shelf / "digit-classifier",
            edited=10, samples=2,
        )
    )  # fmt: skip
    assert found["pictures"] == 30
    assert set(found["edits"]) == set(codes_metrics.EDITS)
    assert 0 < found["perplexity_over_k"] <= 1
    nats = found["nats_per_code"]
    assert nats["uniform"] == pytest.approx(np.log(6))
    assert nats["unigram"] <= nats["uniform"]
    assert found["completion"]["chance"] == 0.1


def test_the_baseline_stands_beside_ours_if_it_saw_the_same_pictures(tmp_path):
    path, row = tmp_path / "pythae.json", {"kind": "digits", "split": "valid", "steps": 5}
    path.write_text(json.dumps(row))
    cfg = evaluate_codes.Config(pythae=path, split="valid")
    assert evaluate_codes.baselines(cfg) == {"pythae": row}
    assert evaluate_codes.baselines(replace(cfg, pythae=None)) == {}
    for other in (replace(cfg, kind="faces"), replace(cfg, split="test")):
        with pytest.raises(ValueError, match="was measured on digits, valid: give one of"):
            evaluate_codes.evaluate_codes(other)


def test_edits_that_are_the_same_on_pixels_have_no_error(data_dir):
    class Plain(VQVAE):
        """One code a shade; decoding enlarges."""

        def encode(self, x):
            return (x[:, 0, ::4, ::4] * 5).round().long()

        def decode(self, codes):
            return codes[:, None].repeat_interleave(4, 2).repeat_interleave(4, 3) / 5

    x = torch.from_numpy(mnist.load(data_dir, "test")[0])[:, None].float() / 255
    found = codes_metrics.edits("digits", Plain(TINY), x, np.zeros(30, np.int64), None)
    assert {row["psnr"] for row in found.values()} == {100.0}


def test_faces_are_shrunk_and_mirrored(data_dir):
    images, labels = pictures.load("faces", data_dir, "train", 64)
    assert images.shape[1:] == (3, 64, 64)
    assert not labels.any()
    x = pictures.batch(images, "faces", 64, np.random.default_rng(0))
    whole = torch.from_numpy(images).float() / 255
    plain = (x[:, None] == whole).flatten(2).all(2).any(1)
    turned = (x.flip(3)[:, None] == whole).flatten(2).all(2).any(1)
    assert (plain | turned).all()
    assert plain.any()
    assert turned.any()


def test_missing_digits_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="four official files"):
        mnist.load(tmp_path, "train")


def test_digits_are_read_packed_or_not_and_damage_is_told(data_dir, tmp_path):
    images, labels = mnist.load(data_dir, "test")
    assert images.shape == (30, 28, 28)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (data_dir / "MNIST" / "raw").glob("t10k*"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    again = mnist.load(tmp_path, "test")
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], labels)
    whole = (raw / "t10k-images-idx3-ubyte").read_bytes()
    for bad in (whole[:-1], b"", b"hello, world", whole[:3] + b"\xff" + whole[4:]):
        (raw / "t10k-images-idx3-ubyte").write_bytes(bad)
        with pytest.raises(ValueError, match="no complete IDX file"):
            mnist.load(tmp_path, "test")
    (raw / "t10k-images-idx3-ubyte").unlink()
    (raw / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(ValueError, match="is damaged"):
        mnist.load(tmp_path, "test")
