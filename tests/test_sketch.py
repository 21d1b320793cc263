"""Laws of the sketch networks."""

import itertools

import pytest
import torch

from models.blocks import TransformerBlock
from models.fast import bfloat16_copy
from models.quantize import FiniteScalarQuantizer
from models.sketch import MODELS, PACKED, SketchCompleter
from models.sketch_autoencoder import SketchConfig
from models.sketch_cvae import SketchCVAE, SketchCVAEConfig
from training import losses, metrics

LABELS = ("cat", "sun")
TINY = SketchConfig(LABELS, 32, (3, 2), 8, 16, 32, 4, 8, 1, 2, 1)
TABLE = {
    SketchCompleter: lambda: SketchCompleter(TINY),
    SketchCVAE: lambda: SketchCVAE(SketchCVAEConfig(32, 16, (8, 8, 4))),
}


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    """Random weights everywhere, so that no branch is silent because it starts at zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return model.eval()


def drawing() -> torch.Tensor:
    ink = torch.zeros(32, 32)
    ink[8:10, 4:20] = 1
    ink[10, 4:20] = 0.5
    return ink


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = (torch.rand(4, 1, 32, 32, generator=generator) > 0.8).float()
    return x, x * (torch.rand(4, 1, 32, 32, generator=generator) > 0.5)


def total_loss(model: torch.nn.Module) -> torch.Tensor:
    x, y = pair()
    if isinstance(model, SketchCVAE):
        return losses.cvae_elbo(model(x, y), x)["loss"]
    codes = model.autoencoder.encode(x, y)
    prior = losses.code_nll(model.prior(codes, y, torch.tensor([0, 1, 2, 0])), codes)
    return losses.reconstruction(model.autoencoder(x, y), x)["loss"] + prior["loss"]


def test_every_model_has_its_row():
    assert set(TABLE) == set(MODELS)


@pytest.mark.parametrize("kind", TABLE)
def test_completions_repeat_with_the_seed_and_keep_the_ink(kind: type):
    model, ink = stirred(TABLE[kind]()), drawing()
    one, two = model.complete(ink, count=4, seed=5), model.complete(ink, count=4, seed=5)
    assert one.shape == (4, 32, 32)
    assert one.dtype == torch.float32
    assert torch.equal(one, two)
    assert (one >= ink).all()
    assert (one <= 1).all()
    assert not torch.equal(one, model.complete(ink, count=4, seed=6))


@pytest.mark.parametrize("kind", TABLE)
def test_temperature_zero_gives_one_picture_and_one_gives_many(kind: type):
    model, ink = stirred(TABLE[kind]()), drawing()
    cold, warm = (model.complete(ink, count=6, temperature=t) for t in (0.0, 1.0))
    assert (cold == cold[:1]).all()
    assert not torch.equal(warm[0], warm[1])


@pytest.mark.parametrize("kind", TABLE)
def test_a_gradient_reaches_every_parameter(kind: type):
    model = stirred(TABLE[kind]()).train()
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


def test_quantiser_picks_the_nearest_of_all_codes():
    quantizer = FiniteScalarQuantizer((4, 3, 2))
    h = 3 * torch.randn(200, 3)
    digits = torch.tensor(list(itertools.product(range(2), range(3), range(4)))).flip(1).float()
    every = quantizer.scale(digits)
    assert torch.equal(quantizer.decode(torch.arange(24)), every)
    inside = quantizer.scale(quantizer.bound(h))
    levels = torch.tensor([3.0, 2.0, 1.0])  # distances counted in levels, as rounding does
    nearest = (((inside[:, None] - every[None]) * levels) ** 2).sum(-1).argmin(1)
    assert torch.equal(quantizer.encode(h), nearest)
    torch.testing.assert_close(quantizer(h), every[nearest])


def test_a_cached_step_equals_the_whole_pass():
    block = stirred(TransformerBlock(32, 4, causal=True))
    x = torch.randn(3, 10, 32)
    cache = block.new_cache(3, 10)
    steps = torch.stack([block.step(x[:, i], cache, i) for i in range(10)], 1)
    torch.testing.assert_close(steps, block(x), atol=1e-5, rtol=1e-4)


def test_blocks_of_codes_come_back_in_reading_order():
    prior = SketchCompleter(TINY).prior
    codes = torch.arange(32).view(2, 16)
    blocks = prior.to_blocks(codes)
    assert blocks[0, 0].tolist() == [0, 1, 4, 5]
    assert torch.equal(prior.from_blocks(blocks), codes)


def test_prior_sees_only_earlier_codes():
    prior = stirred(SketchCompleter(TINY)).prior
    order = prior.to_blocks(torch.arange(16)[None]).flatten().tolist()
    codes, y, label = torch.randint(0, 6, (1, 16)), torch.rand(1, 1, 32, 32), torch.tensor([1])
    with torch.no_grad():
        before = prior(codes, y, label)
        for rank, position in enumerate(order):
            other = codes.clone()
            other[0, position] = (codes[0, position] + 1) % 6
            changed = (prior(other, y, label) - before)[0].abs().amax(-1) > 1e-6
            assert not changed[order[: rank + 1]].any()
            assert rank == 15 or changed[order[rank + 1 :]].any()


def test_sampling_follows_the_probabilities_of_the_forward_pass():
    prior = stirred(SketchCompleter(TINY)).prior
    y, label = torch.rand(1, 1, 32, 32), torch.tensor([0])
    with torch.inference_mode():
        context = prior.context(y, label)
        codes = prior.sample(context, torch.rand(3, 16), 1.0)
        cold = prior.sample(context, torch.rand(1, 16), 0.0)
        assert torch.equal(cold, prior(cold, y, label).argmax(-1))
        first = prior.sample(context, torch.rand(4000, 16), 1.0)[:, 0]
        p = prior(codes[:1], y, label).softmax(-1)[0, 0]
    seen = torch.bincount(first, minlength=6) / 4000
    assert (seen - p).abs().max() < 0.04


def test_code_bound_is_the_exact_likelihood_where_it_can_be_summed():
    config = SketchConfig(LABELS, 16, (2,), 8, 8, 16, 2, 4, 1, 1, 1)
    model = stirred(SketchCompleter(config))
    x, y = torch.rand(2, 1, 16, 16).round(), torch.zeros(2, 1, 16, 16)
    label = torch.tensor([0, 2])
    every = torch.tensor(list(itertools.product(range(2), repeat=4)))
    exact = []
    with torch.no_grad():
        for i in range(2):
            rows = [t[i : i + 1].expand(16, *t.shape[1:]) for t in (x, y, label)]
            log_p = model.prior(every, rows[1], rows[2]).log_softmax(-1)
            log_p = log_p.gather(-1, every[..., None]).sum((1, 2))
            z = model.autoencoder.quantizer.decode(every).unflatten(1, (2, 2))
            nll = losses.bernoulli_nll(model.autoencoder.decode(z, rows[1]), rows[0])
            exact.append((log_p - nll).logsumexp(0))
    bound = metrics.code_bound(model, x, y, label, samples=2000, sigma=1.0)
    torch.testing.assert_close(bound, torch.stack(exact), atol=0.1, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"partial": torch.zeros(3, 3)}, r"\(32, 32\)"),
        ({"partial": torch.full((32, 32), torch.nan)}, "NaN"),
        ({"partial": torch.full((32, 32), 2.0)}, r"\[0, 1\]"),
        ({"partial": torch.zeros(32, 32, dtype=torch.long)}, "floats"),
        ({"label": "dog"}, "unknown label 'dog': choose 'any' or cat, sun"),
        ({"count": 0}, "1 to 256"),
        ({"count": 10**9}, "1 to 256"),
        ({"temperature": -1.0}, "0 to 10"),
        ({"temperature": float("nan")}, "0 to 10"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, says: str):
    model = SketchCompleter(TINY).eval()
    with pytest.raises(ValueError, match=says):
        model.complete(**({"partial": drawing()} | arguments))


def test_labels_change_the_completion_and_any_is_one():
    model, ink = stirred(SketchCompleter(TINY)), drawing()
    cat, sun, either = (model.complete(ink, label=n, count=8) for n in ("cat", "sun", "any"))
    assert not torch.equal(cat, sun)
    assert not torch.equal(either, cat)


@pytest.mark.parametrize(
    "wrong",
    [{"labels": ()}, {"labels": ("any",)}, {"image_size": 20}, {"heads": 5}, {"min_p": 1.0}],
)
def test_configs_refuse_nonsense(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SketchConfig(**({"labels": LABELS} | wrong))


def test_the_bfloat16_copy_answers_as_the_float32_network_does():
    model = stirred(SketchCompleter(TINY))
    fast = bfloat16_copy(model, [f"prior.{part}" for part in PACKED])
    x, y = pair()
    codes, label = torch.randint(0, 6, (4, 16)), torch.tensor([0, 1, 2, 0])
    with torch.inference_mode():
        exact = model.prior(codes, y, label).softmax(-1)
        near = fast.prior(codes, y.bfloat16(), label).softmax(-1)
        assert (exact - near).abs().max() < 0.05
        z = model.autoencoder.quantizer.decode(model.autoencoder.encode(x, y)).unflatten(1, (4, 4))
        exact = model.autoencoder.decode(z, y).sigmoid()
        near = fast.autoencoder.decode(z, y.bfloat16()).sigmoid()
        assert (exact - near).abs().max() < 0.05


def test_training_forgets_the_copy():
    model, ink = stirred(SketchCompleter(TINY)), drawing()
    before = model.complete(ink, temperature=0.0)
    model.train()
    with torch.no_grad():
        for p in model.autoencoder.pixels.parameters():
            p.neg_()
    assert not torch.equal(before, model.eval().complete(ink, temperature=0.0))
