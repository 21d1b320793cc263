"""The face models' interface: seeds, shapes, edits, what they refuse."""

import math

import pytest
import torch

from models import checkpoint
from models.faces.model import FacesVAE, LatentPrior, PlainVAE, TwoStageVAE, TwoStageVAEConfig
from tests.faces.tiny import CLASSES, images, tiny


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def model(request):
    return tiny(request.param)


def test_shapes_and_range(model):
    side, x = model.config.image_size, images(model)
    z = model.encode(x)
    assert z.shape == (2, model.config.latent_dim)
    for faces in (model.decode(z), model.reconstruct(x), model.sample(2)):
        assert faces.shape == (2, 3, side, side)
        assert faces.min() >= 0
        assert faces.max() <= 1


def test_a_sample_depends_on_seed_and_number_only(model):
    many, few = model.sample_latents(4, seed=3), model.sample_latents(2, seed=3)
    assert torch.allclose(many[:2], few, atol=1e-5)
    assert not torch.allclose(few, model.sample_latents(2, seed=4))
    assert not torch.allclose(many[0], many[1])


def test_temperature_zero_has_no_noise(model):
    z = model.sample_latents(3, temperature=0, seed=3)
    assert torch.allclose(z[0], z[2], atol=1e-5)


def test_attributes_change_samples(model):
    free, asked = model.sample_latents(2), model.sample_latents(2, {"Smiling": True})
    assert not torch.allclose(free, asked)


def test_an_edit_moves_scores_and_keeps_others(model):
    x = images(model)
    before = model.encode(x)
    after = model.move(before, {"Smiling": 2.0}, keep=("Male", "Young"))
    names = model.directions.names
    change = (model.directions.scores(after) - model.directions.scores(before)).mean(0)
    assert change[names.index("Smiling")] == pytest.approx(2, abs=0.1)
    assert change[names.index("Male")].abs() < 0.1
    assert torch.allclose(model.edit(x, {"Smiling": 2.0}, ("Male", "Young")), model.decode(after))
    assert torch.equal(model.edit(x, {}), model.reconstruct(x))


def test_attributes_are_those_told_apart(model):
    model.directions.aucs[0] = 0.7
    assert "Smiling" not in model.attributes
    with pytest.raises(ValueError, match="no attribute 'Smiling': choose among Eyeglasses"):
        model.edit(images(model), {"Smiling": 1.0})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.sample(0), "count must be an integer from 1"),
        (lambda m: m.sample(True), "count must be"),
        (lambda m: m.sample(1, temperature=math.nan), "temperature must be a number"),
        (lambda m: m.sample(1, seed=-1), "seed must be"),
        (lambda m: m.sample(1, {"Flying": True}), "no attribute 'Flying'"),
        (lambda m: m.encode(torch.zeros(1, 3, 10, 10)), "images must be a tensor"),
        (lambda m: m.encode(images(m) * 2), r"values in \[0, 1\]"),
        (lambda m: m.encode(images(m) * math.nan), "finite"),
        (lambda m: m.decode(torch.zeros(1, 3)), "z must be a tensor"),
        (lambda m: m.edit(images(m), {"Smiling": 11.0}), "must be a number from -10"),
        (lambda m: m.edit(images(m), {"Smiling": 1.0}, ("Flying",)), "no attribute 'Flying'"),
    ],
)
def test_bad_arguments_are_refused(model, call, message):
    with pytest.raises(ValueError, match=message):
        call(model)


def test_a_checkpoint_is_restored(model, tmp_path):
    checkpoint.save(tmp_path / "faces-x", model)
    back = checkpoint.load(tmp_path / "faces-x")
    assert type(back) is type(model)
    assert back.attributes == model.attributes
    assert torch.allclose(back.sample(1), model.sample(1), atol=0.02)


def test_published_sizes():
    paper, plain = FacesVAE(), PlainVAE()
    convolutions = 32 * (3 * 16 + 1) + 2 * 32 * (32 * 16 + 1)
    dense = 2048 * 256 + 256 + 256 * 256 + 256 + 256 * 256 + 256
    assert sum(p.numel() for p in paper.encoder.parameters()) == convolutions + dense
    assert [m.out_channels for m in plain.encoder if hasattr(m, "out_channels")] == [
        32, 64, 128, 256,
    ]  # fmt: skip


def test_guidance_goes_beyond_the_condition():
    model = tiny(TwoStageVAE)
    z = model.as_map(torch.randn(2, model.config.latent_dim))
    told = torch.zeros(2, len(model.config.attributes), dtype=torch.long)
    told[:, 0] = 2
    time = torch.full((2,), 0.5)
    asked, free = model.prior(z, time, told), model.prior(z, time, torch.zeros_like(told))
    guided = model._velocity(z, 0.5, told)
    expected = free + model.config.guidance * (asked - free)
    assert torch.allclose(guided, expected, atol=1e-5)


def test_the_untrained_prior_has_no_velocity():
    prior = LatentPrior(TwoStageVAEConfig(("a",), 128, prior_width=10, prior_heads=2))
    z = torch.randn(1, 32, 4, 4)
    assert torch.equal(prior(z, torch.ones(1), torch.zeros(1, 1, dtype=torch.long)), 0 * z)
