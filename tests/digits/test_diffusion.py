"""Schedules, DDPM and DDIM steps, guidance."""

import pytest
import torch

from models.digits.diffusion import (
    TIMESTEPS,
    Diffusion,
    DiffusionConfig,
    alpha_bars,
    ddim_step,
    ddpm_step,
    predict_x0,
    sample_steps,
    timesteps,
)
from tests.digits.tiny import images, tiny


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_falls_from_signal_to_noise(schedule):
    levels = alpha_bars(schedule)
    assert len(levels) == TIMESTEPS
    assert (levels.diff() < 0).all()
    assert levels[0] > 0.999
    assert levels[-1] < 1e-3
    with pytest.raises(ValueError, match="schedule must be cosine or linear, not 'steep'"):
        alpha_bars("steep")


def test_the_linear_schedule_is_the_papers():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.double)
    product = torch.ones((), dtype=torch.double)
    for beta in betas[:500]:
        product = product * (1 - beta)
    torch.testing.assert_close(alpha_bars("linear")[499], product.float())


def test_timesteps_descend_and_all_are_all():
    assert timesteps(1000).tolist() == list(range(999, -1, -1))
    assert timesteps(20)[0] == 975
    assert (timesteps(7).diff() < 0).all()


def test_ddim_with_eta_1_is_ddpm():
    x, x0, noise = torch.randn(3, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    levels = alpha_bars("cosine").tolist()
    for t in (1, 10, 500, 998):
        ours = ddim_step(x, x0, levels[t], levels[t - 1], 1.0, noise)
        theirs = ddpm_step(x, x0, levels[t], levels[t - 1], noise)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("eta", "steps"), [(0.0, 200), (1.0, 1000), (0.5, 300)])
def test_samplers_reach_the_moments_of_gaussian_data(eta, steps):
    """The exact denoiser of N(0.2, 0.3^2) must give samples of just that distribution."""
    mean, std = 0.2, 0.3

    def denoiser(x: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
        variance = alpha_bar * std**2 + 1 - alpha_bar
        return (1 - alpha_bar).sqrt() * (x - alpha_bar.sqrt() * mean) / variance

    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4_000, 1, 1, 1, generator=generator)
    levels = alpha_bars("cosine")[timesteps(steps)].tolist()
    *_, last = sample_steps(
        denoiser, start, levels, eta, lambda _: torch.randn(start.shape, generator=generator)
    )
    assert float(last.x0.mean()) == pytest.approx(mean, abs=0.02)
    assert float(last.x0.std()) == pytest.approx(std, abs=0.02)


def test_x0_and_noise_make_x_t():
    x0, eps = images(2) * 2 - 1, torch.randn(2, 1, 28, 28)
    x = 0.6**0.5 * x0 + 0.4**0.5 * eps
    torch.testing.assert_close(predict_x0(x, eps, 0.6), x0, atol=1e-5, rtol=0)


def test_a_class_that_is_asked_for_is_guided_and_none_is_not():
    model = tiny(Diffusion, 0.3)
    scale = model.config.guidance_scale
    assert scale > 1
    for label, guidance in ((2, scale), (None, 1)):
        given = model.sample(2, label, steps=3, guidance=guidance)
        assert torch.equal(model.sample(2, label, steps=3), given)


def test_guidance_0_is_unconditional_and_1_conditional():
    model = tiny(Diffusion, 0.3)
    base = {"count": 2, "seed": 4, "steps": 3}
    uncond = model.sample(label=2, guidance=0, **base)
    assert torch.equal(uncond, model.sample(label=8, guidance=0, **base))
    x, level = torch.randn(2, 1, 28, 28), torch.tensor(0.5)
    labels = torch.tensor([2, 2])
    cond, none = (model.guided(labels, w)(x, level) for w in (1.0, 0.0))
    assert (cond - none).abs().max() > 1e-4
    double = model.guided(labels, 2.0)(x, level)
    torch.testing.assert_close(double, none + 2 * (cond - none), atol=1e-4, rtol=1e-4)


def test_the_trajectory_ends_in_the_sample():
    model = tiny(Diffusion)
    arguments = {"count": 2, "label": 1, "seed": 3, "steps": 5}
    steps = model.trajectory(**arguments)
    assert len(steps) == 5
    assert [s.alpha_bar for s in steps] == sorted(s.alpha_bar for s in steps)
    assert torch.equal(steps[-1].x0, model.sample(**arguments))
    torch.testing.assert_close(steps[-1].x.clamp(0, 1), steps[-1].x0, atol=1e-5, rtol=0)


def test_any_schedule_can_sample():
    model = tiny(Diffusion)
    one = model.sample(1, 1, steps=4, schedule="linear")
    assert (one - model.sample(1, 1, steps=4)).abs().max() > 1e-4
    assert DiffusionConfig(schedule="linear").schedule == "linear"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be an integer from 1 to 1000, not 0"),
        ({"steps": 1001}, "steps must be"),
        ({"guidance": -1}, "guidance must be a number from 0 to 10, not -1"),
        ({"guidance": float("nan")}, "guidance must be"),
        ({"eta": 2}, "eta must be a number from 0 to 1, not 2"),
        ({"schedule": "steep"}, "schedule must be cosine or linear"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny(Diffusion).sample(1, **arguments)
