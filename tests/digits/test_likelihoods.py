"""The importance weighted bound against quadrature, and against the ELBO."""

import pytest
import torch
from torch.nn import functional as F

from models.digits.hierarchical import HierarchicalVAE, quadrant_mask
from models.digits.vae import VAE, VAEConfig
from tests.digits.tiny import images, tiny
from tests.helpers.random_weights import randomized
from training.digits import losses
from training.digits.dataset import statically_binarized


def binary(count: int) -> torch.Tensor:
    return (images(count) > 0.5).float()


def test_the_bound_reaches_the_integral_over_z():
    torch.manual_seed(0)
    model = randomized(VAE(VAEConfig("dense", 1, 16, features=8)), 0.05)
    with torch.no_grad():
        model.decoder.body[0].weight.mul_(3.0)
        model.head.bias.copy_(torch.tensor([0.3, -0.5]))
        model.head.weight.mul_(0.3)
    x = binary(3)
    z = torch.linspace(-9, 9, 4_001)[:, None]
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0])
    with torch.no_grad():
        logits = model.decoder(z)
    exact = []
    for picture in x:
        nats = F.binary_cross_entropy_with_logits(
            logits, picture.expand_as(logits), reduction="none"
        )
        log_joint = log_prior - nats.flatten(1).sum(1)
        exact.append(torch.logsumexp(log_joint, 0) + (z[1, 0] - z[0, 0]).log())
    found = model.log_likelihood(x, samples=20_000)
    torch.testing.assert_close(found, torch.stack(exact), atol=0.05, rtol=0)


def average(values: torch.Tensor) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def test_one_sample_of_the_bound_is_the_elbo_on_average():
    torch.manual_seed(0)
    model = tiny(VAE, 0.05)
    many = binary(1).expand(1_000, -1, -1, -1)
    bound, error = average(model.log_likelihood(many, 1))
    with torch.no_grad():
        terms = losses.elbo(model(many), many, 1.0)
    assert bound == pytest.approx(-float(terms["loss"]), abs=6 * error)
    tighter, _ = average(model.log_likelihood(many[:20], 500))
    assert tighter >= bound - 4 * error


@pytest.mark.parametrize("observed", [0, 1, 2, 3])
def test_the_hierarchical_bound_is_the_elbo_on_average(observed):
    model, mask = tiny(HierarchicalVAE, 0.02), quadrant_mask(observed)
    many = binary(1).expand(300, -1, -1, -1)
    bound, error = average(model.log_likelihood(many, 1, mask=mask))
    noise = torch.randn(300, model.latent_dim, generator=torch.Generator().manual_seed(1))
    hole = mask.float().expand_as(many)
    with torch.no_grad():
        terms = losses.hierarchical_elbo(model(many, hole, noise), many, hole, 1.0)
    assert bound == pytest.approx(-float(terms["loss"]), abs=6 * error)


def without_influence_of_z() -> HierarchicalVAE:
    model = tiny(HierarchicalVAE, 0.1)
    with torch.no_grad():
        for group in model.groups:
            group.project.weight.zero_()
            for layer in (group.posterior[-1], group.prior[-1]):
                layer.weight[-2 * group.channels :] = 0
                layer.bias[-2 * group.channels :] = 0
    return model


def test_without_influence_of_z_the_hierarchical_bound_is_exact():
    model, x, mask = without_influence_of_z(), binary(2), quadrant_mask(2)
    holes = mask.float().expand(2, 1, -1, -1)
    with torch.no_grad():
        logits = model(x, holes, torch.randn(2, model.latent_dim)).logits
    log_p = torch.distributions.Bernoulli(logits=logits).log_prob(x) * mask
    found = model.log_likelihood(x, 3, mask=mask)
    torch.testing.assert_close(found, log_p.flatten(1).sum(1), atol=1e-3, rtol=1e-4)


def test_probabilities_of_all_fillings_of_a_hole_add_up_to_one():
    model, mask = without_influence_of_z(), torch.zeros(28, 28)
    mask[10:12, 13:15] = 1  # each pixel lies in the window of the later ones
    x = binary(1).repeat(16, 1, 1, 1)
    values = torch.arange(16)[:, None] // torch.tensor([8, 4, 2, 1]) % 2
    x[:, 0, 10:12, 13:15] = values.view(16, 2, 2).float()
    found = model.log_likelihood(x, 1, mask=mask)
    assert found.std() > 1e-3
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-4)


def test_pixels_are_drawn_one_by_one_with_the_probabilities_of_training():
    head = tiny(HierarchicalVAE, 0.3).pixels
    features, x, hole = torch.randn(2, 8, 28, 28), binary(2), quadrant_mask(1)
    drawn, shown = head.draw(features, x, hole, torch.rand(2, 28, 28))
    with torch.no_grad():
        p = head(features, drawn).sigmoid()
    torch.testing.assert_close(shown[:, :, hole], p[:, :, hole], atol=1e-5, rtol=1e-4)
    assert torch.equal(drawn[:, :, ~hole], x[:, :, ~hole])
    assert set(drawn.unique().tolist()) == {0.0, 1.0}


def test_hidden_pixels_do_not_reach_the_prior():
    model, x = tiny(HierarchicalVAE), binary(1)
    mask = quadrant_mask(1)
    other = torch.where(mask, 1 - x, x)
    assert torch.equal(model.inpaint(x, mask)[:, :, mask], model.inpaint(other, mask)[:, :, mask])


def test_grey_pictures_and_bad_numbers_are_refused():
    for cls in (VAE, HierarchicalVAE):
        model = tiny(cls)
        with pytest.raises(ValueError, match="images must hold only 0 and 1 here"):
            model.log_likelihood(images(1))
        with pytest.raises(ValueError, match="samples must be an integer from 1"):
            model.log_likelihood(binary(1), samples=0)


def test_static_binarisation_is_fixed_and_keeps_the_means():
    x = images(1).expand(4_000, -1, -1, -1)
    drawn = statically_binarized(x)
    assert torch.equal(drawn, statically_binarized(x))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn.mean(0) - x[0]).abs().max() < 0.05
