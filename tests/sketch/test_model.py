"""Laws of the sketch networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.bf16 import bfloat16_copy, float32_copy
from models.blocks import KVCache, ParallelDecoderBlock, attention
from models.images import downsample, draw_strokes, to_ink
from models.sketch.cvae import SketchCVAE, SketchCVAEConfig
from models.sketch.model import MODELS, PACKED_LAYERS, SketchCompleter, gumbel
from models.sketch.tokens import BINS, DRAW, END, MOVE, Points, SketchConfig
from tests.helpers import random_weights
from training.sketch import losses
from training.sketch.evaluate import stroke_bound

LABELS = ("cat", "sun")
TINY = SketchConfig(LABELS, 64, 8, 16, 32, 4, 1, 2, 12)
TABLE = {
    SketchCompleter: lambda: SketchCompleter(TINY),
    SketchCVAE: lambda: SketchCVAE(SketchCVAEConfig(64, 16, (8, 8, 4))),
}


def randomized(model: torch.nn.Module) -> torch.nn.Module:
    """Random weights everywhere; a completer does not end at once."""
    random_weights.randomized(model)
    if isinstance(model, SketchCompleter):
        with torch.no_grad():
            model.prior.output_head.bias[END] -= 3
    return model


def drawing() -> torch.Tensor:
    ink = torch.zeros(64, 64)
    ink[8:10, 4:20] = 1
    ink[10, 4:20] = 0.5
    return ink


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Four whole drawings and their first strokes."""
    rng = np.random.default_rng(4)
    drawings = rng.integers(0, 256, (4, 3, 2, 4)).tolist()
    whole, part = (
        np.stack([downsample(draw_strokes(drawing[:count])) for drawing in drawings])
        for count in (3, 1)
    )
    return to_ink(whole)[:, None], to_ink(part)[:, None]


def sequences() -> Points:
    """Four sequences of 3, 5, 1 and 12 points; the last has no END."""
    generator = torch.Generator().manual_seed(5)
    kind = torch.randint(0, 2, (4, 12), generator=generator)
    kind[:, 0] = MOVE
    for row, length in enumerate((3, 5, 1)):
        kind[row, length:] = END
    x, y = torch.randint(0, BINS, (2, 4, 12), generator=generator)
    return Points(kind, x, y)


def total_loss(model: torch.nn.Module) -> torch.Tensor:
    x, y = pair()
    if isinstance(model, SketchCVAE):
        return losses.cvae_elbo(model(x, y), x)["loss"]
    points, label = sequences(), torch.tensor([0, 1, 1, 0])
    return losses.strokes_loss(model(points, y, label), points, label)["loss"]


def test_every_model_is_tested():
    assert set(TABLE) == set(MODELS)


@pytest.mark.parametrize("kind", TABLE)
def test_completions_are_reproducible_and_keep_the_ink(kind: type):
    model, ink = randomized(TABLE[kind]()), drawing()
    one, two = model.complete(ink, count=4, seed=5), model.complete(ink, count=4, seed=5)
    assert one.shape == (4, 64, 64)
    assert one.dtype == torch.float32
    assert torch.equal(one, two)
    assert (one >= ink).all()
    assert (one <= 1).all()
    assert not torch.equal(one, model.complete(ink, count=4, seed=6))


@pytest.mark.parametrize("kind", TABLE)
def test_temperature_0_is_deterministic_and_1_is_not(kind: type):
    model, ink = randomized(TABLE[kind]()), drawing()
    greedy, sampled = (model.complete(ink, count=6, temperature=t) for t in (0.0, 1.0))
    torch.testing.assert_close(greedy, greedy[:1].expand_as(greedy), atol=1e-6, rtol=0)
    assert not torch.equal(sampled, sampled[:1].expand_as(sampled))


@pytest.mark.parametrize("kind", TABLE)
def test_a_gradient_reaches_every_parameter(kind: type):
    model = randomized(TABLE[kind]()).train()
    total_loss(model).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("kind", TABLE)
def test_one_batch_overfits(kind: type):
    torch.manual_seed(0)
    model = TABLE[kind]()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    first = float(total_loss(model).detach())
    for _ in range(200):
        optimizer.zero_grad()
        loss = total_loss(model)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5 * first


@pytest.mark.parametrize("memories", [1, 3])
def test_cached_steps_equal_the_full_forward_pass(memories: int):
    block = randomized(ParallelDecoderBlock(32, 4))
    x, memory = torch.randn(3, 10, 32), torch.randn(memories, 7, 32)
    with torch.no_grad():
        cache = KVCache(block.project_memory(memory), 3, 10)
        steps = torch.stack([block.step(x[:, i], cache) for i in range(10)], 1)
        whole = block(x, block.project_memory(memory.expand(3, -1, -1)))
    torch.testing.assert_close(steps, whole, atol=1e-5, rtol=1e-4)


def test_attention_in_training_is_that_of_torch():
    q, k, v = torch.randn(3, 2, 4, 9, 8)
    trained = attention(q, k, v)
    with torch.no_grad():
        fused = attention(q, k, v)
    torch.testing.assert_close(trained, fused, atol=1e-5, rtol=1e-4)


def test_a_point_is_predicted_from_earlier_ones_only():
    prior, points = randomized(SketchCompleter(TINY)).prior, sequences()
    y, label = torch.rand(4, 1, 64, 64), torch.tensor([0, 1, 1, 0])
    with torch.no_grad():
        before = prior(points, y, label)
        for i in range(12):
            other = Points(*(part.clone() for part in points))
            other.y[3, i] = (points.y[3, i] + BINS // 2) % BINS
            after = prior(other, y, label)
            assert torch.equal(before.kind[3, : i + 1], after.kind[3, : i + 1])
            assert torch.equal(before.cell[3, : i + 1], after.cell[3, : i + 1])
            assert torch.equal(before.offset[3, :i], after.offset[3, :i])
            assert not torch.equal(before.offset[3, i], after.offset[3, i])
            assert i == 11 or not torch.equal(before.kind[3, i + 1 :], after.kind[3, i + 1 :])


def cell_and_offset(x: int, y: int) -> tuple[int, int]:
    return y // 8 * 16 + x // 8, y % 8 * 8 + x % 8


def test_points_nll_is_the_sum_of_categorical_log_probabilities():
    prior, points = randomized(SketchCompleter(TINY)).prior, sequences()
    logits = prior(points, torch.rand(4, 1, 64, 64), torch.tensor([0, 1, 1, 0]))
    by_hand = []
    for row in range(4):
        total = torch.zeros(())
        for i in range(12):
            kind, x, y = (int(part[row, i]) for part in points)
            total -= logits.kind[row, i].log_softmax(-1)[kind]
            if kind == END:
                break
            cell, offset = cell_and_offset(x, y)
            total -= logits.cell[row, i].log_softmax(-1)[cell]
            total -= logits.offset[row, i].log_softmax(-1)[offset]
        by_hand.append(total)
    torch.testing.assert_close(losses.points_nll(logits, points), torch.stack(by_hand))


def test_any_samples_the_label_given_the_partial_drawing():
    model, ink = randomized(SketchCompleter(TINY)), drawing()
    with torch.inference_mode():
        context = model.encode(ink[None])
        share = (context.label[0].float() / 0.5).softmax(-1)
        asked = {name: torch.tensor([i]) for name, i in (("any", -1), ("cat", 0), ("sun", 1))}
        found = {
            name: model.sample(context, label, 400, label_temperature=0.5)
            for name, label in asked.items()
        }
    as_cat = (found["any"] == found["cat"]).flatten(1).all(1)
    as_sun = (found["any"] == found["sun"]).flatten(1).all(1)
    assert (as_cat | as_sun).all()
    assert abs(float(as_cat.float().mean()) - float(share[0])) < 0.1


def test_label_probabilities_sum_to_1_the_most_probable_first():
    share = randomized(SketchCompleter(TINY)).predict_label(drawing())
    assert set(share) == set(LABELS)
    assert sum(share.values()) == pytest.approx(1, abs=1e-3)
    assert list(share.values()) == sorted(share.values(), reverse=True)


def test_completing_and_labelling_at_once_equals_both_alone():
    model, ink = randomized(SketchCompleter(TINY)), drawing()
    completions, labels = model.complete_with_labels(ink, "any", 3, 0.7, 4)
    assert torch.equal(completions, model.complete(ink, "any", 3, 0.7, 4))
    assert labels == model.predict_label(ink)


def with_config(model: SketchCompleter, **changes: float) -> SketchCompleter:
    """The same weights with another config."""
    other = SketchCompleter(replace(model.config, **changes)).eval()
    other.load_state_dict(model.state_dict())
    return other


def test_temperature_is_a_factor_on_the_scales_in_the_config():
    model, ink = randomized(SketchCompleter(TINY)), drawing()
    scaled = with_config(model, logit_temperature=1.0, label_temperature=1.25)
    expected = model.complete(ink, count=8, temperature=2.5, seed=1)
    assert torch.equal(scaled.complete(ink, count=8, temperature=1.0, seed=1), expected)
    assert not torch.equal(scaled.complete(ink, count=8, temperature=2.5, seed=1), expected)


def test_the_end_penalty_makes_completions_longer():
    model = randomized(SketchCompleter(TINY))
    with torch.no_grad():
        model.prior.output_head.bias[END] += 3
    ink = []
    for penalty in (-4.0, 0.0, 4.0):
        completions = with_config(model, end_logit_penalty=penalty).complete(drawing(), count=64)
        ink.append(float(completions.sum()))
    assert ink[0] < ink[1] < ink[2]


def test_the_first_noise_rows_do_not_depend_on_the_count():
    assert torch.equal(gumbel(3, 500, 9), gumbel(40, 500, 9)[:3])


def test_a_shared_context_equals_one_context_a_sequence():
    prior, points = randomized(SketchCompleter(TINY)).prior, sequences()
    y, label = torch.rand(2, 1, 64, 64), torch.tensor([0, 1, 1, 0])
    with torch.no_grad():
        together = prior(points, y, label)
        apart = prior(points, y.repeat_interleave(2, 0), label)
    for one, two in zip(together, apart, strict=True):
        torch.testing.assert_close(one, two)


def test_displacement_logits_shift_with_the_previous_cell():
    prior = randomized(SketchCompleter(TINY)).prior
    with torch.no_grad():
        of_cells = slice(prior.head_sizes[0], prior.head_sizes[0] + prior.head_sizes[1])
        for parameter in (prior.output_head.weight[of_cells], prior.output_head.bias[of_cells]):
            parameter.zero_()
        for table in (prior.displacement_embed.weight, prior.offset_embed.weight):
            table.zero_()
        context = prior.encode(torch.zeros(1, 1, 64, 64))
        context = context._replace(cells=torch.zeros_like(context.cells))
        grids = []
        for x, y in ((32, 48), (40, 56)):  # one cell further on, right and down
            points = Points(*(torch.tensor([row]) for row in ([MOVE, DRAW], [x, 0], [y, 0])))
            grids.append(prior.decode(context, points, torch.tensor([0])).cell[0, 1].view(16, 16))
    torch.testing.assert_close(grids[0][:15, :15], grids[1][1:, 1:])
    assert grids[0].std() > 0.01


def test_stroke_bound_is_the_sum_of_its_terms():
    model = randomized(SketchCompleter(SketchConfig(LABELS, 64, 8, 16, 32, 4, 1, 1, 4)))
    points = np.array([(MOVE, 10, 10), (DRAW, 60, 70), (END, 0, 0)])
    ink = downsample(draw_strokes([[[20, 120], [20, 140]]]))
    y = np.zeros_like(ink)
    columns = Points(*torch.from_numpy(points)[None].unbind(-1))
    p = torch.from_numpy(ink / 255.0).clamp(0.01, 0.99)
    x = torch.from_numpy(ink / 255.0)
    pixels = (x * p.log() + (1 - x) * (1 - p).log()).sum()
    by_label = {}
    for i, label in enumerate(LABELS):
        logits = model.prior(columns, torch.zeros(1, 1, 64, 64), torch.tensor([i]))
        nll = losses.points_nll(logits, columns)[0]
        by_label[label] = float((pixels - nll).detach())
        bound = stroke_bound(model, ink, y, points, label)
        assert bound == pytest.approx(by_label[label], rel=1e-4)
    share = logits.label[0].detach().double().softmax(-1).numpy()
    either = np.logaddexp(*(np.log(share) + np.array(list(by_label.values()))))
    bound = stroke_bound(model, ink, y, points, "any")
    assert bound == pytest.approx(either, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"partial": torch.zeros(3, 3)}, r"\(64, 64\)"),
        ({"partial": torch.full((64, 64), torch.nan)}, "NaN"),
        ({"partial": torch.full((64, 64), 2.0)}, r"\[0, 1\]"),
        ({"partial": torch.zeros(64, 64, dtype=torch.long)}, "floats"),
        ({"label": "dog"}, "unknown label 'dog': choose 'any' or cat, sun"),
        ({"count": 0}, "1 to 256"),
        ({"count": 10**9}, "1 to 256"),
        ({"temperature": -1.0}, "0 to 10"),
        ({"temperature": float("nan")}, "0 to 10"),
    ],
)
def test_invalid_arguments_are_named(arguments: dict, says: str):
    model = SketchCompleter(TINY).eval()
    with pytest.raises(ValueError, match=says):
        model.complete(**({"partial": drawing()} | arguments))


def test_labels_change_the_completion():
    model, ink = randomized(SketchCompleter(TINY)), drawing()
    cat, sun = (model.complete(ink, label=name, count=8) for name in ("cat", "sun"))
    assert not torch.equal(cat, sun)


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": ()},
        {"labels": ("any",)},
        {"image_size": 20},
        {"heads": 5},
        {"max_points": 0},
        {"logit_temperature": 0.0},
        {"label_temperature": -1.0},
        {"end_logit_penalty": float("nan")},
    ],
)
def test_configs_refuse_invalid_values(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SketchConfig(**({"labels": LABELS} | wrong))


def test_the_bfloat16_copy_predicts_as_the_float32_network():
    model = randomized(SketchCompleter(TINY))
    fast = bfloat16_copy(model, PACKED_LAYERS)
    points, label, (_, y) = sequences(), torch.tensor([0, 1, 1, 0]), pair()
    with torch.inference_mode():
        exact, near = model.prior(points, y, label), fast.prior(points, y.bfloat16(), label)
    for one, two in zip(exact, near, strict=True):
        assert (one.softmax(-1) - two.softmax(-1)).abs().max() < 0.05


def test_the_float32_copy_predicts_as_the_network():
    model = randomized(SketchCompleter(TINY))
    copy = float32_copy(model, PACKED_LAYERS)
    points, label, (_, y) = sequences(), torch.tensor([0, 1, 1, 0]), pair()
    with torch.inference_mode():
        for one, two in zip(model(points, y, label), copy(points, y, label), strict=True):
            torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


def test_training_drops_the_inference_copy():
    model, ink = randomized(SketchCompleter(TINY)), drawing()
    before = model.complete(ink, temperature=0.0)
    model.train()
    with torch.no_grad():
        for head in (model.prior.output_head, model.prior.offset_head):
            head.weight.neg_()
    assert not torch.equal(before, model.eval().complete(ink, temperature=0.0))


def test_a_batch_of_drawings_is_completed_as_each_alone():
    model = randomized(SketchCompleter(TINY))
    inks = torch.stack([drawing(), drawing().flip(0)])
    both = model.complete_batch(inks, ["cat", "any"], 2, seed=1)
    first = model.complete(inks[0], "cat", 2, seed=1)
    torch.testing.assert_close(both[0], first[0], atol=0.02, rtol=0)
    assert (both[1] >= inks[1]).all()
