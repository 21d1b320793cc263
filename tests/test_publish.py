"""Publishing and pulling over HTTP, against a Hub on 127.0.0.1 with every fault we know."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import hub_standin
import pytest
import torch
from hub_standin import Hub
from huggingface_hub import ModelCard, ModelCardData, RepoCard, SpaceCardData, constants
from huggingface_hub import file_download as downloads
from huggingface_hub.utils import _http
from test_checkpoint import same, tiny

from models import checkpoint, release
from models.release import CheckpointError
from training import cards, publish
from training.publish import Config

# huggingface_hub 2.4 sends files in a way that httpx2 would like it not to.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
HOME = checkpoint.ROOT.parent
REPO = "me/latent-studio"
CARD = "---\nlicense: cc-by-4.0\ntags: [quickdraw]\n---\n# Tiny\n\n- Command: `python x --seed 3`\n"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """An empty Hub, and no time lost between tries."""
    at_once = SimpleNamespace(sleep=lambda _: None, time=time.time)
    monkeypatch.setattr(_http, "time", at_once)
    monkeypatch.setattr(downloads, "time", at_once)
    monkeypatch.setattr(release, "BACKOFF", 0.0)
    monkeypatch.setitem(checkpoint.MODULES, "tiny", "test_checkpoint")
    with hub_standin.serving() as served:
        hub_standin.point_at(served, monkeypatch, tmp_path / "cache")
        yield served


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two checkpoints, one of them large enough to be cut."""
    metrics = {"split": "test", "reconstruction": {"psnr": 20.0}}
    for name, width in (("tiny", 3), ("tiny-wide", 4_000)):
        checkpoint.save(tmp_path / "root" / name, tiny(width=width), metrics, CARD)
    return tmp_path / "root"


def publish_it(root: Path, **settings) -> None:
    publish.main(Config(REPO, checkpoints=root, **settings))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def bare(root: Path) -> Path:
    """What a clone without weights has."""
    clone = root.with_name("clone")
    clone.mkdir()
    shutil.copy(root / "releases.json", clone)
    return clone


def held(hub: Hub, name: str = REPO) -> dict[str, bytes]:
    return hub.repos[name].commits[-1][1]


def test_all_checkpoints_come_back_bit_for_bit(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "checkpoints"
    shutil.copytree(checkpoint.ROOT, root, ignore=lambda *_: {"releases.json"})
    names = sorted(path.name for path in root.iterdir())
    publish_it(root)
    pins = json.loads((root / "releases.json").read_text())
    assert pins["revision"] == hub.repos[REPO].commits[-1][0]
    assert sorted(pins["checkpoints"]) == names
    clone = bare(root)
    for name in names:
        assert content(release.pull(name, clone)) == content(root / name)
        for file, data in content(root / name).items():
            assert pins["checkpoints"][name][file] == hashlib.sha256(data).hexdigest()
    fetched, local = checkpoint.load("sketch", clone), checkpoint.load("sketch", root)
    assert all(
        torch.equal(a, b)
        for a, b in zip(fetched.state_dict().values(), local.state_dict().values(), strict=True)
    )
    before = hub.sent, len(hub.repos[REPO].commits), (root / "releases.json").stat().st_mtime_ns
    publish_it(root)
    assert "nothing to do" in capsys.readouterr().out
    after = hub.sent, len(hub.repos[REPO].commits), (root / "releases.json").stat().st_mtime_ns
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
def test_a_fault_on_the_way_there_is_survived(
    hub: Hub, root: Path, request_: str, fault: str
) -> None:
    hub.faults = [(request_, fault)]
    publish_it(root)
    assert not hub.faults
    assert len(hub.repos[REPO].commits) == 2  # the Hub's own, and one of ours
    files = held(hub)
    assert {p: d for p, d in files.items() if "/" in p} == {
        f"{folder.name}/{name}": data
        for folder in root.iterdir()
        if folder.is_dir()
        for name, data in content(folder).items()
    }
    assert (
        json.loads((root / "releases.json").read_text())["revision"]
        == (hub.repos[REPO].commits[-1][0])
    )


def test_an_upload_that_breaks_in_mid_file_is_sent_again(hub: Hub, root: Path) -> None:
    hub.faults = [("PUT /lfs/", "half"), ("PUT /lfs/", "half")]
    publish_it(root)
    assert not hub.faults
    assert content(release.pull("tiny-wide", bare(root))) == content(root / "tiny-wide")


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
def test_a_fault_on_the_way_back_is_survived(
    hub: Hub, root: Path, request_: str, fault: str
) -> None:
    publish_it(root)
    hub.faults = [(request_, fault)]
    assert content(release.pull("tiny-wide", bare(root))) == content(root / "tiny-wide")
    assert not hub.faults


def test_a_file_that_is_not_the_pinned_one_is_refused(hub: Hub, root: Path) -> None:
    publish_it(root)
    clone = bare(root)
    hub.faults = [("GET /lfs/", "alter")] * 2
    with pytest.raises(CheckpointError, match=r"has the SHA-256 .*altered.*train_tiny\.py"):
        checkpoint.load("tiny", clone)
    assert same(checkpoint.load("tiny", clone), tiny())  # nothing bad was kept


@pytest.mark.usefixtures("hub")
def test_a_cache_that_was_tampered_with_is_mended_or_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_it(root)
    clone = bare(root)
    weights = release.pull("tiny", clone) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"cannot fetch tiny/model\.safetensors"):
        checkpoint.load("tiny", clone)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert same(checkpoint.load("tiny", clone), tiny())


def test_what_was_fetched_needs_no_network(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_it(root)
    clone = bare(root)
    assert same(checkpoint.load("tiny", clone), tiny())
    asked = len(hub.asked)
    assert same(checkpoint.load("tiny", clone), tiny())
    assert len(hub.asked) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(checkpoint.load("tiny", clone), tiny())
    with pytest.raises(CheckpointError, match=r"cannot fetch .*offline.*or train it with"):
        checkpoint.load("tiny-wide", clone)


def test_without_a_release_there_are_two_ways_out(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train_sketch\.py.*LATENT_STUDIO_REPO="):
        checkpoint.load("sketch", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"train_codes_prior\.py"):
        checkpoint.load("prior-digits", tmp_path)
    assert not hub.asked


def test_another_repository_is_an_argument_or_a_variable(
    hub: Hub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_it(root)
    first = hub.repos[REPO].commits[-1][0]
    checkpoint.save(root / "tiny", tiny(1))
    publish_it(root)
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


@pytest.mark.usefixtures("hub")
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
def test_damaged_pins_are_refused(root: Path, change) -> None:
    publish_it(root)
    pins = json.loads((root / "releases.json").read_text())
    change(pins)
    clone = bare(root)
    (clone / "releases.json").write_text(json.dumps(pins))
    with pytest.raises(CheckpointError, match=r"releases\.json is damaged .*restore it"):
        checkpoint.load("tiny", clone)


def test_a_wrong_token_is_one_sentence_and_one_try(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(RuntimeError, match=r"answers 401 .*`hf auth login`, or set HF_TOKEN") as e:
        publish_it(root)
    assert "\n" not in str(e.value)
    assert hub.count("POST /api/repos/create") == 1
    assert not hub.repos
    assert not (root / "releases.json").exists()


def test_without_a_token_nobody_is_asked(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"no token.*`hf auth login`, or set HF_TOKEN"):
        publish_it(root)
    assert not hub.asked


def test_a_private_release_needs_the_token(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_it(root, private=True)
    assert hub.repos[REPO].private
    clone = bare(root)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(CheckpointError, match=r"401 \(there is no such repository, or the token"):
        checkpoint.load("tiny", clone)
    monkeypatch.setenv("HF_TOKEN", hub_standin.TOKEN)
    assert same(checkpoint.load("tiny", clone), tiny())


def test_a_run_that_was_stopped_goes_on(hub: Hub, root: Path) -> None:
    hub.faults = [("POST /api/models/.*/commit/", "500")] * release.TRIES
    with pytest.raises(RuntimeError, match=r"answers 500 .*the same command goes on"):
        publish_it(root)
    assert not (root / "releases.json").exists()
    uploads, sent = hub.count("PUT /lfs/"), hub.sent
    publish_it(root)
    assert hub.count("PUT /lfs/") == uploads == 2
    assert hub.sent - sent < 20_000  # the small files only
    assert same(checkpoint.load("tiny", bare(root)), tiny())


def test_only_what_changed_is_sent_and_what_is_gone_is_removed(hub: Hub, root: Path) -> None:
    publish_it(root)
    uploads = hub.count("PUT /lfs/")
    (root / "tiny" / "metrics.json").unlink()
    checkpoint.save(root / "tiny", tiny(1))
    publish_it(root)
    assert hub.count("PUT /lfs/") == uploads + 1
    assert "tiny/metrics.json" not in held(hub)
    assert ".gitattributes" in held(hub)
    assert same(checkpoint.load("tiny", bare(root)), tiny(1))


def test_a_repository_that_was_lost_is_made_and_pinned_again(hub: Hub, root: Path) -> None:
    publish_it(root)
    hub.repos.clear()
    (root / "releases.json").write_text("damaged")
    publish_it(root)
    assert same(checkpoint.load("tiny", bare(root)), tiny())


def test_a_broken_checkpoint_is_not_published(hub: Hub, root: Path) -> None:
    weights = root / "tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="incomplete or altered"):
        publish_it(root)
    (root / "tiny-wide" / "README.md").unlink()
    shutil.rmtree(root / "tiny")
    with pytest.raises(ValueError, match=r"has no README\.md"):
        publish_it(root)
    shutil.rmtree(root / "tiny-wide")
    with pytest.raises(ValueError, match="no checkpoint in"):
        publish_it(root)
    for name in ("latent-studio", "me/a/b", "https://me/a", "me/"):
        with pytest.raises(ValueError, match=r"is no repository: give --repo-id OWNER/NAME"):
            publish.main(Config(name, checkpoints=root))
    assert not hub.asked


@pytest.mark.parametrize("space", [False, True])
def test_a_dry_run_shows_everything_and_contacts_nobody(
    hub: Hub,
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
        publish_it(root, dry_run=True, space=space)
    shown = dict(
        line.split("  ")[::-1][::2] if "  " in line else ("", "")
        for line in re.sub(r"  +[\d,]+  ", "  -  ", capsys.readouterr().out).splitlines()
        if re.match(r"[0-9a-f]{64}  ", line)
    )
    assert not hub.asked
    assert not (root / "releases.json").exists()
    monkeypatch.setenv("HF_TOKEN", hub_standin.TOKEN)
    publish_it(root, space=space)
    files = held(hub, f"spaces/{REPO}" if space else REPO)
    del files[".gitattributes"]
    assert shown == {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def test_the_card_is_what_the_hub_reads(root: Path) -> None:
    judge = "---\nlicense: other\nlicense_name: for-research\ntags: [celeba, x]\n---\n# J\n\nText."
    codes = root / "codes-tiny"
    shutil.copytree(root / "tiny", codes)
    (root / "tiny-wide" / "README.md").write_text(judge)
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
    assert "![made by these models](samples/a.png)" in text
    assert f'checkpoint.load("codes-tiny", repo="{REPO}")' in text
    assert "## tiny-wide\n\nText." in text


def test_the_commit_of_a_checkpoint_is_the_one_that_brought_its_weights(tmp_path: Path) -> None:
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


def test_the_space_has_what_it_needs_and_no_more(hub: Hub, root: Path) -> None:
    publish_it(root, space=True)
    files = held(hub, f"spaces/{REPO}")
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
def test_the_app_is_ready_for_zerogpu_and_does_without(tmp_path: Path, zero: bool) -> None:
    """ZeroGPU wants its package before torch, and stops an app in which no function is marked."""
    (tmp_path / "spaces.py").write_text(ZERO if zero else "raise ImportError")
    ask = "import app; from tabs.common import spaces as s; print(bool(s and s.early and s.marked))"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{HOME}"}
    command = [sys.executable, "-c", ask]
    done = subprocess.run(command, cwd=HOME, env=env, capture_output=True, text=True)
    assert done.stdout.strip() == str(zero), done.stderr


def test_the_commands_themselves(hub: Hub, tmp_path: Path) -> None:
    """As a user types them: another process, everything from the environment, no stack trace."""
    small = tmp_path / "small"
    shutil.copytree(checkpoint.ROOT / "codes-digits", small / "codes-digits")
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HOME)}
    known |= hub_standin.environment(hub, tmp_path / "home")

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = known | variables
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=HOME, env=env, capture_output=True, text=True)

    ask = ["training/publish.py", "--repo-id", REPO, "--checkpoints", str(small)]
    shown = run(*ask, "--dry-run")
    assert (shown.returncode, hub.asked) == (0, [])
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
from models import checkpoint
print(type(checkpoint.load("codes-digits", Path({str(small)!r}))).__name__)
"""
    fetched = run("-c", load)
    assert fetched.stdout.strip() == "VQVAE", fetched.stderr


@pytest.mark.usefixtures("hub")
def test_a_hub_that_is_not_there_is_one_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_it(root)
    clone = bare(root)
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", gone)
    template = gone + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(CheckpointError, match=r"cannot fetch tiny/.* or train it with") as error:
        checkpoint.load("tiny", clone)
    assert "\n" not in str(error.value)
    with pytest.raises(RuntimeError, match=r"could not publish to .*the same command goes on"):
        publish_it(root)
