"""Download files over HTTP(S), resuming where a broken download stopped.

Not through pooch: its HTTPDownloader opens a new file for each try and sends no Range header
(pooch 1.9, downloaders.py), so a connection that breaks after 100 MB starts again from zero.
"""

import base64
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, InvalidURL
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from tqdm import tqdm

from models.retry import retry

QUICKDRAW = "https://storage.googleapis.com/quickdraw_dataset/full/simplified"
MAX_TRIES = 5  # in a row that add nothing
BACKOFF_S = 1.0  # before the second of them; doubles each time
TIMEOUT_S = 30.0  # without a byte
log = logging.getLogger(__name__)


class FetchError(OSError):
    """A download that cannot be finished: what is wrong, the URL, and what to do."""


class _BrokenTransfer(Exception):
    """A try failed, but the next may succeed."""


def fetch(
    url: str,
    destination: str | Path,
    progress: bool = True,
    check: Callable[[Path], None] | None = None,
) -> Path:
    """Download `url` to `destination`, which appears only when it is complete and verified.

    What has arrived stays in `<destination>.part`, also after Ctrl-C, and the next call resumes
    from it, or starts over if the remote file has changed. An existing file is not fetched again.
    `check` validates the complete file before it is renamed, with a ValueError.
    """
    if not url.startswith(("https://", "http://")):
        raise FetchError(f"cannot fetch {url!r}: give an address that starts with https://")
    destination = Path(destination)
    part, note = (destination.with_name(destination.name + end) for end in (".part", ".part.json"))
    try:
        if not destination.is_file():
            destination.parent.mkdir(parents=True, exist_ok=True)
            _persist(url, part, note, progress)
            if check is not None:
                check(part)
            part.replace(destination)
            note.unlink(missing_ok=True)
    except FetchError:
        raise
    except ValueError as error:
        _drop(part, note)
        raise FetchError(f"{url} was not kept: {error}") from error
    except OSError as error:
        raise FetchError(
            f"cannot write {destination} ({error.strerror}), fetched from {url}: free some space "
            "or choose a folder that can be written, and run the same command again"
        ) from error
    return destination


def fetch_quickdraw(
    classes: Iterable[str], folder: str | Path, base_url: str | None = None, progress: bool = True
) -> list[Path]:
    """Fetch `<class>.ndjson` for each class; existing files, gzipped or not, are kept.

    The mirror is `base_url`, else the environment's QUICKDRAW_URL, else Google. Malformed lines are
    counted and reported; a file that has no other lines is refused.
    """
    base = (base_url or os.environ.get("QUICKDRAW_URL") or QUICKDRAW).rstrip("/")
    paths = []
    for name in classes:
        path, packed = (Path(folder, name + end) for end in (".ndjson", ".ndjson.gz"))
        if not packed.is_file():
            fetch(f"{base}/{quote(name, safe='')}.ndjson", path, progress, _check_lines)
        paths.append(packed if packed.is_file() else path)
    return paths


def _check_lines(path: Path) -> None:
    good = bad = 0
    with path.open("rb") as lines:
        for line in lines:
            try:
                record = json.loads(line)
                fine = isinstance(record["word"], str) and isinstance(record["drawing"], list)
            except (ValueError, KeyError, TypeError, RecursionError):
                fine = False
            good, bad = good + fine, bad + (not fine)
    if not good:
        raise ValueError(
            f"none of its {bad} lines is a drawing, so it is probably an error page; open the "
            "address in a browser, or choose another mirror with QUICKDRAW_URL"
        )
    if bad:
        log.warning("%s: %d of %d lines are malformed", path.stem, bad, good + bad)


def _persist(url: str, part: Path, note: Path, progress: bool) -> None:
    """Try until the part is complete, or 5 tries in a row did not make it longer than ever."""
    try:
        retry(
            lambda: _receive(url, part, note, progress),
            is_retryable=lambda error: isinstance(error, _BrokenTransfer),
            explain=lambda error: f"{url}: {error}",
            max_tries=MAX_TRIES,
            backoff_s=BACKOFF_S,
            progress=lambda: part.stat().st_size if part.exists() else 0,
        )
    except _BrokenTransfer as error:
        raise FetchError(
            f"cannot fetch {url}: {error}, {MAX_TRIES} times in a row; check the network and run "
            "the same command again: it resumes where it stopped"
        ) from error


def _receive(url: str, part: Path, note: Path, progress: bool) -> None:
    """One try: request the missing bytes, append them, verify the file."""
    known = _read(note, url) if part.exists() else {}
    start = part.stat().st_size if known else 0
    headers = {"User-Agent": "latent-studio"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": known["validator"]}
    with _network(url):
        try:
            response = urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)
        except HTTPError as error:
            if error.code != 416:  # the part is longer than the file: an answer, no failure
                raise
            response = error
    with response:
        sent = response.headers
        etag = sent.get("ETag", "")
        validator = etag if etag.startswith('"') else sent.get("Last-Modified", "")  # W/ is weak
        resumed = start and re.fullmatch(r"bytes (\d+)-\d+/(\d+)", sent.get("Content-Range", ""))
        if response.status == 200:  # the complete file: first try, changed file, or no ranges
            md5 = re.search(r"md5=([^,\s]+)", ",".join(sent.get_all("x-goog-hash", [])))
            known = {"url": url, "validator": validator, "md5": md5[1] if md5 else ""}
            _drop(part, note)
            note.write_text(json.dumps(known))
            start, total = 0, int(sent["Content-Length"]) if "Content-Length" in sent else None
        elif resumed and int(resumed[1]) == start and validator in ("", known["validator"]):
            total = int(resumed[2])
        else:
            _drop(part, note)
            raise _BrokenTransfer("the rest that the server offers does not fit what is here")
        bar_options = {"desc": part.stem, "unit": "B", "unit_scale": True, "disable": not progress}
        with tqdm(initial=start, total=total, **bar_options) as bar, part.open("ab") as file:
            while True:
                with _network(url):
                    chunk = response.read1(1 << 18)
                if not chunk:
                    break
                bar.update(file.write(chunk))
    with part.open("rb+") as file:
        os.fsync(file.fileno())
        md5 = base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
        size = file.tell()
    if total is not None and size < total:
        raise _BrokenTransfer(f"the connection broke after {size} of {total} bytes")
    if known["md5"] not in ("", md5):
        _drop(part, note)
        raise _BrokenTransfer("what arrived is damaged, its md5 is not the announced one")


def _read(note: Path, url: str) -> dict[str, str]:
    """Which version of the remote file the part is of; empty where it cannot be gone on with."""
    try:
        known = json.loads(note.read_text())
        return known if known["url"] == url and known["validator"] and "md5" in known else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _drop(part: Path, note: Path) -> None:
    part.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


@contextmanager
def _network(url: str) -> Iterator[None]:
    """Failures of the line become `_BrokenTransfer` where another try may help, else FetchError."""
    try:
        yield
    except HTTPError as error:
        error.close()
        what = f"the server answers {error.code} {error.reason}"
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _BrokenTransfer(what) from error
        raise FetchError(f"cannot fetch {url}: {what}; check the address") from error
    except (InvalidURL, ValueError) as error:
        raise FetchError(f"cannot fetch {url!r}: {error}; check the address") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise _BrokenTransfer(f"the connection failed ({reason})") from error
