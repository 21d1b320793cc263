"""The critic of sketch completions, and what its word does to the completer."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from models.images import downsample, draw_strokes, to_ink
from models.sketch.model import SketchCompleter
from models.sketch.tokens import END, Points, SketchConfig, to_points
from training.sketch import losses
from training.sketch.dataset import Batch
from training.sketch.reinforce import Adversary, SketchCritic

LABELS = ("cat", "sun")
TINY = SketchConfig(LABELS, 64, 8, 16, 32, 4, 1, 2, 12)


def batch(rows: int = 8) -> Batch:
    """Drawings of three strokes, of which the last is missing."""
    rng = np.random.default_rng(4)
    drawings = [list(rng.integers(20, 236, (3, 2, 3))) for _ in range(rows)]
    partial = np.stack([downsample(draw_strokes(drawing[:2])) for drawing in drawings])
    points = torch.from_numpy(np.stack([to_points(drawing[2:], 12) for drawing in drawings]))
    y = to_ink(partial)[:, None]
    return Batch(y, y, Points(*points.unbind(-1)), torch.arange(rows) % 2, torch.zeros(rows, 0))


@pytest.fixture(autouse=True)
def own_accelerator():
    """The other tests' accelerator has another precision, and there is one a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def adversary(samples: int = 3) -> Adversary:
    torch.manual_seed(0)
    model = SketchCompleter(TINY)
    return Adversary(model, Accelerator(cpu=True), samples, 0.7, seed=0)


def test_one_completion_has_nothing_to_be_compared_with():
    with pytest.raises(ValueError, match="2 or more of a drawing, not 1"):
        adversary(samples=1)


def test_without_weight_it_is_the_likelihood():
    part, b = adversary(), batch()
    network = part.model.prior
    with torch.no_grad():
        expected = losses.strokes_loss(network(b.points, b.partial, b.label), b.points, b.label)
    terms = part.loss(network, b, 0, weight=0.0)
    for name in ("loss", "points_nll", "label_nll"):
        torch.testing.assert_close(terms[name].detach(), expected[name])


def test_what_is_rewarded_becomes_more_frequent(monkeypatch: pytest.MonkeyPatch):
    part, b = adversary(), batch()
    network = part.model.prior

    def short_ones(points: torch.Tensor, _: Batch) -> tuple[torch.Tensor, dict]:
        return -(points[:, 1:, :, 0] != END).float().sum(-1), {}

    monkeypatch.setattr(part, "reward", short_ones)

    def mean_length() -> float:
        return float((part.draw(b, 10_000)[..., 0] != END).float().sum(-1).mean())

    before = mean_length()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(40):
        terms = part.loss(network, b, step, weight=50.0)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert mean_length() < 0.5 * before


def test_what_was_drawn_cold_is_weighed_cold(monkeypatch: pytest.MonkeyPatch):
    part, b = adversary(samples=2), batch()
    reward = torch.tensor([[1.0, 0.0]]).expand(8, 2)
    monkeypatch.setattr(part, "reward", lambda *_: (reward, {}))
    network = part.model.prior
    with torch.no_grad():
        terms = part.loss(network, b, 3, weight=1.0)
        drawn = part.draw(b, 3)
        nll = []
        for i in range(2):
            points = Points(*drawn[:, i].unbind(-1))
            logits = network(points, b.partial, b.label)
            cold = logits._replace(
                **{name: getattr(logits, name) / 0.7 for name in ("kind", "cell", "inner")}
            )
            nll.append(losses.points_nll(cold, points))
        true = losses.strokes_loss(network(b.points, b.partial, b.label), b.points, b.label)
    expected = true["loss"] + (nll[0] - nll[1]).mean()
    torch.testing.assert_close(terms["loss"], expected, atol=1e-3, rtol=1e-4)


def test_the_critic_learns_to_tell_drawn_from_real():
    part, b = adversary(), batch()
    found = []
    for step in range(60):
        points = torch.cat([torch.stack(b.points, -1)[:, None], part.draw(b, step)[:, :, :4]], 1)
        found.append(float(part.reward(points, b)[1]["told"]))
    assert found[0] == pytest.approx(np.log(2), abs=0.05)
    assert np.mean(found[-20:]) < 0.4


def test_the_critic_learns_alone_what_real_drawings_show():
    part, b = adversary(), batch()
    found = [float(part.learn(b)["shows_real"]) for _ in range(40)]
    assert found[0] == pytest.approx(np.log(2), abs=0.1)
    assert found[-1] < 0.1


def test_completions_differ_from_step_to_step_and_repeat_with_it():
    part, b = adversary(), batch()
    one, two, other = part.draw(b, 3), part.draw(b, 3), part.draw(b, 4)
    assert one.shape == (8, 3, 12, 3)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert not torch.equal(one[:, 0], one[:, 1])


def test_the_state_goes_on_where_it_was():
    part, other, b = adversary(), adversary(), batch()
    points = torch.cat([torch.stack(b.points, -1)[:, None], part.draw(b, 0)[:, :, :4]], 1)
    part.reward(points, b)
    other.load_state_dict(part.state_dict())
    for one, two in zip(part.reward(points, b)[0], other.reward(points, b)[0], strict=True):
        assert torch.equal(one, two)


def test_the_critic_hears_the_label_and_sees_both_pictures():
    critic, ink = SketchCritic(2), torch.rand(2, 64, 64)
    torch.nn.init.normal_(critic.label.weight)
    label = torch.tensor([0, 1])
    with torch.no_grad():
        plain = critic(ink, ink, label)
        assert not torch.equal(plain.real, critic(ink, ink, 1 - label).real)
        assert torch.equal(plain.label, critic(ink, ink, 1 - label).label)
        for other in (critic(ink.flip(1), ink, label), critic(ink, ink.flip(1), label)):
            assert not torch.equal(plain.real, other.real)
            assert not torch.equal(plain.label, other.label)
