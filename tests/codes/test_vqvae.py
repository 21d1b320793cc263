"""The VQ-VAE, the learning of its codebook, and the prior over its codes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models import checkpoint
from models.codes import prior as codes_prior
from models.codes import vqvae
from models.codes.prior import MASKED, UNCONDITIONAL, CodesPrior, CodesPriorConfig
from models.codes.vqvae import VQVAE, VQVAEConfig
from tests.helpers.random_weights import randomized
from training.codes.codebook import EMACodebook, assignment_sums, perplexity
from training.codes.losses import entropy_loss, vq_loss

TINY = VQVAEConfig(16, 1, (8, 8), 1, num_codes=11, code_dim=5)
TINY_PRIOR = CodesPriorConfig(11, 4, ("zero", "one"), 16, 2, 2)
MODELS = {VQVAE: lambda: VQVAE(TINY), CodesPrior: lambda: CodesPrior(TINY_PRIOR)}


def images(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def grids(count: int = 4) -> torch.Tensor:
    return torch.randint(0, 11, (count, 4, 4), generator=torch.Generator().manual_seed(2))


def test_every_model_class_is_tested():
    assert set(vqvae.MODELS) | set(codes_prior.MODELS) == set(MODELS)


@pytest.mark.parametrize(("name", "cls"), [("codes-tiny", VQVAE), ("prior-tiny", CodesPrior)])
def test_a_saved_checkpoint_loads_as_the_same_network(name, cls, tmp_path):
    model = MODELS[cls]().half().float()
    checkpoint.save(tmp_path / name, model)
    again = checkpoint.load(tmp_path / name)
    assert again.config == model.config
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key])


def test_a_gradient_reaches_every_parameter():
    model = randomized(VQVAE(TINY)).train()
    out = model(images())
    loss = out.logits.square().mean() + sum(vq_loss(out, 0.25).values())
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    prior = randomized(CodesPrior(TINY_PRIOR)).train()
    labels = torch.tensor([0, 1, UNCONDITIONAL, UNCONDITIONAL])
    prior(grids(), labels).logsumexp(-1).sum().backward()
    without = [n for n, p in prior.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


def test_quantize_finds_the_nearest_vector_as_brute_force_does():
    model = randomized(VQVAE(TINY), 0.5)
    z = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(4))
    found = model.quantize(z)
    for b, i, j in np.ndindex(3, 4, 4):
        distances = [float((z[b, :, i, j] - e).norm()) for e in model.codebook.detach()]
        assert int(found[b, i, j]) == int(np.argmin(distances))


def test_the_straight_through_gradient_of_z_e_is_that_at_the_decoder():
    model = randomized(VQVAE(TINY))
    seen = {}

    def decode(z: torch.Tensor) -> torch.Tensor:
        z.register_hook(lambda g: seen.update(at_the_decoder=g))
        return z.square().sum((1, 2, 3), keepdim=True)

    model.decoder = torch.nn.Identity()
    model.decoder.forward = decode
    model.encode_latents = lambda x: seen.setdefault(
        "z_e", x.new_ones(2, 5, 4, 4).requires_grad_(True)
    )
    model(images(2)).logits.sum().backward()
    torch.testing.assert_close(seen["z_e"].grad, seen["at_the_decoder"])
    assert seen["z_e"].grad.any()


def test_encode_and_decode_agree_with_forward():
    model = randomized(VQVAE(TINY))
    found = model.encode(images())
    out = model(images())
    assert torch.equal(found, out.codes)
    torch.testing.assert_close(model.decode(found), out.logits.sigmoid(), atol=1e-5, rtol=0)
    wide = torch.cat([found, found], 2)
    assert model.decode(wide).shape == (4, 1, 16, 32)


BAD_CODES = {
    "too high": (torch.full((1, 4, 4), 11), "codes must be 0 to 10, not 11 to 11"),
    "negative": (torch.full((1, 4, 4), -1), "codes must be 0 to 10"),
    "floats": (torch.zeros(1, 4, 4), "integers"),
    "flat": (torch.zeros(4, 4).long(), r"integers \(b, rows, columns\)"),
    "none": (torch.zeros(0, 4, 4).long(), "integers"),
}
BAD_IMAGES = {
    "size": (torch.zeros(1, 1, 8, 8), r"must be \(b, 1, 16, 16\)"),
    "bytes": (torch.zeros(1, 1, 16, 16, dtype=torch.uint8), "floats"),
    "NaN": (torch.full((1, 1, 16, 16), torch.nan), "without NaN"),
}


@pytest.mark.parametrize("name", BAD_CODES)
def test_decode_refuses_bad_codes(name):
    with pytest.raises(ValueError, match=BAD_CODES[name][1]):
        VQVAE(TINY).decode(BAD_CODES[name][0])


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_encode_refuses_bad_images(name):
    with pytest.raises(ValueError, match=BAD_IMAGES[name][1]):
        VQVAE(TINY).encode(BAD_IMAGES[name][0])


def test_the_codebook_is_the_moving_average_of_the_vectors_assigned_to_each_code():
    book, z = torch.randn(3, 2), torch.randn(1, 2, 2, 2)
    assigned = torch.tensor([[[0, 0], [2, 0]]])
    batch = assignment_sums(z, assigned, 3)
    cells = z[0].permute(1, 2, 0).reshape(4, 2)
    assert batch[0].tolist() == [3, 0, 1]
    torch.testing.assert_close(batch[1][0], cells[[0, 1, 3]].sum(0))
    without_decay = book.clone()
    EMACodebook(book, decay=0.0).update(without_decay, *batch)
    torch.testing.assert_close(without_decay[0], cells[[0, 1, 3]].mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(without_decay[2], cells[2], atol=1e-4, rtol=0)
    slow = book.clone()
    EMACodebook(book, decay=0.9).update(slow, *batch)
    expected = (0.9 * book[0] + 0.1 * cells[[0, 1, 3]].sum(0)) / (0.9 + 0.3)
    torch.testing.assert_close(slow[0], expected, atol=1e-3, rtol=0)


def test_dead_codes_restart_at_encoder_vectors():
    book, z = torch.full((4, 2), 50.0), torch.randn(2, 2, 3, 3)
    ema = EMACodebook(book, 0.9)
    ema.counts = torch.tensor([10.0, 0.0, 10.0, 0.2])
    assert ema.restart_dead_codes(book, z, 0.1, torch.Generator().manual_seed(0)) == 2
    cells = z.permute(0, 2, 3, 1).reshape(-1, 2)
    for dead in (1, 3):
        assert (cells == book[dead]).all(1).any()
    for alive in (0, 2):
        assert (book[alive] == 50).all()
    assert ema.restart_dead_codes(book, z, 0.1, torch.Generator().manual_seed(0)) == 0


def test_perplexity_is_k_for_uniform_use_and_1_for_a_single_code():
    assert perplexity(torch.tensor([5.0, 5, 5, 5])) == pytest.approx(4)
    assert perplexity(torch.tensor([9.0, 0, 0])) == pytest.approx(1)


def test_the_entropy_loss_is_zero_for_uniform_use_and_large_for_a_single_code():
    book = torch.eye(4) * 3
    even = book.T.reshape(1, 4, 2, 2)
    assert float(entropy_loss(even + 1e-3, book, 1e-2)) == pytest.approx(0, abs=1e-3)
    one = book[0].view(1, 4, 1, 1).expand(1, 4, 2, 2).clone()
    one += 0.1 * torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
    assert float(entropy_loss(one, book, 1.0)) > 1


def test_sampling_with_a_cache_equals_the_full_forward_pass():
    prior, known = randomized(CodesPrior(TINY_PRIOR), 0.3), torch.full((4, 4), MASKED)
    known[1:3, 2:] = torch.tensor([[3, 7], [10, 0]])
    sampled = prior.sample(6, label="one", known=known, temperature=0.0)
    order = (known.flatten() == MASKED).int().argsort(stable=True).expand(6, -1)
    with torch.inference_mode():
        cond, uncond = (
            prior(sampled, torch.full((6,), label), order) for label in (1, UNCONDITIONAL)
        )
    logits = uncond + prior.config.guidance_scale * (cond - uncond)
    most_probable = torch.empty(6, 16, dtype=torch.long)
    most_probable[:, order[0]] = logits.argmax(-1)
    masked = known == MASKED
    assert torch.equal(sampled[:, masked], most_probable.view(6, 4, 4)[:, masked])
    assert (sampled[:, ~masked] == known[~masked]).all()


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_guidance_scales_1_and_0_are_the_conditional_and_the_unconditional_prior(scale):
    prior = randomized(CodesPrior(replace(TINY_PRIOR, guidance_scale=scale)), 0.3)
    sampled = prior.sample(6, label="one", temperature=0.0)
    label = torch.full((6,), 1 if scale else UNCONDITIONAL)
    with torch.inference_mode():
        assert torch.equal(sampled.flatten(1), prior(sampled, label).argmax(-1))


def test_samples_depend_on_seed_label_temperature_and_top_k():
    prior = randomized(CodesPrior(TINY_PRIOR), 0.5)
    one, again, more = (prior.sample(n, label=0, seed=4) for n in (3, 3, 5))
    assert torch.equal(one, again)
    assert torch.equal(one, more[:3])
    assert not torch.equal(one, prior.sample(3, label=0, seed=5))
    assert not torch.equal(one, prior.sample(3, label=1, seed=4))
    assert not torch.equal(one, prior.sample(3, seed=4))
    cold = prior.sample(3, label=0, temperature=0.0)
    assert torch.equal(cold, prior.sample(3, label=0, top_k=1, seed=9))
    assert torch.equal(cold[0], cold[1])


def test_logits_do_not_depend_on_later_cells():
    prior = randomized(CodesPrior(TINY_PRIOR), 0.3)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0)).expand(2, -1)
    x = grids(2)
    label = torch.tensor([0, UNCONDITIONAL])
    before = prior(x, label, order)
    y = x.flatten(1).clone()
    late = order[0, 9]
    y[:, late] = (y[:, late] + 1) % 11
    after = prior(y.view_as(x), label, order)
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])


BAD_SAMPLES = {
    "label name": (dict(label="two"), "choose one of zero, one"),
    "label number": (dict(label=2), "None or 0 to 1"),
    "count": (dict(count=0), "count must be 1 to 256"),
    "temperature": (dict(temperature=float("nan")), "temperature must be 0 to 10"),
    "top_k": (dict(top_k=0), "at least 1"),
    "shape of known": (dict(known=torch.zeros(3, 4).long()), r"known must be integers \(4, 4\)"),
    "codes of known": (dict(known=torch.full((4, 4), 11)), "codes 0 to 10, or -1"),
}


@pytest.mark.parametrize("name", BAD_SAMPLES)
def test_sample_refuses_bad_arguments(name):
    change, text = BAD_SAMPLES[name]
    with pytest.raises(ValueError, match=text):
        CodesPrior(TINY_PRIOR).sample(**({"count": 2} | change))
