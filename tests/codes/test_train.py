"""Training and evaluation of VQ-VAEs and priors, on a few images."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models import checkpoint
from models.classifiers import DigitClassifier, DigitClassifierConfig
from models.codes.prior import CodesPriorConfig
from models.codes.vqvae import VQVAE, VQVAEConfig
from tests.helpers.faces import with_random_photos, write_celeba
from tests.helpers.fake_datasets import write_mnist
from tests.helpers.interrupted_runs import INTERRUPTIONS, run_interrupted, run_outputs
from tests.helpers.launch import launch
from tests.helpers.random_weights import randomized
from training import train_codes, train_codes_prior
from training.codes import config as codes_config
from training.codes import dataset, evaluate
from training.codes.config import PRIOR_RECIPES, RECIPES, Config, PriorConfig
from training.codes.losses import entropy_loss, vqvae_loss
from training.data import mnist
from training.engine import cli
from training.engine.run_state import load_state
from training.imagenet_features import load_imagenet_features
from training.perceptual import perceptual_loss

TINY = VQVAEConfig(28, 1, (4, 8), 1, num_codes=6, code_dim=3, class_names=mnist.NAMES)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_mnist(folder, {"train": mnist.VALID + 40, "test": 30})
    with_random_photos(write_celeba(folder / "celeba", 24))
    return folder


def config(data_dir: Path, run: Path, **changes: object) -> Config:
    base = Config(
        data_dir=data_dir,
        model=TINY,
        out_dir=run / "codes-digits",
        run_dir=run,
        steps=11,
        batch_size=4,
        restart_every=2,
        dead_threshold=0.5,
        log_every=1,
        save_every=2,
    )
    return replace(base, **changes)


def prior_config(data_dir: Path, run: Path, vqvae_dir: Path, **changes: object) -> PriorConfig:
    base = PriorConfig(
        data_dir=data_dir,
        vqvae_dir=vqvae_dir,
        model=CodesPriorConfig(width=8, heads=2, layers=1),
        out_dir=run / "prior-digits",
        run_dir=run,
        steps=11,
        batch_size=4,
        log_every=1,
        save_every=2,
    )
    return replace(base, **changes)


def one_step(stem: str, data_dir: Path, run: Path, vqvae_dir: Path) -> None:
    """The first step of a training script in float32, without restarts of dead codes."""
    once = {"steps": 1, "precision": "no"}
    if stem == "codes":
        train_codes.main(config(data_dir, run, dead_threshold=0.0, **once))
    else:
        train_codes_prior.main(prior_config(data_dir, run, vqvae_dir, **once))


@pytest.mark.parametrize(
    ("ema_codebook", "stop"),
    [(True, INTERRUPTIONS[0]), (False, INTERRUPTIONS[0]), (True, INTERRUPTIONS[1])],
)
def test_a_resumed_vqvae_equals_the_uninterrupted_one(
    data_dir, tmp_path, monkeypatch, ema_codebook, stop
):
    train_codes.main(config(data_dir, tmp_path / "whole", ema_codebook=ema_codebook))
    stops = run_interrupted(
        monkeypatch,
        *stop,
        lambda: train_codes.main(config(data_dir, tmp_path / "broken", ema_codebook=ema_codebook)),
    )
    assert stops >= 3
    broken, whole = (run_outputs(tmp_path / name, "codes-digits") for name in ("broken", "whole"))
    assert broken == whole


@pytest.mark.parametrize("stem", ["codes", "prior"])
def test_two_processes_have_the_first_gradients_and_codebook_sums_of_one(data_dir, tmp_path, stem):
    checkpoint.save(tmp_path / "codes-fixed", randomized(VQVAE(TINY), 0.3))
    for name, processes in (("one", 1), ("two", 2)):
        folders = data_dir, tmp_path / name, tmp_path / "codes-fixed"
        launch("tests/codes/one_step.py", stem, *folders, processes=processes)
    one, two = (load_state(tmp_path / name / "state.pt", {}) for name in ("one", "two"))
    # After its first step Adam's first moment is (1 - beta1) times the gradient.
    gradients = [
        {i: moments["exp_avg"] for i, moments in state["optimizer"]["state"].items()}
        for state in (one, two)
    ]
    assert any(gradient.any() for gradient in gradients[0].values())
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)
    if stem == "codes":
        assert float(one["ema_codebook"]["counts"].sum()) != len(one["ema_codebook"]["counts"])
        torch.testing.assert_close(one["ema_codebook"], two["ema_codebook"])


def test_the_entropy_loss_of_shards_has_the_gradient_of_the_whole_batch():
    generator = torch.Generator().manual_seed(0)
    z, codebook = (torch.randn(shape, generator=generator) for shape in ((6, 3, 2, 2), (5, 3)))
    whole = z.clone().requires_grad_(True)
    expected = entropy_loss(whole, codebook, 0.5)
    expected.backward()
    gradients = torch.zeros_like(z)
    for rank in range(2):
        part = z[rank::2].clone().requires_grad_(True)
        sent = []  # what the two collective calls average, in order

        def average(tensor, sent=sent):
            sent.append(tensor)
            return _mean_over_shards(z, codebook, len(sent), 0.5)

        loss = entropy_loss(part, codebook, 0.5, average)
        loss.backward()
        torch.testing.assert_close(loss, expected)
        gradients[rank::2] = part.grad / 2  # DDP averages over the processes
    torch.testing.assert_close(gradients, whole.grad)


def _mean_over_shards(z, codebook, call, temperature):
    """The average of the first or second tensor that `entropy_loss` averages, by hand."""
    cells = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
    squared = torch.stack([(cells - vector).square().sum(1) for vector in codebook], 1)
    scale = squared.min(1).values.mean()
    return scale if call == 1 else (-squared / (temperature * scale)).softmax(1).mean(0)


def test_code_counts_are_those_of_the_training_images(data_dir, tmp_path):
    train_codes.main(config(data_dir, tmp_path))
    model = checkpoint.load(tmp_path / "codes-digits")
    images, _ = dataset.load("digits", data_dir, "train", 28)
    codes = model.encode(torch.from_numpy(images).float() / 255)
    counts = torch.bincount(codes.flatten(), minlength=6)
    # the counts are of float32 weights, the codes here of half-precision ones
    assert int((model.code_counts - counts).abs().sum()) <= 0.02 * codes.numel()
    assert model.background == int(model.code_counts.argmax())


def test_faces_are_trained_on_squared_error_and_perceptual_loss():
    features = load_imagenet_features(3)
    cfg = Config(kind="faces", ema_codebook=False)
    model = randomized(VQVAE(VQVAEConfig(64, 3, (4, 8), 1, num_codes=6, code_dim=3)), 0.1)
    x = torch.rand(2, 3, 64, 64)
    out = model(x)
    losses = vqvae_loss(cfg, out, x, model.codebook, features)
    recon = out.logits.detach().sigmoid()
    torch.testing.assert_close(losses["recon"].detach(), 20 * (recon - x).square().mean())
    maps = [features(image) for image in (recon, x)]
    torch.testing.assert_close(losses["perceptual"].detach(), 0.2 * perceptual_loss(*maps).mean())
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.decoder.parameters())
    without = vqvae_loss(cfg, out, x, model.codebook)
    assert "perceptual" not in without
    torch.testing.assert_close(without["recon"], losses["recon"])


@pytest.mark.parametrize("kind", RECIPES["released"])
@pytest.mark.parametrize(
    ("config_class", "recipes", "card"),
    [
        (Config, RECIPES, codes_config.card),
        (PriorConfig, PRIOR_RECIPES, codes_config.prior_card),
    ],
)
def test_the_cards_command_gives_the_recipe(kind, config_class, recipes, card):
    recipe = recipes["released"][kind]
    args = ["--kind", kind, "--recipe", "released"]
    assert cli.parse(config_class, recipes, args) == recipe
    assert f".py --kind {kind} --recipe released`" in card(recipe, 10, 60.0)
    changed = replace(recipe, steps=7, seed=3)
    assert cli.parse(config_class, recipes, [*args, "--steps", "7", "--seed", "3"]) == changed
    assert f"--kind {kind} --recipe released --steps 7 --seed 3`" in card(changed, 7, 60.0)


def test_a_resumed_prior_equals_the_uninterrupted_one_and_is_evaluated(
    data_dir, tmp_path, monkeypatch
):
    train_codes.main(config(data_dir, tmp_path / "codes"))
    vqvae_dir = tmp_path / "codes" / "codes-digits"
    train_codes_prior.main(prior_config(data_dir, tmp_path / "whole", vqvae_dir))
    for name, stop in zip(("broken", "cut"), INTERRUPTIONS, strict=True):
        cfg = prior_config(data_dir, tmp_path / name, vqvae_dir)
        with monkeypatch.context() as patch:
            stops = run_interrupted(patch, *stop, lambda cfg=cfg: train_codes_prior.main(cfg))
        assert stops >= 3
        broken, whole = (run_outputs(tmp_path / run, "prior-digits") for run in (name, "whole"))
        assert broken == whole
    prior = checkpoint.load(tmp_path / "whole" / "prior-digits")
    shape = prior.config.num_codes, prior.config.grid_size, prior.config.class_names
    assert shape == (6, 7, mnist.NAMES)

    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "codes-digits").symlink_to(vqvae_dir)
    (checkpoints / "prior-digits").symlink_to(tmp_path / "whole" / "prior-digits")
    torch.manual_seed(0)
    classifier = DigitClassifier(DigitClassifierConfig(mnist.NAMES))
    checkpoint.save(checkpoints / "digit-classifier", classifier)
    found = evaluate.evaluate_codes(
        evaluate.Config(data_dir=data_dir, checkpoints=checkpoints, edited=10, samples=2)
    )
    assert found["pictures"] == 30
    assert set(found["edits"]) == set(evaluate.EDITS)
    assert 0 < found["perplexity_over_k"] <= 1
    nats = found["nats_per_code"]
    assert nats["uniform"] == pytest.approx(np.log(6))
    assert nats["unigram"] <= nats["uniform"]
    assert found["completion"]["chance"] == 0.1


def test_a_baseline_of_another_kind_or_split_is_refused(tmp_path):
    path, row = tmp_path / "pythae.json", {"kind": "digits", "split": "valid", "steps": 5}
    path.write_text(json.dumps(row))
    cfg = evaluate.Config(pythae=path, split="valid")
    assert evaluate.read_baselines(cfg) == {"pythae": row}
    assert evaluate.read_baselines(replace(cfg, pythae=None)) == {}
    for other in (replace(cfg, kind="faces"), replace(cfg, split="test")):
        with pytest.raises(ValueError, match="was measured on digits, valid: give one of"):
            evaluate.evaluate_codes(other)


def test_edits_that_are_the_same_on_pixels_have_no_error(data_dir):
    class Plain(VQVAE):
        """One code a grey level; decoding upsamples."""

        def encode(self, x):
            return (x[:, 0, ::4, ::4] * 5).round().long()

        def decode(self, codes):
            return codes[:, None].repeat_interleave(4, 2).repeat_interleave(4, 3) / 5

    x = torch.from_numpy(mnist.load(data_dir, "test")[0])[:, None].float() / 255
    found = evaluate.compare_edits(Plain(TINY), x, np.zeros(30, np.int64), None)
    assert {row["psnr"] for row in found.values()} == {100.0}


def test_faces_are_downsampled_and_mirrored(data_dir):
    images, labels = dataset.load("faces", data_dir, "train", 64)
    assert images.shape[1:] == (3, 64, 64)
    assert not labels.any()
    x = dataset.sample_images(images, "faces", 64, np.random.default_rng(0))
    originals = torch.from_numpy(images).float() / 255
    as_is = (x[:, None] == originals).flatten(2).all(2).any(1)
    mirrored = (x.flip(3)[:, None] == originals).flatten(2).all(2).any(1)
    assert (as_is | mirrored).all()
    assert as_is.any()
    assert mirrored.any()


def test_missing_digits_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="four official files"):
        mnist.load(tmp_path, "train")


@pytest.mark.parametrize("place", ["MNIST/raw", "MNIST", "raw", "."])
@pytest.mark.parametrize("ending", ["-ubyte", "-ubyte.gz", ".idx3-ubyte", ".idx3-ubyte.gz"])
def test_digits_are_found_under_every_name_in_use(data_dir, tmp_path, place, ending):
    images, labels = mnist.load(data_dir, "test")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for kind, rank in (("images", 3), ("labels", 1)):
        name = f"t10k-{kind}-idx{rank}-ubyte.gz"
        data = (data_dir / "MNIST" / "raw" / name).read_bytes()
        name = f"t10k-{kind}" + (ending if "idx" in ending else f"-idx3{ending}")
        name = name.replace("idx3", f"idx{rank}")
        data = data if ending.endswith("gz") else gzip.decompress(data)
        (tmp_path / place / name).write_bytes(data)
    found = mnist.load(tmp_path, "test")
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], labels)


def idx(data: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, data.ndim]) + b"".join(n.to_bytes(4, "big") for n in data.shape)
    return head + data.astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ((30, 32, 32), np.zeros(30), "holds pictures of 32x32 px, and MNIST's are 28x28"),
        ((30, 784), np.zeros(30), "holds pictures of 784 px"),
        ((30, 28, 28), np.arange(30) % 26 + 1, "labels up to 26: .* EMNIST's letters"),
        ((30, 28, 28), np.zeros(29), "30 images and 29 labels"),
    ],
)
def test_what_is_not_mnist_is_told(tmp_path, images, labels, message):
    for name, data in (("images-idx3", np.zeros(images)), ("labels-idx1", labels)):
        (tmp_path / f"t10k-{name}-ubyte").write_bytes(idx(data))
    with pytest.raises(ValueError, match=message):
        mnist.load(tmp_path, "test")


def test_digits_are_read_packed_or_not_and_damage_is_told(data_dir, tmp_path):
    images, labels = mnist.load(data_dir, "test")
    assert images.shape == (30, 28, 28)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (data_dir / "MNIST" / "raw").glob("t10k*"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    again = mnist.load(tmp_path, "test")
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], labels)
    whole = (raw / "t10k-images-idx3-ubyte").read_bytes()
    for bad in (whole[:-1], b"", b"hello, world", whole[:3] + b"\xff" + whole[4:]):
        (raw / "t10k-images-idx3-ubyte").write_bytes(bad)
        with pytest.raises(ValueError, match="no complete IDX file"):
            mnist.load(tmp_path, "test")
    (raw / "t10k-images-idx3-ubyte").unlink()
    (raw / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(ValueError, match="is damaged"):
        mnist.load(tmp_path, "test")
