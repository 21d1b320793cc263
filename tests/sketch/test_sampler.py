"""Incremental decoding against the probabilities of the forward pass."""

import torch

from models.sketch import sampler
from models.sketch.model import SketchCompleter, gumbel
from models.sketch.sampler import PointNoise
from models.sketch.tokens import DRAW, END, MOVE, Points
from tests.sketch.test_model import TINY, cell_and_offset, randomized


def noiseless(rows: int) -> PointNoise:
    return PointNoise(*(torch.zeros(rows, 12, sizes) for sizes in (3, 256, 64)))


def test_greedy_sampling_takes_the_most_probable_choice_of_the_forward_pass():
    prior = randomized(SketchCompleter(TINY)).prior
    y, label = torch.rand(1, 1, 64, 64), torch.tensor([0])
    with torch.inference_mode():
        sampled = sampler.sample(prior, prior.encode(y), label, noiseless(1))
        logits = prior(Points(*sampled.unbind(-1)), y, label)
    length = int((sampled[0, :, 0] != END).sum())
    assert length > 0
    for i, (kind, x, y) in enumerate(sampled[0, :length].tolist()):
        likeliest = int(logits.kind[0, i, (MOVE if i == 0 else 0) :].argmax())
        assert kind == likeliest + (MOVE if i == 0 else 0)
        assert cell_and_offset(x, y) == (
            int(logits.cell[0, i].argmax()),
            int(logits.offset[0, i].argmax()),
        )


def test_samples_follow_the_probabilities_of_the_forward_pass():
    model = randomized(SketchCompleter(TINY))
    y, many = torch.rand(1, 1, 64, 64), 20_000
    for temperature in (0.5, 1.0, 2.0):
        noise = temperature * gumbel(many, 323, 6)[:, None]
        with torch.inference_mode():
            context = model.prior.encode(y)
            noise = PointNoise(*noise.split((3, 256, 64), -1))
            sampled = sampler.sample(
                model.prior, context, torch.zeros(many, dtype=torch.long), noise
            )
            one = Points(*sampled[:1].unbind(-1))
            logits = model.prior(one, y, torch.tensor([0]))
        kinds = torch.bincount(sampled[:, 0, 0], minlength=3) / many
        expected = (logits.kind[0, 0] / temperature).softmax(-1)
        assert kinds[DRAW] == expected[DRAW] == 0
        assert (kinds - expected).abs().max() < 0.015
        put = sampled[sampled[:, 0, 0] == MOVE, 0]
        cells = put[:, 2] // 8 * 16 + put[:, 1] // 8
        seen = torch.bincount(cells, minlength=256) / len(cells)
        expected = model_cells(model, context, temperature)
        assert (seen - expected).abs().max() < 0.02


def model_cells(model: SketchCompleter, context: tuple, temperature: float) -> torch.Tensor:
    """Probabilities of the first point's cell, given that it is a MOVE and the label is 0."""
    points = Points(*(torch.full((1, 1), value) for value in (MOVE, 0, 0)))
    with torch.inference_mode():
        logits = model.prior.decode(context, points, torch.tensor([0]))
    return (logits.cell[0, 0] / temperature).softmax(-1)


def test_pruned_rows_do_not_change_the_others():
    model = randomized(SketchCompleter(TINY))
    noise = PointNoise(*gumbel(40, 12 * 323, 8).unflatten(1, (12, 323)).split((3, 256, 64), -1))
    noise.kind[:30, 2:, END] = torch.inf  # most of them end early
    label = torch.arange(40) % 2
    with torch.inference_mode():
        for context in (
            model.prior.encode(torch.rand(1, 1, 64, 64)),
            model.prior.encode(torch.rand(40, 1, 64, 64)),
        ):
            together = sampler.sample(model.prior, context, label, noise)
            one = len(context.cells) == 1
            for row in (0, 29, 30, 39):
                own = context if one else type(context)(*(part[row : row + 1] for part in context))
                at = torch.tensor([row])
                alone = sampler.sample(model.prior, own, label[at], noise.select_rows(at))
                assert torch.equal(together[row], alone[0])
    lengths = (together[..., 0] != END).sum(1)
    assert lengths[:30].max() == 2 < lengths[30:].max()
    after = (together[..., 0] == END).cumsum(1) > 0
    assert (together[after] == END).all()
