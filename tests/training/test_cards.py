"""What is published: the files, the model card, the Space."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, ModelCardData, RepoCard, SpaceCardData

from tests.helpers import fake_hub
from tests.helpers.fake_hub import FakeHub
from tests.helpers.hub_fixtures import HOME, IGNORE_HTTPX_WARNING, REPO, files_at_head, publish_root
from training import publish
from training.release import cards

pytestmark = IGNORE_HTTPX_WARNING


@pytest.mark.parametrize("space", [False, True])
def test_a_dry_run_lists_everything_and_sends_no_request(
    hub_server: FakeHub,
    root: Path,
    space: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.delenv("HF_TOKEN")
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        publish_root(root, dry_run=True, space=space)
    shown = dict(
        line.split("  ")[::-1][::2] if "  " in line else ("", "")
        for line in re.sub(r"  +[\d,]+  ", "  -  ", capsys.readouterr().out).splitlines()
        if re.match(r"[0-9a-f]{64}  ", line)
    )
    assert not hub_server.requests
    assert not (root / "releases.json").exists()
    monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
    publish_root(root, space=space)
    files = files_at_head(hub_server, f"spaces/{REPO}" if space else REPO)
    del files[".gitattributes"]
    assert shown == {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def test_the_hub_can_parse_the_card(root: Path) -> None:
    classifier = (
        "---\nlicense: other\nlicense_name: for-research\ntags: [celeba, x]\n---\n# J\n\nText."
    )
    codes = root / "codes-tiny"
    shutil.copytree(root / "tiny", codes)
    (root / "tiny-wide" / "README.md").write_text(classifier)
    text = cards.release_card(REPO, [codes, root / "tiny-wide"], ["samples/a.png"])
    card = ModelCard(text)
    assert isinstance(card.data, ModelCardData)
    assert (card.data.license, card.data.license_name) == ("other", "for-research")
    assert set(card.data.tags) == {"latent-studio", "quickdraw", "celeba", "x"}
    (figure,) = card.data.eval_results
    assert (figure.metric_type, figure.metric_value, figure.dataset_split) == ("psnr", 20.0, "test")
    assert figure.dataset_name == "Quick, Draw!"
    row = next(line for line in text.splitlines() if line.startswith("| [codes-tiny]"))
    cells = "cc-by-4.0 | `python x --seed 3` | 3 | unknown | not recorded |"
    assert row.endswith(cells)
    assert "![samples of these models](samples/a.png)" in text
    assert f'checkpoint.load("codes-tiny", repo="{REPO}")' in text
    assert "## tiny-wide\n\nText." in text


def test_the_commit_of_a_checkpoint_is_the_last_that_changed_its_weights(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "weights").write_text("one")
    assert cards.commit(tmp_path / "weights") == "unknown"
    git("add", ".")
    git("commit", "-qm", "weights")
    first = git("rev-parse", "HEAD")
    (tmp_path / "other").write_text("two")
    git("add", ".")
    git("commit", "-qm", "other")
    assert cards.commit(tmp_path / "weights") == first
    (tmp_path / "weights").write_text("three")
    assert cards.commit(tmp_path / "weights") == "uncommitted"


def test_the_space_contains_what_it_needs_and_no_more(hub_server: FakeHub, root: Path) -> None:
    publish_root(root, space=True)
    files = files_at_head(hub_server, f"spaces/{REPO}")
    tops = {path.split("/")[0] for path in files}
    assert tops == {".gitattributes", *publish.SPACE}
    tracked = subprocess.run(["git", "ls-files"], cwd=HOME, capture_output=True, text=True).stdout
    assert set(files) - {".gitattributes"} <= set(tracked.splitlines())
    for path, data in files.items():
        assert path == ".gitattributes" or (HOME / path).read_bytes() == data
    header = RepoCard(files["README.md"].decode()).data
    card = SpaceCardData(**header.to_dict())
    assert (card.sdk, card.app_file) == ("gradio", "app.py")
    assert card.app_file in files
    assert not (root / "releases.json").exists()  # a Space is no release


ZERO = """
import sys
early = "torch" not in sys.modules
marked = []
def GPU(function):
    marked.append(function)
    return function
"""  # what a Space with ZeroGPU has as its package `spaces`


@pytest.mark.parametrize("zero", [False, True])
def test_the_app_runs_with_and_without_zerogpu(tmp_path: Path, zero: bool) -> None:
    """ZeroGPU wants its package before torch, and stops an app in which no function is marked."""
    (tmp_path / "spaces.py").write_text(ZERO if zero else "raise ImportError")
    ask = "import app; from tabs.model_cache import spaces as s; "
    ask += "print(bool(s and s.early and s.marked))"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{HOME}"}
    command = [sys.executable, "-c", ask]
    done = subprocess.run(command, cwd=HOME, env=env, capture_output=True, text=True)
    assert done.stdout.strip() == str(zero), done.stderr
