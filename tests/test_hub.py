"""Pulling a release over HTTP, from a Hub on 127.0.0.1 with every fault we know."""

import contextlib
import json
import socket
from pathlib import Path

import pytest
from huggingface_hub import constants

from models import checkpoint, hub
from models.hub import CheckpointError
from tests.helpers import fake_hub
from tests.helpers.fake_hub import FakeHub
from tests.helpers.hub_fixtures import (
    IGNORE_HTTPX_WARNING,
    REPO,
    clone_without_weights,
    content,
    publish_root,
)
from tests.test_checkpoint import same, tiny

pytestmark = IGNORE_HTTPX_WARNING


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        *((f"{method} /me/latent-studio/resolve/", fault)
          for method in ("HEAD", "GET") for fault in ("429", "500", "reset")),
        *(("GET /lfs/", fault) for fault in ("429", "500", "reset", "cut", "cut off", "alter")),
        ("GET /me/latent-studio/resolve/.*config.json", "cut"),
        ("GET /me/latent-studio/resolve/.*config.json", "cut off"),
        ("GET /me/latent-studio/resolve/.*config.json", "alter"),
    ],
)  # fmt: skip
def test_a_download_survives_one_fault(
    hub_server: FakeHub, root: Path, request_: str, fault: str
) -> None:
    publish_root(root)
    hub_server.faults = [(request_, fault)]
    assert content(hub.pull("tiny-wide", clone_without_weights(root))) == content(
        root / "tiny-wide"
    )
    assert not hub_server.faults


def test_a_file_with_another_hash_is_refused(hub_server: FakeHub, root: Path) -> None:
    publish_root(root)
    clone = clone_without_weights(root)
    hub_server.faults = [("GET /lfs/", "alter")] * 2
    with pytest.raises(CheckpointError, match=r"has the SHA-256 .*altered.*docs/training\.md"):
        checkpoint.load("tiny", clone)
    assert same(checkpoint.load("tiny", clone), tiny())  # nothing bad was kept


@pytest.mark.usefixtures("hub_server")
def test_an_altered_cache_is_fetched_again_or_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_root(root)
    clone = clone_without_weights(root)
    weights = hub.pull("tiny", clone) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"cannot fetch tiny/model\.safetensors"):
        checkpoint.load("tiny", clone)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert same(checkpoint.load("tiny", clone), tiny())


def test_a_cached_checkpoint_needs_no_network(
    hub_server: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_root(root)
    clone = clone_without_weights(root)
    assert same(checkpoint.load("tiny", clone), tiny())
    requests = len(hub_server.requests)
    assert same(checkpoint.load("tiny", clone), tiny())
    assert len(hub_server.requests) == requests
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(checkpoint.load("tiny", clone), tiny())
    with pytest.raises(CheckpointError, match=r"cannot fetch .*offline.*or train it"):
        checkpoint.load("tiny-wide", clone)


def test_without_a_release_the_error_names_training_and_publishing(
    hub_server: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"docs/training\.md.*LATENT_STUDIO_REPO="):
        checkpoint.load("sketch", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"docs/training\.md"):
        checkpoint.load("prior-digits", tmp_path)
    assert not hub_server.requests


def test_another_repository_is_given_by_argument_or_variable(
    hub_server: FakeHub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_root(root)
    first = hub_server.repos[REPO].commits[-1][0]
    checkpoint.save(root / "tiny", tiny(1))
    publish_root(root)
    nothing = tmp_path / "nothing"
    assert same(checkpoint.load("tiny", nothing, f"{REPO}@{first}"), tiny())
    assert same(checkpoint.load("tiny", nothing, REPO), tiny(1))
    assert same(checkpoint.load("tiny", root, f"{REPO}@{first}"), tiny())  # though one is here
    monkeypatch.setenv("LATENT_STUDIO_REPO", f"{REPO}@{first}")
    assert same(checkpoint.load("tiny", nothing), tiny())
    assert same(checkpoint.load("tiny", root), tiny(1))  # the one that is here
    with pytest.raises(CheckpointError, match="404"):
        checkpoint.load("tiny-none", nothing)
    for bad in ("me", "me/a/b", "https://me/a", "me/../..", "me/a@", "me/a b"):
        with pytest.raises(CheckpointError, match=r"is no repository|cannot fetch"):
            checkpoint.load("tiny", nothing, bad)


@pytest.mark.usefixtures("hub_server")
@pytest.mark.parametrize(
    "change",
    [
        lambda pins: pins.pop("revision"),
        lambda pins: pins.update(revision="main"),
        lambda pins: pins.update(repo_id=7),
        lambda pins: pins.update(checkpoints=[]),
        lambda pins: pins["checkpoints"].update(tiny={}),
        lambda pins: pins["checkpoints"]["tiny"].update({"../../x": "0" * 64}),
        lambda pins: pins["checkpoints"]["tiny"].update({"config.json": "0"}),
    ],
)
def test_a_damaged_releases_file_is_refused(root: Path, change) -> None:
    publish_root(root)
    pins = json.loads((root / "releases.json").read_text())
    change(pins)
    clone = clone_without_weights(root)
    (clone / "releases.json").write_text(json.dumps(pins))
    with pytest.raises(CheckpointError, match=r"releases\.json is damaged .*restore it"):
        checkpoint.load("tiny", clone)


def test_a_private_release_needs_the_token(
    hub_server: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_root(root, private=True)
    assert hub_server.repos[REPO].private
    clone = clone_without_weights(root)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(CheckpointError, match=r"401 \(there is no such repository, or the token"):
        checkpoint.load("tiny", clone)
    monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
    assert same(checkpoint.load("tiny", clone), tiny())


@pytest.mark.usefixtures("hub_server")
def test_an_unreachable_hub_is_one_sentence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_root(root)
    clone = clone_without_weights(root)
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", gone)
    template = gone + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(CheckpointError, match=r"cannot fetch tiny/.* or train it") as error:
        checkpoint.load("tiny", clone)
    assert "\n" not in str(error.value)
    with pytest.raises(RuntimeError, match=r"could not publish to .*the same command continues"):
        publish_root(root)
