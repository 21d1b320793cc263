"""The classifiers: prediction, the shipped weights, training and resuming from the recipes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models import checkpoint
from models.classifiers import (
    MODELS,
    AttributeClassifier,
    AttributeClassifierConfig,
    DigitClassifier,
    DigitClassifierConfig,
    DrawingClassifier,
    DrawingClassifierConfig,
)
from models.images import downsample, draw_strokes, to_rgb
from tabs.sketch.examples import EXAMPLES
from tests.helpers.faces import NAMES, with_random_photos, write_celeba
from tests.helpers.fake_datasets import write_mnist, write_quickdraw
from tests.helpers.interrupted_runs import run_interrupted, run_outputs
from tests.helpers.random_weights import randomized
from training import train_classifier
from training.classifiers.config import (
    IGNORED,
    RECIPES,
    Config,
    accuracy,
    card,
    classification_loss,
    make_network,
)
from training.classifiers.dataset import ClassifierDataset
from training.data import mnist
from training.data.quickdraw import CLASSES
from training.engine.cli import command, parse
from training.engine.run_state import MetricLog


def test_one_picture_is_classified_as_among_many_and_binarised_first():
    classifier = checkpoint.load("sketch-classifier")
    assert classifier.config.classes == CLASSES
    rng = np.random.default_rng(0)
    drawings = [list(rng.integers(0, 256, (3, 2, 6))) for _ in range(300)]
    ink = np.stack([downsample(draw_strokes(drawing)) for drawing in drawings])
    logits, features = classifier.predict(ink)
    assert logits.shape == (300, len(CLASSES))
    assert features.shape == (300, 128)
    alone, _ = classifier.predict(ink[299:])
    np.testing.assert_allclose(alone, logits[299:], atol=1e-3)
    binary, _ = classifier.predict(np.where(ink > 127, np.uint8(255), np.uint8(0)))
    np.testing.assert_array_equal(binary, logits)
    blank, _ = classifier.predict(np.zeros_like(ink[:1]))
    assert not np.allclose(blank, logits[:1], atol=0.1)


def test_first_strokes_raise_the_probability_of_their_class():
    ink = np.stack([downsample(draw_strokes(strokes)) for strokes in EXAMPLES.values()])
    logits, _ = checkpoint.load("sketch-classifier").predict(ink)
    p = np.exp(logits - np.logaddexp.reduce(logits, 1, keepdims=True))
    own = [p[i, CLASSES.index(name)] for i, name in enumerate(EXAMPLES)]
    assert np.median(own) > 2 / len(CLASSES)
    assert len(set(p.argmax(1))) > 4


TABLE = {
    AttributeClassifier: lambda: AttributeClassifier(
        AttributeClassifierConfig(("Smiling", "Young"), 4)
    ),
    DigitClassifier: lambda: DigitClassifier(DigitClassifierConfig(("0", "1"))),
    DrawingClassifier: lambda: DrawingClassifier(DrawingClassifierConfig(("cat", "sun"))),
}


def test_every_classifier_has_its_row():
    assert set(MODELS) == set(TABLE)


@pytest.mark.parametrize("cls", MODELS)
def test_a_checkpoint_gives_the_same_network(cls: type, tmp_path: Path):
    network = TABLE[cls]().half().float()
    checkpoint.save(tmp_path / "any-classifier", network)
    again = checkpoint.load(tmp_path / "any-classifier")
    assert again.config == network.config
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


@pytest.mark.parametrize("cls", MODELS)
def test_a_gradient_reaches_every_parameter(cls: type):
    network = randomized(TABLE[cls]()).train()
    channels = network.get_parameter(next(iter(network.state_dict()))).shape[1]
    side = 28 if cls is DigitClassifier else 64
    network(torch.rand(4, channels, side, side)).logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_a_face_has_the_same_attributes_at_any_size():
    classifier = randomized(TABLE[AttributeClassifier](), 0.02)
    faces = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    logits, features = classifier.predict(faces)
    large, _ = classifier.predict(faces.repeat(2, 1).repeat(2, 2))
    np.testing.assert_allclose(logits, large, atol=1e-4)
    assert features.shape == (3, 128)
    probabilities = classifier.probabilities(to_rgb(faces))
    np.testing.assert_allclose(probabilities["Young"], 1 / (1 + np.exp(-logits[:, 1])), atol=1e-5)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_quickdraw(folder / "quickdraw", count=40)
    write_mnist(folder, {"train": mnist.VALID + 40})
    with_random_photos(write_celeba(folder / "celeba", 24))
    return folder


def tiny(data_dir: Path, run: Path, recipe: str) -> Config:
    return replace(
        RECIPES[recipe], data_dir=data_dir, out_dir=run / recipe, run_dir=run,
        cache_dir=data_dir / "cache", width=4, steps=7, batch_size=4, log_every=1, save_every=2,
    )  # fmt: skip


@pytest.mark.parametrize("recipe", ["sketch-classifier", "digit-classifier", "face-classifier"])
def test_a_resumed_run_equals_the_unbroken_one(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
):
    train_classifier.main(tiny(data_dir, tmp_path / "whole", recipe))
    cfg = tiny(data_dir, tmp_path / "broken", recipe)
    stops = run_interrupted(monkeypatch, MetricLog, "write", 3, lambda: train_classifier.main(cfg))
    assert stops >= 1
    assert run_outputs(tmp_path / "broken", recipe) == run_outputs(tmp_path / "whole", recipe)
    trained = checkpoint.load(tmp_path / "whole" / recipe)
    if recipe == "face-classifier":
        assert trained.config == AttributeClassifierConfig(NAMES, 4)
    else:
        assert isinstance(trained, DigitClassifier if "digit" in recipe else DrawingClassifier)
    text = (tmp_path / "whole" / recipe / "README.md").read_text()
    assert f"# Latent Studio: {recipe}\n" in text
    assert "on the valid split: " in text


def test_one_batch_is_learnt(data_dir: Path, tmp_path: Path):
    cfg = tiny(data_dir, tmp_path, "digit-classifier")
    dataset = ClassifierDataset(replace(cfg, batch_size=16))
    batch = next(dataset.from_step(0))
    torch.manual_seed(0)
    network = make_network(cfg, dataset.names).eval()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(150):
        optimizer.zero_grad()
        classification_loss(cfg, network(batch.x).logits, batch.target).backward()
        optimizer.step()
    assert accuracy(network(batch.x).logits, batch.target, dataset.names)["accuracy"] == 1


def test_the_loss_of_attributes_is_cross_entropy_with_both_values():
    cfg = RECIPES["face-classifier"]
    logits, targets = torch.randn(5, 3), torch.rand(5, 3) > 0.5
    p = torch.stack([(-logits).sigmoid(), logits.sigmoid()], 1).flatten(2)
    expected = F.cross_entropy(p.log(), targets.long(), label_smoothing=cfg.label_smoothing)
    torch.testing.assert_close(classification_loss(cfg, logits, targets), expected)


@pytest.mark.parametrize("name", RECIPES)
def test_the_card_names_the_command_that_gives_the_same_settings(name: str):
    cfg = replace(RECIPES[name], data_dir=Path("elsewhere"), tracker="wandb")
    line = command("training/train_classifier.py", cfg, RECIPES, IGNORED)
    assert line == f"python training/train_classifier.py --recipe {name}"
    changed = replace(cfg, steps=9, label_smoothing=0.2)
    line = command("training/train_classifier.py", changed, RECIPES, IGNORED)
    again = parse(Config, RECIPES, line.split()[2:])
    assert again == replace(changed, data_dir=Path("data"), tracker="none")
    network = make_network(cfg, NAMES)
    assert line in card(changed, network, {"accuracy": 0.5}, 60.0)
