"""Laws that hold for the models of all families, and errors in one sentence."""

import pytest
import torch

from models import checkpoint
from models.digits.autoencoder import Autoencoder
from models.digits.base import add_noise, standard_normal
from models.digits.cvae import CVAE
from models.digits.diffusion import Diffusion
from models.digits.gan import GAN
from models.digits.hierarchical import HierarchicalVAE, quadrant_mask
from models.digits.latents import ClassGaussians, fit_latent
from models.digits.vae import VAE, VAEConfig
from models.digits.vq import VQ
from models.distributions import DiagonalGaussian
from tests.digits.tiny import CLASSES, CONFIGS, images, tiny

every_class = pytest.mark.parametrize("cls", CLASSES)
CENTRE = torch.zeros(28, 28)
CENTRE[7:21, 7:21] = 1


def test_every_class_has_a_small_config():
    assert set(CONFIGS) == set(CLASSES)


@every_class
def test_a_checkpoint_gives_the_same_network(cls, tmp_path):
    model = tiny(cls).half().float()
    checkpoint.save(tmp_path / "digits-tiny", model)
    again = checkpoint.load(tmp_path / "digits-tiny")
    assert again.config == model.config
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key])


@every_class
def test_the_first_samples_do_not_depend_on_the_count(cls):
    model = tiny(cls)
    few, many = model.sample(3, seed=5), model.sample(7, seed=5)
    torch.testing.assert_close(many[:3], few, atol=1e-4, rtol=0)
    assert (model.sample(3, seed=6) - few).abs().max() > 1e-3


@every_class
def test_samples_are_pictures_and_repeat(cls):
    model = tiny(cls)
    x = model.sample(2, seed=1)
    assert x.shape == (2, 1, 28, 28)
    assert x.min() >= 0
    assert x.max() <= 1
    assert torch.equal(x, model.sample(2, seed=1))


@every_class
def test_a_label_is_followed_or_refused(cls):
    model = tiny(cls, 0.5)
    if cls is HierarchicalVAE:
        with pytest.raises(ValueError, match="label must be None for this model, which knows no"):
            model.sample(2, label=3)
        return
    if cls in (Autoencoder, VAE):
        model.class_density.mean += torch.arange(10.0)[:, None]
    one, other = model.sample(2, label=3, seed=1), model.sample(2, label=7, seed=1)
    assert (one - other).abs().max() > 1e-3


@every_class
def test_reconstruct_denoise_and_inpaint_keep_the_shape_and_repeat(cls):
    model, x = tiny(cls), images(2)
    calls = (
        lambda: model.reconstruct(x),
        lambda: model.denoise(add_noise(x, 0.5, 1), 0.5, seed=2),
        lambda: model.inpaint(x, CENTRE, seed=2),
    )
    for call in calls:
        y = call()
        assert y.shape == x.shape
        assert y.isfinite().all()
        assert 0 <= y.min() <= y.max() <= 1
        assert torch.equal(y, call())


@every_class
def test_inpainting_keeps_known_pixels_and_does_not_read_the_hole(cls):
    model, x = tiny(cls), images(2)
    y = model.inpaint(x, CENTRE, seed=3)
    assert torch.equal(y[:, :, CENTRE == 0], x[:, :, CENTRE == 0])
    other = torch.where(CENTRE == 1, 1 - x, x)
    assert torch.equal(model.inpaint(other, CENTRE, seed=3), y)
    assert torch.equal(model.inpaint(x, torch.zeros(28, 28), seed=3), x)


@every_class
def test_no_method_leaves_gradients_behind(cls):
    model, x = tiny(cls), images(1)
    for y in (model.sample(1), model.reconstruct(x), model.denoise(x), model.inpaint(x, CENTRE)):
        assert not y.requires_grad
    assert all(p.grad is None for p in model.parameters())


@every_class
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count must be an integer from 1 to 256, not 0"),
        ({"count": 257}, "count must be"),
        ({"label": 10}, "label must be None or an integer from 0 to 9, not 10"),
        ({"label": -1}, "label must be"),
        ({"label": True}, "label must be"),
        ({"temperature": float("nan")}, "temperature must be a number from 0 to 10, not nan"),
        ({"temperature": -1.0}, "temperature must be"),
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"seed": 2**32}, "seed must be"),
    ],
)
def test_bad_sampling_arguments_are_one_sentence(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny(cls).sample(**arguments)


@every_class
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 1, 32, 32), r"images must be a tensor \(b, 1, 28, 28\), not \(1, 1, 32"),
        (torch.zeros(28, 28), "images must be a tensor"),
        (torch.zeros(0, 1, 28, 28), "at least one picture"),
        (torch.zeros(1, 1, 28, 28, dtype=torch.long), "finite floats"),
        (torch.full((1, 1, 28, 28), float("nan")), "784 values that are not finite"),
        (torch.full((1, 1, 28, 28), 2.0), r"values in \[0, 1\], not 2 to 2"),
    ],
)
def test_bad_pictures_are_one_sentence(cls, x, message):
    model = tiny(cls)
    with pytest.raises(ValueError, match=message):
        model.reconstruct(x)
    with pytest.raises(ValueError, match=message):
        model.inpaint(x, CENTRE)
    if x.shape[-1:] != (28,) or not x.isfinite().all():
        with pytest.raises(ValueError, match=message):
            model.denoise(x)


@every_class
def test_bad_masks_and_noise_levels_are_one_sentence(cls):
    model, x = tiny(cls), images(1)
    with pytest.raises(ValueError, match=r"mask must be a tensor \(28, 28\)"):
        model.inpaint(x, torch.zeros(1, 28, 28))
    with pytest.raises(ValueError, match="mask must hold only 0"):
        model.inpaint(x, torch.full((28, 28), 0.5))
    for sigma in (0, -1.0, float("inf"), 11):
        with pytest.raises(ValueError, match="sigma must be a number above 0"):
            model.denoise(x, sigma)


@pytest.mark.parametrize("cls", [Autoencoder, VAE])
def test_latent_vectors_are_decoded_as_encoded(cls):
    model, x = tiny(cls), images(3)
    z = model.encode(x)
    assert z.shape == (3, 4)
    assert torch.equal(model.decode(z), model.reconstruct(x))
    with pytest.raises(ValueError, match=r"z must be a tensor \(b, 4\), not \(3, 5\)"):
        model.decode(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="z must hold finite floats"):
        model.decode(torch.full((3, 4), float("inf")))


def test_a_dense_vae_is_a_vae():
    model = VAE(VAEConfig("dense", 2, 8, features=4)).eval()
    assert model.encode(images(3)).shape == (3, 2)
    assert model.sample(2).shape == (2, 1, 28, 28)
    with pytest.raises(ValueError, match="architecture must be conv or dense, not 'deep'"):
        VAEConfig("deep")


def test_ddim_inversion_of_gaussian_data_standardises_it():
    """With the exact denoiser of N(0.1, 0.4^2), the probability flow maps x to (x - mean) / std."""
    mean, std = 0.1, 0.4

    class Exact(Diffusion):
        def forward(self, x, alpha_bar, labels):  # noqa: ARG002
            a = alpha_bar[:, None, None, None]
            return (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * std**2 + 1 - a)

    model = Exact(CONFIGS[Diffusion])
    x = 0.35 + 0.4 * images(2)  # in the model's range -0.3 .. 0.5: no x_0 is clipped
    noise = model.encode(x, steps=500)
    torch.testing.assert_close(noise, (2 * x - 1 - mean) / std, atol=0.1, rtol=0)
    torch.testing.assert_close(model.decode(noise, steps=500), x, atol=0.02, rtol=0)


def test_codes_are_those_of_the_vqvae():
    model, x = tiny(VQ), images(2)
    assert torch.equal(model.encode(x), model.vqvae.encode(x))
    assert torch.equal(model.reconstruct(x), model.vqvae.decode(model.vqvae.encode(x)))


def test_a_joined_vq_is_its_two_networks():
    model = tiny(VQ)
    joined = VQ.from_networks(model.vqvae, model.prior)
    assert joined.config == model.config
    assert torch.equal(joined.sample(2, 3, seed=1), model.sample(2, 3, seed=1))
    with pytest.raises(ValueError, match="must agree in codes"):
        VQ.from_networks(model.vqvae, VQ().prior)


def test_a_style_of_the_own_class_reconstructs():
    model, x = tiny(CVAE), images(3)
    labels = torch.tensor([1, 2, 3])
    same = model.transfer_style(x, labels, labels)
    torch.testing.assert_close(same, model.decode(model.encode(x, labels), labels))
    with pytest.raises(ValueError, match="labels must be from 0 to 9"):
        model.transfer_style(x, torch.tensor([1, 2, 10]))
    with pytest.raises(ValueError, match="labels must be 3 integers"):
        model.transfer_style(x, torch.tensor([1, 2]))


def test_a_generated_digit_is_found_again():
    model = tiny(GAN, 0.4)
    x = model.sample(2, label=4, seed=9)
    other = model.sample(2, label=4, seed=10)
    assert (model.reconstruct(x) - x).square().mean() < 0.5 * (other - x).square().mean()


def test_the_fitted_latent_vector_is_the_least_squares_one():
    generator = torch.Generator().manual_seed(0)
    basis = 0.1 * torch.randn(3, 784, generator=generator)
    target = (torch.tensor([[1.0, -0.5, 0.3]]) @ basis).sigmoid().view(1, 1, 28, 28)

    def decode(z: torch.Tensor) -> torch.Tensor:
        return (z @ basis).view(-1, 1, 28, 28)

    z = fit_latent(decode, torch.zeros(1, 3), target, 100.0, lambda z: 0 * z.sum(1), steps=400)
    torch.testing.assert_close(z, torch.tensor([[1.0, -0.5, 0.3]]), atol=0.02, rtol=0)


def test_class_gaussians_are_the_moments_of_their_class():
    generator = torch.Generator().manual_seed(0)
    factor = torch.tensor([[1.0, 0.0], [0.8, 0.5]])
    z = torch.randn(20_000, 2, generator=generator) @ factor.T + 3
    labels = torch.arange(20_000) % 2
    density = ClassGaussians(2)
    density.fit(z, labels)
    torch.testing.assert_close(density.mean[1], z[labels == 1].mean(0))
    covariance = density.factor[0] @ density.factor[0].T
    torch.testing.assert_close(covariance, z[labels == 0].T.cov(), atol=2e-4, rtol=0)
    normals = [
        torch.distributions.MultivariateNormal(mean, scale_tril=factor)
        for mean, factor in zip(density.mean, density.factor, strict=True)
    ]
    mixture = torch.stack([normal.log_prob(z[:5]) for normal in normals]).logsumexp(0)
    torch.testing.assert_close(density.energy(z[:5]), -(mixture - torch.tensor(10.0).log()))
    drawn = density.sample(torch.zeros(20_000, dtype=torch.long), z.new_zeros(20_000, 2))
    torch.testing.assert_close(drawn[0], density.mean[0])


def test_noise_streams_are_independent_and_prefix_stable():
    a, b = standard_normal(5, 784, seed=1), standard_normal(5, 784, seed=1, stream=1)
    assert torch.equal(standard_normal(2, 784, seed=1), a[:2])
    assert abs(float((a * b).mean())) < 0.06
    assert abs(float((a[0] * a[1]).mean())) < 0.12


def test_quadrants_are_those_of_the_paper():
    hidden = [quadrant_mask(n) for n in range(4)]
    assert [int(h.sum()) for h in hidden] == [784, 588, 392, 196]
    assert not hidden[1][14:, :14].any()
    assert not hidden[2][:, :14].any()
    assert hidden[3][:14, 14:].all()
    with pytest.raises(ValueError, match="observed must be 0, 1, 2 or 3 quadrants, not 4"):
        quadrant_mask(4)


def test_kl_equals_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    mu, logvar, mu2, logvar2 = torch.randn(4, 6, 3, generator=generator)
    normal = torch.distributions.Normal
    q, p = normal(mu, (logvar / 2).exp()), normal(mu2, (logvar2 / 2).exp())
    expected = torch.distributions.kl_divergence(q, p).sum(1)
    ours = DiagonalGaussian(mu, logvar).kl(DiagonalGaussian(mu2, logvar2))
    torch.testing.assert_close(ours, expected)
