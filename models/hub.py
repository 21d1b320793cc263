"""Fetch and verify checkpoints from the release on the Hub that releases.json pins.

`releases.json` stands beside the checkpoints and is written by publishing them: a repository on the
Hub, the commit of the release, and the SHA-256 of each file of each checkpoint.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from models.retry import retry

RELEASES = "releases.json"
REQUIRED = {"config.json": None, "model.safetensors": None}  # where no release is pinned
MAX_TRIES = 4
BACKOFF_S = 1.0  # before the second try; doubles each time
T = TypeVar("T")


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be trusted, built, fetched or written, in one sentence."""


class Release(NamedTuple):
    """Where a checkpoint is published; a file's SHA-256 is None where it is not pinned."""

    repo_id: str
    revision: str
    files: dict[str, str | None]


def pull(name: str, root: Path, repo: str | None = None) -> Path | None:
    """Fetch a checkpoint: the folder in huggingface_hub's cache, or None if no release is known.

    `repo`, else the environment's LATENT_STUDIO_REPO, names a repository as OWNER/NAME or
    OWNER/NAME@COMMIT; without either, the release that `root` pins is fetched and its hashes
    are checked.
    """
    release = find(name, root, repo)
    if release is None:
        return None
    paths = [_verified(name, file, sha, release) for file, sha in release.files.items()]
    return paths[0].parent


def find(name: str, root: Path, repo: str | None = None) -> Release | None:
    """The release from which `pull` would fetch, or None."""
    if repo := repo or os.environ.get("LATENT_STUDIO_REPO"):
        if not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", repo, re.ASCII):
            raise CheckpointError(
                f"{repo[:80]!r} is no repository: give OWNER/NAME or OWNER/NAME@COMMIT, as an "
                "argument or in LATENT_STUDIO_REPO"
            )
        repo_id, _, revision = repo.partition("@")
        return Release(repo_id, revision or "main", dict(REQUIRED))
    return read_releases(root).get(name)


def read_releases(root: Path) -> dict[str, Release]:
    """The releases that `root` pins, by checkpoint name; empty where nothing was published."""
    path = root / RELEASES
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        pins = json.loads(text)
        repo_id, revision = pins["repo_id"], pins["revision"]
        files = {name: dict(shas) for name, shas in pins["checkpoints"].items()}
        names = [*files, *(file for shas in files.values() for file in shas)]
        hashes = [sha for shas in files.values() for sha in shas.values()]
        if not (
            re.fullmatch(r"[0-9a-f]{40}", revision)
            and isinstance(repo_id, str)
            and all(re.fullmatch(r"[\w-][\w.-]*", part) for part in names)
            and all(re.fullmatch(r"[0-9a-f]{64}", sha) for sha in hashes)
            and all(files.values())
        ):
            raise ValueError("a name, commit or SHA-256 is malformed")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error}): restore it, or publish again (docs/publishing.md)"
        ) from error
    return {name: Release(repo_id, revision, shas) for name, shas in files.items()}


def _verified(name: str, file: str, sha: str | None, release: Release) -> Path:
    """Fetch one file, a second time if the cached one has another SHA-256 than the release."""
    from huggingface_hub import hf_hub_download

    where = f"{name}/{file} of {release.repo_id}@{release.revision[:12]}"
    for again in (False, True):
        try:
            found = with_retries(
                lambda again=again: hf_hub_download(
                    release.repo_id,
                    f"{name}/{file}",
                    revision=release.revision,
                    force_download=again,
                )
            )
        except Exception as error:
            raise CheckpointError(
                f"cannot fetch {where}: {explain(error)}; try again once that is fixed, or train "
                "it (docs/training.md)"
            ) from error
        got = hashlib.sha256(Path(found).read_bytes()).hexdigest()
        if sha in (None, got):
            return Path(found)
    raise CheckpointError(
        f"{where} has the SHA-256 {got[:12]}..., but {RELEASES} states {sha[:12]}...: it was "
        f"altered and is not used; try again later, or train it (docs/training.md)"
    )


def with_retries(task: Callable[[], T]) -> T:
    """`task()`, again after 429, 5xx and broken connections: 4 tries, 1, 2 and 4 s apart."""
    return retry(
        task,
        is_retryable=is_retryable,
        explain=explain,
        max_tries=MAX_TRIES,
        backoff_s=BACKOFF_S,
    )


def is_retryable(error: Exception) -> bool:
    """Whether a retry may help; False where huggingface_hub has already retried."""
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
        return False
    for link in _chain(error):
        if code := _code(link):
            return code in (408, 425, 429) or code >= 500
        if isinstance(link, HTTPError | ConnectionError | TimeoutError):
            return True
    return False


def explain(error: Exception) -> str:
    """The cause of a failed request to the Hub and its cure, in a few words."""
    links = list(_chain(error))
    for link in links:
        if code := _code(link):
            words = {
                401: "there is no such repository, or the token is missing or wrong: log in with "
                "`hf auth login`, or set HF_TOKEN",
                403: "this token may not do that: take one with the right to write",
                404: "there is no such repository, revision or file: check the name",
            }
            return f"the Hub answers {code} ({words.get(code, link.response.reason_phrase)})"
    last = str(links[-1]).strip().split("\n")[0]
    return f"{type(links[-1]).__name__}: {last}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _code(error: BaseException) -> int | None:
    """The HTTP status of the response that an error carries, if any."""
    return getattr(getattr(error, "response", None), "status_code", None)
