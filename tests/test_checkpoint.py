"""Laws of saving and loading: nothing is lost, nothing damaged is accepted."""

import contextlib
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models import checkpoint
from models.checkpoint import CheckpointError


@dataclass(frozen=True)
class TinyConfig:
    labels: tuple[str, ...] = ("cat", "sun")
    width: int = 3

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"width must be positive: {self.width}")


class Tiny(nn.Module):
    config_class = TinyConfig

    def __init__(self, config: TinyConfig):
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(len(config.labels), config.width, 3)
        self.norm = nn.BatchNorm2d(config.width)  # has an integer and buffers
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)


MODELS = (Tiny,)


def tiny(seed: int = 0, **config) -> Tiny:
    torch.manual_seed(seed)
    model = Tiny(TinyConfig(**config)).to(memory_format=torch.channels_last)
    model.norm.num_batches_tracked.fill_(100_003)  # half precision would round it
    return model


def same(model: nn.Module, saved: nn.Module) -> bool:
    """Whether `model` is `saved` rounded to half precision, bit for bit."""
    state, other = model.state_dict(), saved.state_dict()
    return state.keys() == other.keys() and all(
        torch.equal(state[k], v.half().float() if v.is_floating_point() else v)
        for k, v in other.items()
    )


def replace_weights(folder: Path, weights: bytes) -> None:
    """Replace the weights and state their own hash in config.json."""
    (folder / "model.safetensors").write_bytes(weights)
    description = json.loads((folder / "config.json").read_text())
    description["sha256"] = hashlib.sha256(weights).hexdigest()
    (folder / "config.json").write_text(json.dumps(description))


def alter_saved(folder: Path, change) -> None:
    """Save tensors and description again after `change(tensors, description)`."""
    tensors = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    description = json.loads((folder / "config.json").read_text())
    change(tensors, description)
    (folder / "config.json").write_text(json.dumps(description))
    del description["sha256"]
    replace_weights(
        folder, safetensors.torch.save(tensors, {"description": json.dumps(description)})
    )


@pytest.fixture(autouse=True, scope="module")
def stem():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(checkpoint.MODULES, "tiny", __name__)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "tiny", tiny())
    return tmp_path / "tiny"


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("root") / "tiny"
    checkpoint.save(path, tiny())
    return path


def test_round_trip_is_the_model_in_half_precision(folder: Path):
    before = torch.random.get_rng_state()
    model = checkpoint.load("tiny", folder.parent)
    assert torch.equal(before, torch.random.get_rng_state())
    assert same(model, tiny())
    assert model.config == TinyConfig()
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.scale == 2
    checkpoint.save(folder.parent / "tiny-again", model)
    again = folder.parent / "tiny-again" / "model.safetensors"
    assert again.read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_path_is_any_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    folder.rename(folder.parent / "Elsewhere")
    monkeypatch.chdir(folder.parent)
    assert same(checkpoint.load(Path("Elsewhere")), tiny())


def test_metrics_and_card_are_written_and_kept(folder: Path):
    checkpoint.save(folder, tiny(), {"accuracy": 0.5}, "# Tiny ×\n")
    checkpoint.save(folder, tiny(1))
    assert json.loads((folder / "metrics.json").read_text()) == {"accuracy": 0.5}
    assert (folder / "README.md").read_text(encoding="utf-8") == "# Tiny ×\n"
    assert same(checkpoint.load("tiny", folder.parent), tiny(1))
    names = {"README.md", "config.json", "metrics.json", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == names


@given(data=st.data())
def test_a_flipped_byte_is_refused_or_harmless(shared_folder: Path, data: st.DataObject):
    path = shared_folder / data.draw(st.sampled_from(["config.json", "model.safetensors"]))
    good = path.read_bytes()
    bad = bytearray(good)
    bad[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bad)
    try:
        assert same(checkpoint.load(shared_folder), tiny())
    except CheckpointError:
        pass
    finally:
        path.write_bytes(good)


@given(data=st.data())
def test_a_truncated_file_is_refused(shared_folder: Path, data: st.DataObject):
    path = shared_folder / data.draw(st.sampled_from(["config.json", "model.safetensors"]))
    good = path.read_bytes()
    path.write_bytes(good[: data.draw(st.integers(0, len(good) - 2))])  # the last is a newline
    try:
        with pytest.raises(CheckpointError, match=path.name):
            checkpoint.load(shared_folder)
    finally:
        path.write_bytes(good)


@given(data=st.data())
def test_a_damaged_header_with_a_correct_hash_is_refused(shared_folder: Path, data: st.DataObject):
    good = {path: path.read_bytes() for path in shared_folder.iterdir()}
    weights = bytearray(good[shared_folder / "model.safetensors"])
    end = 8 + int.from_bytes(weights[:8], "little")
    weights[data.draw(st.integers(0, end - 1))] ^= data.draw(st.integers(1, 255))
    replace_weights(shared_folder, bytes(weights))
    try:
        assert same(checkpoint.load(shared_folder), tiny())
    except CheckpointError:
        pass
    finally:
        for path, content in good.items():
            path.write_bytes(content)


def _drop(tensors, _):
    del tensors["conv.bias"]


def _add(tensors, _):
    tensors["extra"] = torch.zeros(1)


def _reshape(tensors, _):
    tensors["conv.bias"] = torch.zeros(4, dtype=torch.float16)


def _retype(tensors, _):
    tensors["conv.bias"] = torch.zeros(3)


def _nan(tensors, _):
    tensors["conv.bias"][1] = float("nan")


def _unknown_key(_, description):
    description["config"]["depth"] = 3


def _unknown_class(_, description):
    description["model"] = "os.system"


def _bad_value(_, description):
    description["config"]["width"] = -1


def _wrong_type(_, description):
    description["config"]["width"] = "3"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_drop, r"conv.bias must be \(3,\) float16, got nothing \(1 of 7"),
        (_add, r"extra must be absent, got \(1,\) float32"),
        (_reshape, r"conv.bias must be \(3,\) float16, got \(4,\) float16"),
        (_retype, r"conv.bias must be \(3,\) float16, got \(3,\) float32"),
        (_nan, "not finite in conv.bias"),
        (_unknown_key, r"does not know: \['depth'\]"),
        (_unknown_class, "'os.system', but there is only Tiny"),
        (_bad_value, "width must be positive: -1"),
        (_wrong_type, "a value that Tiny refuses"),
    ],
)
def test_altered_weights_with_their_own_hash_are_refused(folder: Path, change, words: str):
    alter_saved(folder, change)
    with pytest.raises(CheckpointError, match=words):
        checkpoint.load("tiny", folder.parent)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "got list"),
        ('{"model": "Tiny"}', r"got \['model'\]"),
        ('{"model": "Tiny", "config": [], "sha256": ""}', "must be an object"),
        ('{"model": "Tiny", "config": {}, "sha256": 7}', "incomplete or altered"),
    ],
)
def test_a_broken_config_is_refused(folder: Path, text: str, words: str):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        checkpoint.load("tiny", folder.parent)


def test_a_changed_config_is_refused(folder: Path):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"sun"', '"pig"'))
    with pytest.raises(
        CheckpointError, match=r"not the one that model\.safetensors was saved with"
    ):
        checkpoint.load("tiny", folder.parent)


def test_missing_files_say_what_to_do(folder: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"train it \(docs/training\.md"):
        checkpoint.load("sketch-small", tmp_path)
    with pytest.raises(FileNotFoundError, match="name holds 'sketch'"):
        checkpoint.load("nothing", tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="there is no file"):
        checkpoint.load("tiny", tmp_path)


@pytest.mark.parametrize(
    "name", ["../tiny", "/tiny", "tiny/../tiny", "", ".", "tiny\0", "Tiny", "a" * 999]
)
def test_a_name_cannot_leave_the_root(folder: Path, name: str):
    with pytest.raises(CheckpointError, match="is no checkpoint's name: give"):
        checkpoint.load(name, folder.parent)


def test_weights_beyond_half_precision_are_not_saved(folder: Path):
    model = tiny(1)
    for value in (1e5, float("nan"), float("inf")):
        nn.init.constant_(model.conv.bias, value)
        with pytest.raises(CheckpointError, match=r"conv\.bias cannot be saved"):
            checkpoint.save(folder, model)
    assert same(checkpoint.load("tiny", folder.parent), tiny())


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_full_disk_loses_nothing(folder: Path, after: int, monkeypatch: pytest.MonkeyPatch):
    sync, calls = os.fsync, iter(range(9))

    def full(descriptor: int) -> None:
        if next(calls) == after:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="the disk is full; free some space"):
        checkpoint.save(folder, tiny(1), {"a": 1}, "card")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "tiny").write_text("a file")
    with pytest.raises(CheckpointError, match="tiny: File exists"):
        checkpoint.save(tmp_path / "tiny", tiny())


class Killed(BaseException):
    """Stops the process's own cleaning up, as kill -9 does."""


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("second", range(4))
def test_a_save_interrupted_anywhere_leaves_a_complete_checkpoint(
    folder: Path, first: int, second: int, monkeypatch: pytest.MonkeyPatch
):
    """Two interrupted saves in a row, then a complete one; the folder can be loaded after each."""
    replace = Path.replace
    expected = [tiny(), tiny(1), tiny(2)]
    for seed, cut in ((1, first), (2, second)):
        calls = iter(range(9))

        def cut_short(path: Path, target: Path, cut: int = cut, calls=calls) -> None:
            if next(calls) == cut:
                raise Killed
            replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", cut_short)
            with contextlib.suppress(Killed):
                checkpoint.save(folder, tiny(seed))
        loaded = checkpoint.load("tiny", folder.parent)
        assert any(same(loaded, model) for model in expected[: seed + 1])
    checkpoint.save(folder, tiny(3))
    assert same(checkpoint.load("tiny", folder.parent), tiny(3))
    assert not (folder / checkpoint.BACKUP).exists()


def test_kill_9_between_the_files_leaves_the_old_checkpoint(folder: Path):
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from models import checkpoint
from tests import test_checkpoint
replace = Path.replace
def kill(path, target):
    if target.name == "config.json":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(path, target)
Path.replace = kill
checkpoint.save(Path({str(folder)!r}), test_checkpoint.tiny(1))
"""
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", script], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    assert torch.equal(weights["conv.weight"], tiny(1).conv.weight.half())  # the cut save's
    assert same(checkpoint.load("tiny", folder.parent), tiny())
