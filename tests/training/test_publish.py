"""Publishing over HTTP, to a Hub on 127.0.0.1 with every fault we know."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from models import checkpoint, hub
from models.hub import CheckpointError
from tests.helpers import fake_hub
from tests.helpers.fake_hub import FakeHub
from tests.helpers.hub_fixtures import (
    HOME,
    IGNORE_HTTPX_WARNING,
    REPO,
    clone_without_weights,
    content,
    files_at_head,
    publish_root,
)
from tests.test_checkpoint import same, tiny
from training import publish
from training.publish import Config

pytestmark = IGNORE_HTTPX_WARNING


def test_published_checkpoints_are_downloaded_bit_for_bit(
    hub_server: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "checkpoints"
    shutil.copytree(checkpoint.ROOT, root, ignore=lambda *_: {"releases.json"})
    names = sorted(path.name for path in root.iterdir())
    publish_root(root)
    pins = json.loads((root / "releases.json").read_text())
    assert pins["revision"] == hub_server.repos[REPO].commits[-1][0]
    assert sorted(pins["checkpoints"]) == names
    clone = clone_without_weights(root)
    for name in names:
        assert content(hub.pull(name, clone)) == content(root / name)
        for file, data in content(root / name).items():
            assert pins["checkpoints"][name][file] == hashlib.sha256(data).hexdigest()
    fetched, local = checkpoint.load("sketch", clone), checkpoint.load("sketch", root)
    assert all(
        torch.equal(a, b)
        for a, b in zip(fetched.state_dict().values(), local.state_dict().values(), strict=True)
    )
    before = (
        hub_server.sent,
        len(hub_server.repos[REPO].commits),
        (root / "releases.json").stat().st_mtime_ns,
    )
    publish_root(root)
    assert "nothing to do" in capsys.readouterr().out
    after = (
        hub_server.sent,
        len(hub_server.repos[REPO].commits),
        (root / "releases.json").stat().st_mtime_ns,
    )
    assert before == after


@pytest.mark.parametrize("fault", ["429", "500", "503", "reset", "lost"])
@pytest.mark.parametrize(
    "request_",
    [
        "POST /api/repos/create",
        "GET /api/models/me/latent-studio$",
        "GET /api/models/.*/tree/",
        "POST /api/validate-yaml",
        "POST /api/models/.*/preupload/",
        "POST /me/latent-studio.git/info/lfs/objects/batch",
        "PUT /lfs/",
        "POST /api/models/.*/commit/",
    ],
)
def test_an_upload_survives_one_fault(
    hub_server: FakeHub, root: Path, request_: str, fault: str
) -> None:
    hub_server.faults = [(request_, fault)]
    publish_root(root)
    assert not hub_server.faults
    assert len(hub_server.repos[REPO].commits) == 2  # the Hub's own, and one of ours
    files = files_at_head(hub_server)
    assert {p: d for p, d in files.items() if "/" in p} == {
        f"{folder.name}/{name}": data
        for folder in root.iterdir()
        if folder.is_dir()
        for name, data in content(folder).items()
    }
    assert (
        json.loads((root / "releases.json").read_text())["revision"]
        == (hub_server.repos[REPO].commits[-1][0])
    )


def test_an_upload_that_breaks_mid_file_is_repeated(hub_server: FakeHub, root: Path) -> None:
    hub_server.faults = [("PUT /lfs/", "half"), ("PUT /lfs/", "half")]
    publish_root(root)
    assert not hub_server.faults
    assert content(hub.pull("tiny-wide", clone_without_weights(root))) == content(
        root / "tiny-wide"
    )


def test_a_wrong_token_is_one_sentence_after_one_try(
    hub_server: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(RuntimeError, match=r"answers 401 .*`hf auth login`, or set HF_TOKEN") as e:
        publish_root(root)
    assert "\n" not in str(e.value)
    assert hub_server.count("POST /api/repos/create") == 1
    assert not hub_server.repos
    assert not (root / "releases.json").exists()


def test_without_a_token_no_request_is_sent(
    hub_server: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"no token.*`hf auth login`, or set HF_TOKEN"):
        publish_root(root)
    assert not hub_server.requests


def test_an_interrupted_upload_is_continued(hub_server: FakeHub, root: Path) -> None:
    hub_server.faults = [("POST /api/models/.*/commit/", "500")] * hub.MAX_TRIES
    with pytest.raises(RuntimeError, match=r"answers 500 .*the same command continues"):
        publish_root(root)
    assert not (root / "releases.json").exists()
    uploads, sent = hub_server.count("PUT /lfs/"), hub_server.sent
    publish_root(root)
    assert hub_server.count("PUT /lfs/") == uploads == 2
    assert hub_server.sent - sent < 20_000  # the small files only
    assert same(checkpoint.load("tiny", clone_without_weights(root)), tiny())


def test_only_changed_files_are_sent_and_stale_ones_removed(
    hub_server: FakeHub, root: Path
) -> None:
    publish_root(root)
    uploads = hub_server.count("PUT /lfs/")
    (root / "tiny" / "metrics.json").unlink()
    checkpoint.save(root / "tiny", tiny(1))
    publish_root(root)
    assert hub_server.count("PUT /lfs/") == uploads + 1
    assert "tiny/metrics.json" not in files_at_head(hub_server)
    assert ".gitattributes" in files_at_head(hub_server)
    assert same(checkpoint.load("tiny", clone_without_weights(root)), tiny(1))


def test_a_lost_repository_is_created_and_pinned_again(hub_server: FakeHub, root: Path) -> None:
    publish_root(root)
    hub_server.repos.clear()
    (root / "releases.json").write_text("damaged")
    publish_root(root)
    assert same(checkpoint.load("tiny", clone_without_weights(root)), tiny())


def test_a_broken_checkpoint_is_not_published(hub_server: FakeHub, root: Path) -> None:
    weights = root / "tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="incomplete or altered"):
        publish_root(root)
    (root / "tiny-wide" / "README.md").unlink()
    shutil.rmtree(root / "tiny")
    with pytest.raises(ValueError, match=r"has no README\.md"):
        publish_root(root)
    shutil.rmtree(root / "tiny-wide")
    with pytest.raises(ValueError, match="no checkpoint in"):
        publish_root(root)
    for name in ("latent-studio", "me/a/b", "https://me/a", "me/"):
        with pytest.raises(ValueError, match=r"is no repository: give --repo-id OWNER/NAME"):
            publish.main(Config(name, checkpoints=root))
    assert not hub_server.requests


def test_the_commands_in_another_process(hub_server: FakeHub, tmp_path: Path) -> None:
    """As a user types them: another process, everything from the environment, no stack trace."""
    small = tmp_path / "small"
    shutil.copytree(checkpoint.ROOT / "codes-digits", small / "codes-digits")
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HOME)}
    known |= fake_hub.environment(hub_server, tmp_path / "home")

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = known | variables
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=HOME, env=env, capture_output=True, text=True)

    ask = ["training/publish.py", "--repo-id", REPO, "--checkpoints", str(small)]
    shown = run(*ask, "--dry-run")
    assert (shown.returncode, hub_server.requests) == (0, [])
    assert "codes-digits/model.safetensors" in shown.stdout
    refused = run(*ask, HF_TOKEN="hf_wrong")
    assert refused.returncode == 1
    assert "401" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    done = run(*ask)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    shutil.rmtree(small / "codes-digits")
    load = f"""
from pathlib import Path
from models import checkpoint, hub
print(type(checkpoint.load("codes-digits", Path({str(small)!r}))).__name__)
"""
    fetched = run("-c", load)
    assert fetched.stdout.strip() == "VQVAE", fetched.stderr
