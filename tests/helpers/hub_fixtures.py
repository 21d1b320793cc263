"""Shared by the tests of publishing, cards and releases: an empty Hub, two small checkpoints."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import file_download as downloads
from huggingface_hub.utils import _http

from models import checkpoint, hub
from tests.helpers import fake_hub
from tests.helpers.fake_hub import FakeHub
from tests.test_checkpoint import tiny
from training import publish
from training.publish import Config

# huggingface_hub 2.4 sends files in a way that httpx2 would like it not to.
IGNORE_HTTPX_WARNING = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
HOME = checkpoint.ROOT.parent
REPO = "me/latent-studio"
CARD = "---\nlicense: cc-by-4.0\ntags: [quickdraw]\n---\n# Tiny\n\n- Command: `python x --seed 3`\n"


@contextmanager
def empty_hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[FakeHub]:
    """An empty Hub, and no time lost between tries."""
    at_once = SimpleNamespace(sleep=lambda _: None, time=time.time)
    monkeypatch.setattr(_http, "time", at_once)
    monkeypatch.setattr(downloads, "time", at_once)
    monkeypatch.setattr(hub, "BACKOFF_S", 0.0)
    monkeypatch.setitem(checkpoint.MODULES, "tiny", "tests.test_checkpoint")
    with fake_hub.serving() as served:
        fake_hub.point_at(served, monkeypatch, cache)
        yield served


def two_checkpoints(folder: Path) -> Path:
    """Two checkpoints, one of them large enough to be cut."""
    metrics = {"split": "test", "reconstruction": {"psnr": 20.0}}
    for name, width in (("tiny", 3), ("tiny-wide", 4_000)):
        checkpoint.save(folder / name, tiny(width=width), metrics, CARD)
    return folder


def publish_root(root: Path, **settings) -> None:
    publish.main(Config(REPO, checkpoints=root, **settings))


def content(folder: Path) -> dict[str, bytes]:
    """The files of a checkpoint, without the lock file of a training run."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def clone_without_weights(root: Path) -> Path:
    """What a clone without weights has."""
    clone = root.with_name("clone")
    clone.mkdir()
    shutil.copy(root / "releases.json", clone)
    return clone


def files_at_head(hub_server: FakeHub, name: str = REPO) -> dict[str, bytes]:
    return hub_server.repos[name].commits[-1][1]
