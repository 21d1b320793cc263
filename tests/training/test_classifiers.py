"""The shipped judge of sketches."""

from pathlib import Path

import numpy as np
import pytest

from models.images import downsample, draw_strokes
from tabs.sketch.examples import EXAMPLES
from training.data.quickdraw import CLASSES
from training.judge import load_judge

SHIPPED = Path(__file__).parents[2] / "checkpoints" / "sketch-judge" / "model.safetensors"


def test_it_needs_its_weights(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no judge at .*train_judge.py` first"):
        load_judge(tmp_path / "none")


def test_it_binarises_and_judges_one_picture_as_among_many():
    judge = load_judge(SHIPPED)
    rng = np.random.default_rng(0)
    drawings = [list(rng.integers(0, 256, (3, 2, 6))) for _ in range(300)]
    ink = np.stack([downsample(draw_strokes(drawing)) for drawing in drawings])
    logits, features = judge.judge(ink)
    assert logits.shape == (300, len(CLASSES))
    assert features.shape == (300, 128)
    alone, _ = judge.judge(ink[299:])
    np.testing.assert_allclose(alone, logits[299:], atol=1e-3)
    binary, _ = judge.judge(np.where(ink > 127, np.uint8(255), np.uint8(0)))
    np.testing.assert_array_equal(binary, logits)
    blank, _ = judge.judge(np.zeros_like(ink[:1]))
    assert not np.allclose(blank, logits[:1], atol=0.1)


def test_first_strokes_of_a_class_speak_for_it():
    ink = np.stack([downsample(draw_strokes(strokes)) for strokes in EXAMPLES.values()])
    logits, _ = load_judge(SHIPPED).judge(ink)
    share = np.exp(logits - np.logaddexp.reduce(logits, 1, keepdims=True))
    own = [share[i, CLASSES.index(name)] for i, name in enumerate(EXAMPLES)]
    assert np.median(own) > 2 / len(CLASSES)
    assert len(set(share.argmax(1))) > 4
