"""The critic of sketch completions, and the effect of its reward on the completer."""

import numpy as np
import pytest
import torch

from models.images import downsample, draw_strokes, to_ink
from models.sketch.model import SketchCompleter
from models.sketch.tokens import END, Points, SketchConfig, to_points
from training.sketch import losses, reinforce
from training.sketch.config import Config
from training.sketch.dataset import Batch

LABELS = ("cat", "sun")
TINY = SketchConfig(LABELS, 64, 8, 16, 32, 4, 1, 2, 12)
TEMPERATURE = 0.7


def make_batch(rows: int = 8) -> Batch:
    """Drawings of three strokes, of which the last is missing."""
    rng = np.random.default_rng(4)
    drawings = [list(rng.integers(20, 236, (3, 2, 3))) for _ in range(rows)]
    partial = np.stack([downsample(draw_strokes(drawing[:2])) for drawing in drawings])
    points = torch.from_numpy(np.stack([to_points(drawing[2:], 12) for drawing in drawings]))
    y = to_ink(partial)[:, None]
    return Batch(y, y, Points(*points.unbind(-1)), torch.arange(rows) % 2, torch.zeros(rows, 0))


def make_completer() -> SketchCompleter:
    torch.manual_seed(0)
    return SketchCompleter(TINY)


def sample(model: SketchCompleter, batch: Batch, step: int, count: int = 3) -> torch.Tensor:
    return reinforce.sample_completions(model, batch, count, TEMPERATURE, step)


def policy_loss(
    model: SketchCompleter, batch: Batch, fake: torch.Tensor, reward: torch.Tensor, weight: float
) -> dict[str, torch.Tensor]:
    """The loss of a training step, given the rewards of its completions."""
    sequences = reinforce.real_and_fake(reinforce.real_sequences(batch), fake)
    label = batch.label.repeat_interleave(sequences.shape[1])
    logits = model(reinforce.to_points(sequences), batch.partial, label)
    advantage = reinforce.advantages(reward)
    return reinforce.reinforce_loss(logits, sequences, label, advantage, TEMPERATURE, weight)


def run_critic(
    critic: reinforce.SketchCritic, batch: Batch, sequences: torch.Tensor
) -> tuple[reinforce.CriticOutput, torch.Tensor]:
    label = batch.label.repeat_interleave(sequences.shape[1])
    return critic(*reinforce.critic_inputs(sequences, batch), label), label


def critic_step(
    critic: reinforce.SketchCritic,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    sequences: torch.Tensor,
) -> dict[str, torch.Tensor]:
    out, label = run_critic(critic, batch, sequences)
    terms = reinforce.critic_loss(out, label, sequences.shape[1])
    optimizer.zero_grad()
    terms["loss"].backward()
    optimizer.step()
    return {name: term.detach() for name, term in terms.items()}


def test_a_single_completion_has_no_baseline_and_is_refused():
    with pytest.raises(ValueError, match=r"reinforce_samples must be 2 or more, .*: 1"):
        Config(reinforce_samples=1)


def test_with_weight_0_the_loss_is_the_likelihood():
    model, batch = make_completer(), make_batch()
    with torch.no_grad():
        logits = model(batch.points, batch.partial, batch.label)
        expected = losses.strokes_loss(logits, batch.points, batch.label)
    terms = policy_loss(model, batch, sample(model, batch, 0), torch.randn(8, 3), weight=0.0)
    for name in ("loss", "points_nll", "label_nll"):
        torch.testing.assert_close(terms[name].detach(), expected[name])


def test_rewarded_completions_become_more_frequent():
    model, batch = make_completer(), make_batch()

    def mean_length() -> float:
        return float((sample(model, batch, 10_000)[..., 0] != END).float().sum(-1).mean())

    before = mean_length()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(40):
        fake = sample(model, batch, step)
        shortness = -(fake[..., 0] != END).float().sum(-1)
        terms = policy_loss(model, batch, fake, shortness, weight=50.0)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert mean_length() < 0.5 * before


def test_the_policy_gradient_is_of_the_distribution_that_was_sampled_from():
    model, batch = make_completer(), make_batch()
    fake, reward = sample(model, batch, 3, count=2), torch.tensor([[1.0, 0.0]]).expand(8, 2)
    with torch.no_grad():
        terms = policy_loss(model, batch, fake, reward, weight=1.0)
        nll = []
        for i in range(2):
            points = Points(*fake[:, i].unbind(-1))
            logits = model(points, batch.partial, batch.label)
            scaled = logits._replace(
                **{name: getattr(logits, name) / TEMPERATURE for name in ("kind", "cell", "offset")}
            )
            nll.append(losses.points_nll(scaled, points))
        logits = model(batch.points, batch.partial, batch.label)
        real = losses.strokes_loss(logits, batch.points, batch.label)
    expected = real["loss"] + (nll[0] - nll[1]).mean()
    torch.testing.assert_close(terms["loss"], expected, atol=1e-3, rtol=1e-4)


def test_the_advantage_is_the_reward_minus_the_mean_of_the_others():
    reward = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[1 - 4, 2 - 3.5, 6 - 1.5], [0, 0, 0]])
    rms = expected.square().mean().sqrt()
    torch.testing.assert_close(reinforce.advantages(reward), expected / rms)
    torch.testing.assert_close(reinforce.advantages(reward / 10), expected / 10)


def test_the_reward_is_of_the_completions_by_label_and_realism():
    logits, real = torch.randn(4, 2), torch.randn(4)
    label = torch.tensor([0, 0, 1, 1])
    reward = reinforce.rewards(reinforce.CriticOutput(logits, real), label, 2)
    by_hand = [real[i] + logits[i].log_softmax(-1)[label[i]] for i in (1, 3)]
    torch.testing.assert_close(reward, torch.stack(by_hand)[:, None])


def test_the_critic_learns_to_tell_fake_from_real():
    model, batch = make_completer(), make_batch()
    critic = reinforce.SketchCritic(2)
    optimizer = torch.optim.AdamW(critic.parameters(), 1e-3)
    found = []
    for step in range(60):
        fake = sample(model, batch, step)[:, :, :4]
        sequences = torch.cat([reinforce.real_sequences(batch), fake], 1)
        found.append(float(critic_step(critic, optimizer, batch, sequences)["real_fake_nll"]))
    assert found[0] == pytest.approx(np.log(2), abs=0.05)
    assert np.mean(found[-20:]) < 0.4


def test_the_critic_learns_to_classify_real_drawings_alone():
    batch, real = make_batch(), reinforce.real_sequences(make_batch())
    torch.manual_seed(0)
    critic = reinforce.SketchCritic(2)
    optimizer = torch.optim.AdamW(critic.parameters(), 1e-3)
    found = [float(critic_step(critic, optimizer, batch, real)["loss"]) for _ in range(40)]
    assert found[0] == pytest.approx(np.log(2), abs=0.1)
    assert found[-1] < 0.1


def test_completions_differ_by_step_and_are_reproducible():
    model, batch = make_completer(), make_batch()
    one, two, other = (sample(model, batch, step) for step in (3, 3, 4))
    assert one.shape == (8, 3, 12, 3)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert not torch.equal(one[:, 0], one[:, 1])


def test_real_and_fake_sequences_are_padded_to_one_length():
    batch = make_batch()
    real = reinforce.real_sequences(batch)
    fake = torch.full((8, 2, 12, 3), END)
    fake[:, :, :7, 0] = 0
    sequences = reinforce.real_and_fake(real, fake)
    assert sequences.shape == (8, 3, 8, 3)
    assert torch.equal(sequences[:, :1, : real.shape[2]], real)
    assert (sequences[:, 0, real.shape[2] :] == END).all()
    assert torch.equal(sequences[:, 1:], fake[:, :, :8])


def test_the_critic_depends_on_label_and_both_pictures():
    critic, ink = reinforce.SketchCritic(2), torch.rand(2, 64, 64)
    torch.nn.init.normal_(critic.label_embed.weight)
    label = torch.tensor([0, 1])
    with torch.no_grad():
        out = critic(ink, ink, label)
        assert not torch.equal(out.real, critic(ink, ink, 1 - label).real)
        assert torch.equal(out.label, critic(ink, ink, 1 - label).label)
        for other in (critic(ink.flip(1), ink, label), critic(ink, ink.flip(1), label)):
            assert not torch.equal(out.real, other.real)
            assert not torch.equal(out.label, other.label)
