"""Download files over HTTP(S), going on where a broken download stopped."""

import base64
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, InvalidURL
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from tqdm import tqdm

QUICKDRAW = "https://storage.googleapis.com/quickdraw_dataset/full/simplified"
TRIES = 5  # in a row that bring nothing new
BACKOFF = 1.0  # s before the second of them; doubles each time
TIMEOUT = 30.0  # s of silence
log = logging.getLogger(__name__)


class FetchError(OSError):
    """A download that cannot be finished: what is wrong, the URL, and what to do."""


class _Broken(Exception):
    """One try failed, as the next may not."""


def fetch(
    url: str,
    destination: str | Path,
    progress: bool = True,
    check: Callable[[Path], None] | None = None,
) -> Path:
    """Download `url` to `destination`, which appears only when it is whole and verified.

    What has arrived waits in `<destination>.part`, after Ctrl-C too, and the next call goes on from
    there, or starts anew if the remote file has changed. An existing file is not fetched again.
    `check` reads the whole file before it gets its name, and refuses it with a ValueError.
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
    """`<class>.ndjson` for each class, but what is there already, gzipped or not, stays.

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
    """Try until the part is whole, or `TRIES` in a row did not make it longer than ever."""
    tries = longest = 0
    while True:
        try:
            return _receive(url, part, note, progress)
        except _Broken as error:
            size = part.stat().st_size if part.exists() else 0
            tries, longest = (1 if size > longest else tries + 1), max(size, longest)
            if tries == TRIES:
                raise FetchError(
                    f"cannot fetch {url}: {error}, {TRIES} times in a row; check the network and "
                    "run the same command again: it goes on where it stopped"
                ) from error
            wait = BACKOFF * 2 ** (tries - 1)
            log.warning("%s: %s; next try in %.0f s", url, error, wait)
            time.sleep(wait)


def _receive(url: str, part: Path, note: Path, progress: bool) -> None:
    """One try: ask for the bytes that are missing, append them, verify the whole."""
    known = _read(note, url) if part.exists() else {}
    start = part.stat().st_size if known else 0
    headers = {"User-Agent": "latent-studio"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": known["validator"]}
    with _network(url):
        try:
            response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
        except HTTPError as error:
            if error.code != 416:  # the part is longer than the file: an answer, no failure
                raise
            response = error
    with response:
        said = response.headers
        etag = said.get("ETag", "")
        validator = etag if etag.startswith('"') else said.get("Last-Modified", "")  # W/ is weak
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", said.get("Content-Range", ""))
        if response.status == 200:  # the whole file: the first try, a changed file, or no ranges
            md5 = re.search(r"md5=([^,\s]+)", ",".join(said.get_all("x-goog-hash", [])))
            known = {"url": url, "validator": validator, "md5": md5[1] if md5 else ""}
            _drop(part, note)
            note.write_text(json.dumps(known))
            start, total = 0, int(said["Content-Length"]) if "Content-Length" in said else None
        elif start and span and int(span[1]) == start and validator in ("", known["validator"]):
            total = int(span[2])
        else:
            _drop(part, note)
            raise _Broken("the rest that the server offers does not fit what is here")
        look = {"desc": part.stem, "unit": "B", "unit_scale": True, "disable": not progress}
        with tqdm(initial=start, total=total, **look) as bar, part.open("ab") as file:
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
        raise _Broken(f"the connection broke after {size} of {total} bytes")
    if known["md5"] not in ("", md5):
        _drop(part, note)
        raise _Broken("what arrived is damaged, its md5 is not the announced one")


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
    """Failures of the line become `_Broken` where another try may help, else FetchError."""
    try:
        yield
    except HTTPError as error:
        error.close()
        what = f"the server answers {error.code} {error.reason}"
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _Broken(what) from error
        raise FetchError(f"cannot fetch {url}: {what}; check the address") from error
    except (InvalidURL, ValueError) as error:
        raise FetchError(f"cannot fetch {url!r}: {error}; check the address") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise _Broken(f"the connection failed ({reason})") from error
