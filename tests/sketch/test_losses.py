"""Gaussians, losses and metrics against independent answers."""

import math

import numpy as np
import pytest
import torch
from torch import distributions as d

from models.distributions import DiagonalGaussian
from models.sketch.cvae import SketchCVAE, SketchCVAEConfig
from training import likelihoods
from training.metrics.frechet import frechet_distance
from training.sketch import evaluate, losses


def gaussian(seed: int, *shape: int) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    return DiagonalGaussian(*torch.randn(2, *shape, generator=generator))


def as_torch(g: DiagonalGaussian) -> d.Independent:
    return d.Independent(d.Normal(g.mu, (0.5 * g.logvar).exp()), 1)


def test_kl_and_log_prob_are_those_of_torch():
    a, b, z = gaussian(0, 5, 7), gaussian(1, 5, 7), torch.randn(5, 7)
    standard = d.Independent(d.Normal(torch.zeros(5, 7), 1.0), 1)
    torch.testing.assert_close(a.kl(b), d.kl_divergence(as_torch(a), as_torch(b)))
    torch.testing.assert_close(a.kl(), d.kl_divergence(as_torch(a), standard))
    torch.testing.assert_close(a.log_prob(z), as_torch(a).log_prob(z))


def test_temperature_scales_sigma():
    g, noise = gaussian(2, 3, 4), torch.randn(3, 4)
    sigma = (0.5 * g.logvar).exp()
    torch.testing.assert_close(g.sample(noise, 0.5), g.mu + 0.5 * sigma * noise)
    torch.testing.assert_close(g.sample(noise, 0.0), g.mu)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.05, 0.2, 1.0, 8.0])
def test_continuous_bernoulli_is_that_of_torch(scale: float):
    logits = torch.linspace(-1, 1, 41, dtype=torch.float64)[None] * scale
    x = torch.rand(1, 41, dtype=torch.float64)
    exact = -d.ContinuousBernoulli(logits=logits).log_prob(x).sum(1)
    torch.testing.assert_close(
        likelihoods.continuous_bernoulli_nll(logits, x), exact, rtol=1e-6, atol=1e-6
    )


def test_continuous_bernoulli_normaliser_is_smooth_and_finite_everywhere():
    t = torch.tensor([0.0, 1e-20, 0.0999999, 0.1000001, 30.0, 500.0], requires_grad=True)
    value = likelihoods.log_normalizer(t)
    value.sum().backward()
    assert value.isfinite().all()
    assert t.grad.isfinite().all()
    assert value[0].item() == pytest.approx(math.log(2), abs=1e-7)
    assert value[2].item() == pytest.approx(value[3].item(), abs=1e-6)


def test_elbo_is_its_terms():
    model = SketchCVAE(SketchCVAEConfig(16, 4, (4, 4, 2)))
    x, y = torch.rand(3, 1, 16, 16), torch.zeros(3, 1, 16, 16)
    out = model(x, y, torch.randn(3, 4))
    terms = losses.cvae_elbo(out, x, beta=0.5)
    by_hand = d.Bernoulli(logits=out.logits, validate_args=False).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(terms["recon"], -by_hand.mean())
    torch.testing.assert_close(terms["loss"], terms["recon"] + 0.5 * terms["kl"])


def test_frechet_of_known_gaussians():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50_000, 3))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    shifted = frechet_distance(a, a * [1.0, 2.0, 1.0] + [3.0, 0.0, 0.0])
    assert shifted == pytest.approx(9 + (2 - 1) ** 2, rel=0.02)


def test_diversity_of_made_up_samples():
    partial = torch.zeros(8, 8)
    partial[0] = 1
    left, right = partial.clone(), partial.clone()
    left[4, :4], right[4, 4:] = 1, 1
    assert evaluate.diversity(torch.stack([left, left]), partial) == 0
    assert evaluate.diversity(torch.stack([left, right]), partial) == 1
    assert evaluate.diversity(torch.stack([partial, partial]), partial) == 0
    assert evaluate.diversity(torch.stack([left, left, right]), partial) == pytest.approx(2 / 3)


def test_uncertain_share_counts_the_middle():
    samples = torch.tensor([[[0.05, 0.5], [0.89, 0.95]]])
    assert evaluate.uncertain_share(samples) == 0.5


def test_nearest_training_is_brute_force():
    rng = np.random.default_rng(1)
    train = rng.integers(0, 256, (40, 64, 64), dtype=np.uint8)
    query = rng.integers(0, 256, (9, 64, 64), dtype=np.uint8)
    train_label, label = rng.integers(0, 3, 40), rng.integers(0, 3, 9)
    gap = ((query[:, None].astype(float) - train[None]) ** 2).sum((2, 3))
    free = evaluate.nearest_training(query, train, None, train_label)
    assert (free == gap.argmin(1)).all()
    gap[label[:, None] != train_label[None]] = np.inf
    assert (evaluate.nearest_training(query, train, label, train_label) == gap.argmin(1)).all()


def test_iwae_tightens_with_samples_and_stays_below_the_exact_value():
    torch.manual_seed(0)
    model = SketchCVAE(SketchCVAEConfig(8, 1, (2, 2, 1))).eval()
    x, y = torch.rand(4, 1, 8, 8).round(), torch.zeros(4, 1, 8, 8)
    grid = torch.linspace(-9, 9, 2001)
    prior, exact = model.prior(y), []
    for i in range(4):
        z = prior.mu[i] + (0.5 * prior.logvar[i]).exp() * grid[:, None]
        logits = model.decode(z, y[:1].expand(2001, -1, -1, -1))
        nll = likelihoods.bernoulli_nll(logits, x[i : i + 1].expand(2001, -1, -1, -1))
        weight = d.Normal(0.0, 1.0).log_prob(grid) + math.log(18 / 2000)
        exact.append((weight - nll).logsumexp(0))
    exact = torch.stack(exact).detach()
    one = torch.stack([evaluate.cvae_bound(model, x, y, 1) for _ in range(64)]).mean(0)
    many = evaluate.cvae_bound(model, x, y, 512)
    assert (one <= exact + 0.05).all()
    torch.testing.assert_close(many, exact, atol=0.05, rtol=1e-3)
