"""Training of the digit models: losses, overfitting, resume, what a run leaves behind."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from models import checkpoint
from models.digits.cvae import CVAE
from models.digits.gan import GAN
from models.digits.vae import VAE, VAEConfig, VAEOutput
from models.digits.vq import VQ
from models.distributions import DiagonalGaussian
from tests.digits.tiny import CONFIGS, images, tiny
from tests.helpers.fake_datasets import write_mnist
from tests.helpers.interrupted_runs import INTERRUPTIONS, run_interrupted, run_outputs
from tests.helpers.random_weights import randomized
from training import train_digits
from training.data import mnist
from training.digits import config as digits_config
from training.digits import losses
from training.digits.config import CLASSES, IGNORED, OBJECTIVES, RELEASED, Config
from training.digits.dataset import Batch, DigitDataset, Noise
from training.digits.discriminator import Discriminator
from training.digits.masks import P_KINDS, sample_masks
from training.digits.recording import fit_class_density, loss_curve, snapshot_steps
from training.engine.cli import command, parse
from training.metrics.precision_recall import precision_recall

CPU = torch.device("cpu")
FAMILIES = sorted(CLASSES)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_mnist(folder, {"train": mnist.VALID + 40, "test": 30})
    return folder


def config(data_dir: Path, run: Path, family: str, **changes: object) -> Config:
    base = Config(
        family=family,
        network=CONFIGS[CLASSES[family]],
        data_dir=data_dir,
        out_dir=run / f"digits-{family}",
        run_dir=run,
        steps=11,
        batch_size=4,
        beta_warmup=3,
        binarize=True,
        r1_every=2,
        discriminator_width=4,
        log_every=1,
        save_every=2,
    )
    return replace(base, **changes)


def a_batch(count: int = 8, step: int = 0) -> Batch:
    """Ten-class pictures that a small network can learn: a bright column each."""
    labels = torch.arange(count) % 10
    x = torch.zeros(count, 1, 28, 28)
    for row, label in enumerate(labels.tolist()):
        x[row, 0, 4:24, 2 * label + 2 : 2 * label + 6] = 1
    return Batch(x, labels, Noise(0, step, count, slice(None), CPU))


@pytest.mark.parametrize(
    ("family", "stop"),
    [*((family, INTERRUPTIONS[0]) for family in FAMILIES), ("gan", INTERRUPTIONS[1])],
    ids=[*FAMILIES, "gan-save"],
)
def test_a_resumed_run_equals_the_uninterrupted_one(data_dir, tmp_path, monkeypatch, family, stop):
    train_digits.main(config(data_dir, tmp_path / "whole", family))
    stops = run_interrupted(
        monkeypatch, *stop, lambda: train_digits.main(config(data_dir, tmp_path / "cut", family))
    )
    assert stops >= 2
    name = f"digits-{family}"
    cut, whole = (run_outputs(tmp_path / run, name) for run in ("cut", "whole"))
    assert cut == whole
    pictures = [(tmp_path / run / name / "training.png").read_bytes() for run in ("cut", "whole")]
    assert pictures[0] == pictures[1]


def test_a_run_leaves_its_snapshots_and_curve(data_dir, tmp_path):
    cfg = config(data_dir, tmp_path, "cvae", steps=30)
    train_digits.main(cfg)
    folder = tmp_path / "digits-cvae"
    record = json.loads((folder / "training.json").read_text())
    assert record["snapshot_steps"] == snapshot_steps(30)
    assert record["parameters"] == sum(p.numel() for p in checkpoint.load(folder).parameters())
    assert len(record["curve"]["loss"]) == 30
    rows = np.asarray(Image.open(folder / "training.png"))
    assert rows.shape == (28 * len(snapshot_steps(30)), 28 * 16)
    last = checkpoint.load(folder).sample(16, seed=0)[:, 0].permute(1, 0, 2).reshape(28, -1)
    assert np.abs(rows[-28:] / 255 - last.numpy()).max() < 0.02  # half precision since
    line = (folder / "README.md").read_text().split("- Command: `")[1].split("`")[0]
    python, script, *args = shlex.split(line)
    assert (python, script) == ("python", "training/train_digits.py")
    kept = {name: getattr(cfg, name) for name in IGNORED}
    assert replace(parse(Config, RELEASED, args), **kept) == cfg


def test_snapshots_are_twelve_and_end_with_the_run():
    for steps in (1_000, 20_000):
        assert len(snapshot_steps(steps)) == 12
        assert snapshot_steps(steps)[-1] == steps
    assert snapshot_steps(1) == [1]


def test_a_curve_is_the_mean_of_neighbours(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": i, "loss": float(i), "seconds": 1.0, "images_per_s": 2.0} for i in range(400)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    curve = loss_curve(path)
    assert curve["loss"] == curve["step"]
    assert curve["loss"][:2] == [0.5, 2.5]
    assert len(curve["loss"]) == 200
    assert set(curve) == {"step", "loss"}


@pytest.mark.parametrize("family", sorted(OBJECTIVES))
def test_one_batch_overfits(family):
    torch.manual_seed(0)
    cfg = Config(family=family, network=CONFIGS[CLASSES[family]], p_label_dropout=0.0)
    model = digits_config.make_model(cfg)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    found = []
    for step in range(150):
        terms = OBJECTIVES[family](cfg, model, model, a_batch(step=step), step)
        optimizer.zero_grad()
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        found.append(float(terms["loss"].detach()))
    first, last = np.mean(found[:3]), np.mean(found[-10:])
    assert last < (0.5 if family == "diffusion" else 0.25) * first


def test_generator_and_discriminator_fit_one_batch():
    torch.manual_seed(0)
    generator, critic, batch = GAN(CONFIGS[GAN]), Discriminator(8), a_batch()
    z = batch.noise.normal(4)
    optimizer = torch.optim.AdamW(critic.parameters(), 2e-3)
    before = torch.zeros(())
    for step in range(40):
        fake = generator(z, batch.labels).sigmoid().detach()
        loss = losses.discriminator_loss(critic(batch.x, batch.labels), critic(fake, batch.labels))
        before = loss.detach() if step == 0 else before
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2 * before
    optimizer = torch.optim.AdamW(generator.parameters(), 5e-3)
    for _ in range(60):
        loss = losses.generator_loss(critic(generator(z, batch.labels).sigmoid(), batch.labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5


@pytest.mark.parametrize("family", sorted(OBJECTIVES))
def test_a_gradient_reaches_every_parameter(family):
    cfg = Config(family=family, network=CONFIGS[CLASSES[family]], p_label_dropout=0.3)
    model = tiny(CLASSES[family]).train()
    batch = Batch(images(32), torch.arange(32) % 10, Noise(0, 0, 32, slice(None), CPU))
    OBJECTIVES[family](cfg, model, model, batch, 10)["loss"].backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_a_gradient_reaches_every_parameter_of_the_gan():
    generator, critic = tiny(GAN).train(), randomized(Discriminator(4)).train()
    batch = Batch(images(20), torch.arange(20) % 10, Noise(0, 0, 20, slice(None), CPU))
    fake = generator(batch.noise.normal(4), batch.labels).sigmoid()
    loss = losses.generator_loss(critic(fake, batch.labels))
    loss = loss + losses.r1_penalty(critic, batch.x, batch.labels)
    loss = loss + losses.discriminator_loss(
        critic(batch.x, batch.labels), critic(fake, batch.labels)
    )
    loss.backward()
    for network in (generator, critic):
        silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not silent


def test_the_elbo_equals_torch_distributions():
    torch.manual_seed(0)
    logits, x = torch.randn(2, 1, 28, 28), (images(2) > 0.5).float()
    mu, logvar = torch.randn(2, 2, 5)
    terms = losses.elbo(VAEOutput(logits, DiagonalGaussian(mu, logvar)), x, 0.7)
    log_p = torch.distributions.Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
    q = torch.distributions.Normal(mu, (logvar / 2).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(terms["loss"], (-log_p + 0.7 * kl).mean())


def test_reconstruction_terms_differ_as_they_say():
    logits, x = torch.randn(2, 1, 28, 28), images(2)
    mse = losses.reconstruction_loss(logits, x, "mse")
    torch.testing.assert_close(losses.reconstruction_loss(logits, x, "mean-mse") * 784, mse)
    squared = F.mse_loss(logits.sigmoid(), x, reduction="none")
    weighted = (squared * (1 + losses.INK_WEIGHT * x)).flatten(1).sum(1)
    torch.testing.assert_close(losses.reconstruction_loss(logits, x, "wmse"), weighted)


def test_r1_is_the_gradients_squared_norm():
    class Linear(torch.nn.Module):
        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return (3 * x).flatten(1).sum(1) + labels

    penalty = losses.r1_penalty(Linear(), images(4), torch.zeros(4, dtype=torch.long))
    assert float(penalty) == pytest.approx(9 * 784)


def test_the_mean_over_pixels_makes_the_posterior_collapse():
    torch.manual_seed(0)
    found = {}
    for recon in ("mse", "mean-mse"):
        cfg = Config(network=VAEConfig("dense", 2, 16, features=8), recon=recon)
        model = digits_config.make_model(cfg)
        optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
        for step in range(120):
            terms = OBJECTIVES["vae"](cfg, model, model, a_batch(step=step), step)
            optimizer.zero_grad()
            terms["loss"].backward()
            optimizer.step()
        found[recon] = float(terms["kl"].detach())
    assert found["mean-mse"] < 0.05
    assert found["mse"] > 1.0


def test_batches_are_the_same_for_any_number_of_processes():
    rng = np.random.default_rng(0)
    dataset = DigitDataset(rng.integers(0, 256, (50, 28, 28), np.uint8), np.arange(50) % 10, 3)
    whole = dataset.batch(4, 8, CPU)
    parts = [dataset.batch(4, 8, CPU, process, 2) for process in range(2)]
    assert torch.equal(torch.cat([p.x for p in parts]), whole.x)
    assert torch.equal(torch.cat([p.labels for p in parts]), whole.labels)
    noise = torch.cat([p.noise.normal(3) for p in parts])
    assert torch.equal(noise, whole.noise.normal(3))


def test_an_epoch_shows_each_picture_once():
    images_, labels = np.zeros((24, 28, 28), np.uint8), np.arange(24)
    dataset = DigitDataset(images_, labels, 0)
    epochs = [
        sorted(int(i) for step in part for i in dataset.batch(step, 8, CPU).labels)
        for part in (range(3), range(3, 6))
    ]
    assert epochs[0] == epochs[1] == list(range(24))
    orders = [dataset.batch(step, 8, CPU).labels.tolist() for step in (0, 3)]
    assert orders[0] != orders[1]


def test_masks_have_their_frequencies_and_sizes():
    masks = sample_masks(Noise(0, 0, 4_000, slice(None), CPU)).flatten(1)
    hidden = masks.sum(1)
    for observed, size in enumerate((784, 588, 392, 196)):
        assert float((hidden == size).float().mean()) == pytest.approx(P_KINDS[observed], abs=0.03)
    assert hidden.min() >= 64
    assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_class_density_is_fitted_where_there_is_one():
    model = tiny(VAE)
    pixels = np.random.default_rng(0).integers(0, 256, (200, 28, 28), np.uint8)
    fit_class_density(model, pixels, torch.arange(200) % 10)
    assert model.class_density.mean.abs().max() > 0
    fit_class_density(tiny(CVAE), pixels, torch.arange(200) % 10)


def test_every_released_recipe_is_the_command_on_its_card():
    script = "training/train_digits.py"
    for name, recipe in RELEASED.items():
        assert parse(Config, RELEASED, ["--recipe", name]) == recipe
        assert command(script, recipe, RELEASED, IGNORED) == f"python {script} --recipe {name}"
        assert recipe.out_dir.name == recipe.run_dir.name == name
    changed = replace(RELEASED["digits-latent2-conv-mse"], seed=3, binarize=True)
    words = command(script, changed, RELEASED, IGNORED).split()[2:]
    assert parse(Config, RELEASED, words) == changed


def test_released_models_fit_their_budget():
    sizes = {}
    for name, recipe in RELEASED.items():
        model = VQ() if recipe.family == "vq" else digits_config.make_model(recipe)
        sizes[name] = sum(p.numel() for p in model.state_dict().values())
    assert max(sizes.values()) <= 1_500_000
    assert 2 * sum(sizes.values()) <= 8 * 2**20


def test_the_vq_is_joined_from_two_checkpoints(tmp_path):
    model = tiny(VQ).half().float()
    checkpoint.save(tmp_path / "codes-digits", model.vqvae)
    checkpoint.save(tmp_path / "prior-digits", model.prior)
    train_digits.main(
        Config(
            family="vq",
            run_dir=tmp_path / "run",
            out_dir=tmp_path / "digits-vq",
            vqvae_dir=tmp_path / "codes-digits",
            prior_dir=tmp_path / "prior-digits",
        )
    )
    joined = checkpoint.load(tmp_path / "digits-vq")
    assert torch.equal(joined.sample(2, 3), model.sample(2, 3))


def test_bad_settings_are_one_sentence(data_dir, tmp_path):
    with pytest.raises(ValueError, match="family ae must be AutoencoderConfig, not VAEConfig"):
        train_digits.main(config(data_dir, tmp_path, "ae", network=VAEConfig()))
    with pytest.raises(ValueError, match="steps, batch_size"):
        Config(steps=0)


def test_precision_and_recall_of_known_sets():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(400, 3, generator=generator)
    same = torch.randn(400, 3, generator=generator)
    precision, recall = precision_recall(real, same)
    assert precision > 0.85
    assert recall > 0.85
    assert precision_recall(real, real + 100) == (0.0, 0.0)
    half = real[real[:, 0] > 0]
    precision, recall = precision_recall(real, half)
    assert precision == 1.0
    assert 0.4 < recall < 0.8
    radius = torch.cdist(real[:1], real).sort().values[0, 3]
    inside = real[:1] + 0.99 * radius * torch.nn.functional.normalize(torch.ones(1, 3))
    assert precision_recall(real, inside.repeat(5, 1))[0] == 1.0
    with pytest.raises(ValueError, match="need more than 3 points in each set, not 400 and 2"):
        precision_recall(real, real[:2])
