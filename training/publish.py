"""Publish all checkpoints on the Hub: `python training/publish.py --repo-id ME/latent-studio`.

They go to one model repository, a folder each, so that one commit pins a release whose parts fit
together: a codebook and its prior, the inpainter and the classifier that ranks its fills.
checkpoints/releases.json then pins that commit. `--space` uploads the app instead, `--dry-run`
lists the files without any request. Interrupted in any way, the same command continues; a second
run finds nothing to do.
"""

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub.hf_api import RepoFile

from models import checkpoint, hub
from training.engine.cli import run
from training.release import cards

ROOT = Path(__file__).resolve().parent.parent
FILES = (
    *("config.json", "model.safetensors", "metrics.json", "README.md", "samples.png"),
    *("training.json", "training.png", "latents.json"),  # what the Digits tab shows
)
SPACE = (
    *("app.py", "models", "tabs", "checkpoints", "requirements.txt"),
    *("README.md", "docs", "LICENSE", "SECURITY.md"),
)
TIMEOUT_S = 60.0  # without a byte


@dataclass(frozen=True)
class Config:
    """Settings. The token is HF_TOKEN, or that of `hf auth login`."""

    repo_id: str
    """OWNER/NAME on the Hub."""
    space: bool = False
    """Upload the app as a Space instead of the checkpoints."""
    private: bool = False
    """Create the repository as private; an existing one is not changed."""
    dry_run: bool = False
    """List every file with its size and SHA-256; send no request."""
    checkpoints: Path = checkpoint.ROOT


def model_files(cfg: Config) -> dict[str, bytes]:
    """The content of the model repository; every checkpoint is loaded once to check it."""
    folders = sorted(path.parent for path in cfg.checkpoints.glob("*/model.safetensors"))
    files = {}
    for folder in folders:
        if not (folder / "README.md").is_file():
            raise ValueError(f"{folder} has no README.md: write its model card")
        checkpoint.load(folder)
        present = [name for name in FILES if (folder / name).is_file()]
        files |= {f"{folder.name}/{name}": (folder / name).read_bytes() for name in present}
    if not files:
        raise ValueError(f"no checkpoint in {cfg.checkpoints}: train one first")
    samples = [path for path in files if path.endswith("/samples.png")]
    if (cfg.checkpoints / "inpaint").is_dir():  # sampled faces; photographs are never uploaded
        pictures = sorted((ROOT / "tabs/sample_faces").glob("*.png"))
        faces = {f"samples/{path.name}": path.read_bytes() for path in pictures}
        samples, files = [*samples, *faces], files | faces
    card = cards.release_card(cfg.repo_id, folders, samples)
    return {"README.md": card.encode()} | files


def space_files() -> dict[str, bytes]:
    """The content of the Space: files that git tracks."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--", *SPACE]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"{ROOT} is no git clone: only tracked files are uploaded") from error
    return {path: (ROOT / path).read_bytes() for path in done.stdout.split("\0") if path}


def push(cfg: Config, files: dict[str, bytes]) -> str:
    """Make the repository hold exactly `files`, in one commit; the hash of that commit."""
    api, kind = huggingface_hub.HfApi(), "space" if cfg.space else "model"
    huggingface_hub.get_session().timeout = TIMEOUT_S
    sdk = "gradio" if cfg.space else None
    api.create_repo(cfg.repo_id, repo_type=kind, private=cfg.private, exist_ok=True, space_sdk=sdk)
    head = api.repo_info(cfg.repo_id, repo_type=kind).sha
    tree = api.list_repo_tree(cfg.repo_id, recursive=True, revision=head, repo_type=kind)
    remote = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    new = {path: data for path, data in files.items() if not is_same(remote.get(path), data)}
    folders = {path.split("/")[0] for path in files if "/" in path}
    stale = [p for p in remote if "/" in p and p.split("/")[0] in folders and p not in files]
    if not new and not stale:
        print(f"nothing to do: {cfg.repo_id} holds all {len(files)} files")
        return head
    print(f"sending {len(new)} of {len(files)} files, removing {len(stale)}")
    operations = [huggingface_hub.CommitOperationAdd(path, data) for path, data in new.items()]
    operations += [huggingface_hub.CommitOperationDelete(path) for path in stale]
    options = {"commit_message": "Publish", "repo_type": kind, "parent_commit": head}
    return api.create_commit(cfg.repo_id, operations, **options).oid


def is_same(remote: RepoFile | None, data: bytes) -> bool:
    """Whether the Hub has this content: by its SHA-256, or git's SHA-1 for small files."""
    if remote is None or remote.lfs:
        return remote is not None and remote.lfs.sha256 == hashlib.sha256(data).hexdigest()
    return remote.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pin_release(cfg: Config, files: dict[str, bytes], revision: str) -> None:
    """Write the release into releases.json."""
    pinned: dict[str, dict[str, str]] = {}
    for path, data in files.items():
        name, _, file = path.partition("/")
        if file and name != "samples":
            pinned.setdefault(name, {})[file] = hashlib.sha256(data).hexdigest()
    content = {"repo_id": cfg.repo_id, "revision": revision, "checkpoints": pinned}
    data, path = (json.dumps(content, indent=2) + "\n").encode(), cfg.checkpoints / hub.RELEASES
    if not path.exists() or path.read_bytes() != data:
        checkpoint.write(cfg.checkpoints, {hub.RELEASES: data})
        print(f"{path} pins {revision}: commit it")


def main(cfg: Config) -> None:
    """List the files, or publish and pin them."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", cfg.repo_id, re.ASCII):
        raise ValueError(f"{cfg.repo_id!r} is no repository: give --repo-id OWNER/NAME")
    files = space_files() if cfg.space else model_files(cfg)
    where = f"the {'Space' if cfg.space else 'model repository'} {cfg.repo_id}"
    if cfg.dry_run:
        for path, data in files.items():
            print(f"{hashlib.sha256(data).hexdigest()}  {len(data):>12,}  {path}")
        print(f"{len(files)} files, {sum(map(len, files.values())):,} bytes, would go to {where}")
        return None if cfg.space else print(f"\n{files['README.md'].decode()}")
    if huggingface_hub.get_token() is None:
        raise ValueError("no token for the Hub: log in with `hf auth login`, or set HF_TOKEN")
    try:
        revision = hub.with_retries(lambda: push(cfg, files))
    except Exception as error:
        raise RuntimeError(
            f"could not publish to {where}: {hub.explain(error)}; what has arrived is kept, and "
            "the same command continues"
        ) from error
    print(f"published: {where} at {revision}")
    if not cfg.space:
        pin_release(cfg, files, revision)


if __name__ == "__main__":
    run(main, Config)
