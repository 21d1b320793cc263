"""Anyone's VQ model gives what diffusers itself gives, and takes every edit of codes."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from models.checkpoint import CheckpointError
from models.codes import edit_script, edits, pretrained
from models.codes.edit_script import Codebook
from models.codes.pretrained import CONFIG, FP16, INDEX, WEIGHTS, PretrainedVQ, load
from tests.helpers.random_weights import randomized
from training.engine.torchvision_import import import_torchvision

import_torchvision()  # diffusers imports it as well, and beside a CPU torch that may fail
VQModel = importlib.import_module("diffusers").VQModel

KINDS = {
    "plain": {},
    "its own dim": {"vq_embed_dim": 7},
    "movq": {"norm_type": "spatial"},
    "aMUSEd": {"lookup_from_codebook": True, "mid_block_add_attention": False},
}


def made(**changes: object) -> VQModel:
    """A small VQModel whose codes differ from place to place."""
    settings = {
        "block_out_channels": (32, 32, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "latent_channels": 4,
        "num_vq_embeddings": 19,
        "norm_num_groups": 4,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomized(VQModel(**settings | changes), 0.2)


def saved(folder: Path, **changes: object) -> Path:
    made(**changes).save_pretrained(folder)
    return folder


def photographs() -> torch.Tensor:
    return torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PretrainedVQ:
    return load(saved(tmp_path_factory.mktemp("plain")))


@pytest.mark.parametrize("kind", KINDS)
def test_codes_and_pictures_are_those_of_diffusers(kind, tmp_path):
    theirs, ours, x = made(**KINDS[kind]), load(saved(tmp_path, **KINDS[kind])), photographs()
    centred = kind != "aMUSEd"  # as its pipelines feed it
    with torch.inference_mode():
        z_e = theirs.encode(x * 2 - 1 if centred else x).latents
        z_q, _, (_, _, numbers) = theirs.quantize(z_e)
        decoded = theirs.decode(z_e).sample
        if not centred:
            again = theirs.decode(numbers, force_not_quantize=True, shape=(2, 6, 10, 4)).sample
            torch.testing.assert_close(again, decoded)
    codes = ours.encode(x)
    assert torch.equal(codes, numbers.view(2, 6, 10))
    assert len(codes.unique()) > 3
    torch.testing.assert_close(ours.lookup(codes), z_q)
    expected = (decoded / 2 + 0.5 if centred else decoded).clamp(0, 1)
    torch.testing.assert_close(ours.decode(codes), expected, atol=1e-4, rtol=0)
    assert expected.std() > 0.05
    assert (ours.config.num_codes, ours.config.code_dim) == tuple(ours.codebook.shape)
    assert (ours.config.cell_size, ours.config.channels) == (4, 3)


def test_the_nearest_is_found_in_parts(model, monkeypatch):
    whole = model.encode(photographs())
    monkeypatch.setattr(pretrained, "CHUNK_CELLS", 7)
    assert torch.equal(model.encode(photographs()), whole)


CHAINS = [
    *("shift 2 -1 wrap", "shift -1 1 border", "shift 1 0 fill", "rotate 2", "flip x", "flip y"),
    *("splice 3 x", "splice 2 y", "transplant 0 0 2 3 1 1", "negate", "negate nearest"),
    *("replace 3 7", "paint 7 0,0 1,0", "cells 0,0=7 1,0=9", "rotate 1"),
]


@pytest.mark.parametrize("text", CHAINS)
def test_every_edit_can_be_drawn(model, text):
    first, second = model.encode(photographs())
    book = Codebook(model.codebook, background=0)
    edited = edit_script.apply(edit_script.parse(text), first, second, book)
    vectors = book.signed_vectors()[edited].permute(2, 0, 1)[None]
    drawn = model.decode_latents(vectors)
    assert drawn.shape[2:] == (4 * edited.shape[0], 4 * edited.shape[1])
    assert not torch.equal(drawn, model.decode(first[None]))
    if text != "negate":
        torch.testing.assert_close(drawn, model.decode(edited[None]))


def test_every_edit_has_its_chain():
    assert {text.split()[0] for text in CHAINS} == set(edit_script.OPS)


def test_a_codebook_of_opposites_permutes(model):
    codes = model.encode(photographs())
    table = edits.opposites(model.codebook)
    assert torch.equal(edits.permute(codes, table), table[codes])


def test_a_pipeline_is_searched_for_its_part(tmp_path, model):
    (tmp_path / "model_index.json").write_text("{}")
    saved(tmp_path / "movq")
    again = load(tmp_path)
    assert torch.equal(again.codebook, model.codebook)


def test_a_half_precision_file_is_computed_in_full(tmp_path):
    made().half().save_pretrained(tmp_path)
    again = load(tmp_path)
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    torch.testing.assert_close(again.codebook, made().quantize.embedding.weight, atol=1e-3, rtol=0)


def test_loading_leaves_the_global_random_state(tmp_path):
    saved(tmp_path)
    before = torch.get_rng_state()
    load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub cache of one repository, and no way out."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository, commit = tmp_path / "models--some--one", 40 * "a"
    saved(repository / "snapshots" / commit / "vqvae")
    (repository / "refs").mkdir()
    for name in ("main", "v1"):
        (repository / "refs" / name).write_text(commit)


@pytest.mark.usefixtures("hub")
def test_a_hub_id_is_found_in_the_cache_without_a_connection(model):
    for again in (load("some/one"), load("some/one", "v1"), load("some/one", 40 * "a")):
        assert torch.equal(again.codebook, model.codebook)
    with pytest.raises(CheckpointError, match=r"cannot download some/other .*no copy is cached"):
        load("some/other")
    with pytest.raises(CheckpointError, match="cannot download some/one"):
        load("some/one", "v2")
    with pytest.raises(CheckpointError, match="'/etc/some/where' is not a Hub id: give owner/name"):
        load("/etc/some/where")


def test_no_more_than_needed_is_downloaded(tmp_path, monkeypatch):
    asked = {}

    def download(source: str, **settings: object) -> str:
        asked.update(settings, source=source)
        return str(saved(tmp_path / "there"))

    monkeypatch.setattr(pretrained.huggingface_hub, "snapshot_download", download)
    load("some/one", "v3")
    assert (asked["source"], asked["revision"]) == ("some/one", "v3")
    allowed = asked["allow_patterns"]
    for name in (
        CONFIG,
        WEIGHTS,
        INDEX,
        FP16,
        "diffusion_pytorch_model-00001-of-00002.safetensors",
    ):
        assert any(Path("vqvae", name).match(pattern) for pattern in allowed)
    for name in ("diffusion_pytorch_model.bin", "README.md", "model.ckpt"):
        assert not any(Path("vqvae", name).match(pattern) for pattern in allowed)


def in_parts(folder: Path) -> list[Path]:
    """The weights of a saved model in several files, as large ones are published."""
    (folder / WEIGHTS).unlink()
    made().save_pretrained(folder, max_shard_size="100KB")
    parts = sorted(folder.glob("diffusion_pytorch_model-*.safetensors"))
    assert len(parts) > 1
    return parts


def leave_folder(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    names = dict.fromkeys(index["weight_map"], "../one.safetensors")
    (folder / INDEX).write_text(json.dumps(index | {"weight_map": names}))


def test_weights_in_several_files_are_read(tmp_path, model):
    in_parts(saved(tmp_path))
    x = photographs()
    assert torch.equal(load(tmp_path).encode(x), model.encode(x))


@pytest.mark.parametrize("sharded", [False, True])
def test_a_half_precision_variant_is_read_where_there_is_no_other(tmp_path, model, sharded):
    size = {"max_shard_size": "100KB"} if sharded else {}
    made().half().save_pretrained(tmp_path, variant="fp16", **size)
    assert not (tmp_path / WEIGHTS).exists()
    again = load(tmp_path)
    torch.testing.assert_close(again.codebook, model.codebook, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["vae", "vqgan", "vqvae"])
def test_a_pipeline_may_call_its_part_otherwise(tmp_path, model, name):
    saved(tmp_path / name)
    assert torch.equal(load(tmp_path).codebook, model.codebook)


def change(folder: Path, **entries: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | entries))


def edited(folder: Path, *, drop: str = "", add: str = "", spoil: str = "") -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors.pop(drop, None)
    if add:
        tensors[add] = torch.zeros(1)
    if spoil:
        tensors[spoil][0] = torch.nan
    save_file(tensors, folder / WEIGHTS)


SPOILT = {
    "another class": (
        lambda f: change(f, _class_name="UNet2DModel"),
        "it holds UNet2DModel",
    ),
    "a continuous autoencoder": (
        lambda f: change(f, _class_name="AutoencoderKL"),
        "an AutoencoderKL, whose latents are continuous",
    ),
    "a list": (lambda f: (f / CONFIG).write_text("[]"), "it holds no class name: give"),
    "no JSON": (lambda f: (f / CONFIG).write_text("{"), "config.json cannot be read"),
    "no config": (lambda f: (f / CONFIG).unlink(), "no config.json in it, nor in vqvae"),
    "pickled": (
        lambda f: (f / WEIGHTS).rename(f / "pytorch_model.bin"),
        "loaded; ask its author",
    ),
    "a part missing": (lambda f: in_parts(f)[1].unlink(), r"00002-of-\d+.safetensors is missing"),
    "an index that leaves the folder": (
        lambda f: (in_parts(f), leave_folder(f)),
        r"\.\./one.safetensors is missing",
    ),
    "a broken index": (
        lambda f: (in_parts(f), (f / INDEX).write_text("{}")),
        "index.json cannot be read",
    ),
    "cut off": (lambda f: (f / WEIGHTS).write_bytes(b"abc"), "diffusers cannot load it"),
    "wrong sizes": (lambda f: change(f, num_vq_embeddings=7), "diffusers cannot load it"),
    "wrong values": (lambda f: change(f, norm_num_groups=5), "diffusers cannot load it"),
    "grey": (lambda f: saved(f, in_channels=1), "has 1 input and 3 output channels"),
    "a tensor less": (lambda f: edited(f, drop="quant_conv.bias"), r"quant_conv.bias \(1 tensors"),
    "a tensor more": (lambda f: edited(f, add="extra"), r"extra \(1 tensors differ"),
    "NaN": (lambda f: edited(f, spoil="quant_conv.bias"), "not finite"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_cannot_be_used_is_told_in_one_sentence(name, tmp_path):
    spoil, text = SPOILT[name]
    spoil(saved(tmp_path))
    with pytest.raises(CheckpointError, match=text) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_extra_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(CheckpointError, match=r"pip install 'latent-studio\[pretrained\]'"):
        load(saved(tmp_path))


def test_a_package_that_breaks_diffusers_is_named(tmp_path, monkeypatch):
    class Broken(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(f"no {name}:\nlook up") from OSError("torchvision::nms is missing")

    folder = saved(tmp_path)
    monkeypatch.setitem(sys.modules, "diffusers", Broken("diffusers"))
    with pytest.raises(CheckpointError, match=r"imported \(torchvision::nms is missing\): repair"):
        load(folder)


BAD_IMAGES = {
    "no multiple": (torch.zeros(1, 3, 24, 42), "multiples of 4 px, not 24 x 42"),
    "grey": (torch.zeros(1, 1, 24, 40), r"must be \(b, 3, height, width\)"),
    "none": (torch.zeros(0, 3, 24, 40), r"must be \(b, 3, height, width\)"),
    "bytes": (torch.zeros(1, 3, 24, 40, dtype=torch.uint8), "floats"),
    "NaN": (torch.full((1, 3, 24, 40), torch.nan), "without NaN"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images_are_refused(model, name):
    images, text = BAD_IMAGES[name]
    with pytest.raises(ValueError, match=text):
        model.encode(images)


def test_bad_codes_are_refused(model):
    with pytest.raises(ValueError, match="codes must be 0 to 18, not 19 to 19"):
        model.decode(torch.full((1, 2, 2), 19))
