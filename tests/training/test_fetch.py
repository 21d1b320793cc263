"""The downloader against a server on 127.0.0.1 that has every fault we know of."""

import base64
import hashlib
import json
import logging
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from models import retry
from training.data import fetch as module
from training.data.fetch import FetchError, fetch, fetch_quickdraw

BODY = bytes(range(250)) * 4000  # 1 MB
LINE = json.dumps({"word": "cat", "key_id": None, "drawing": [[[0, 255], [0, 9]]]}) + "\n"


@dataclass
class Remote:
    """One file under every address; `faults` are for the coming answers, in order."""

    url: str = ""
    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    faults: list[str] = field(default_factory=list)
    ranges: bool = True
    if_range: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # (path, Range)


class Server(ThreadingHTTPServer):
    """Waits for its threads when it closes, so that no test leaks a socket."""

    daemon_threads = False
    remote: Remote

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of these tests."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET with the remote's file, or with its next fault."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """Serve the range that is asked for, and break what the fault says."""
        remote = self.server.remote
        wanted = self.headers.get("Range")
        remote.asked.append((unquote(self.path), wanted))
        fault = remote.faults.pop(0) if remote.faults else ""
        self.close_connection = True
        if fault.isdecimal():
            self.send_response(int(fault))
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"oops")
            return
        version = (remote.headers.get("ETag"), remote.headers.get("Last-Modified"))
        same = not remote.if_range or self.headers.get("If-Range") in version
        start = int(wanted[6:-1]) if wanted and remote.ranges and same else 0
        if start >= len(remote.body) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(remote.body)}")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"oops")
            return
        start += fault == "shifted"
        rest = remote.body[start:]
        self.send_response(206 if start else 200)
        if start:
            end = len(remote.body)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if fault == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif fault != "unsized":
            self.send_header("Content-Length", str(len(rest) + (fault == "too long")))
        for name, value in remote.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault in ("", "unsized", "too long", "shifted"):
            self.wfile.write(rest)
            return
        half = rest[: len(rest) // 2]
        self.wfile.write(b"%x\r\n" % len(rest) + half if fault == "chunked" else half)
        self.wfile.flush()
        time.sleep(0.05)
        if fault == "ctrl-c":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        elif fault == "silence":
            time.sleep(0.6)
        elif fault == "reset":
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A job that a shell put into the background is born deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A running server; retries wait milliseconds, silence counts after 0.3 s."""
    monkeypatch.setattr(module, "BACKOFF_S", 0.001)
    monkeypatch.setattr(module, "TIMEOUT_S", 0.3)
    monkeypatch.delenv("QUICKDRAW_URL", raising=False)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.remote = Remote(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.remote
        server.shutdown()
        thread.join()


def google_hash(body: bytes) -> str:
    """The header that Google's storage sends with a file."""
    return "crc32c=AAAAAA==,md5=" + base64.b64encode(hashlib.md5(body).digest()).decode()


def names(folder: Path) -> list[str]:
    """What is in the folder."""
    return sorted(path.name for path in folder.iterdir())


def ranges(remote: Remote) -> list[str | None]:
    """The Range header of each request so far."""
    return [asked for _, asked in remote.asked]


def test_a_file_arrives_once(remote: Remote, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    assert fetch(remote.url, path, progress=False) == path
    assert path.read_bytes() == BODY
    assert names(path.parent) == ["file"]
    fetch(remote.url, path, progress=False)
    assert ranges(remote) == [None]


@pytest.mark.parametrize("fault", ["cut", "reset", "silence"])
@pytest.mark.parametrize(
    "version", [{"ETag": '"one"'}, {"ETag": 'W/"one"', "Last-Modified": "Mon, 01 Jun 2026"}]
)
def test_resumes_where_it_broke(
    remote: Remote, tmp_path: Path, fault: str, version: dict[str, str]
) -> None:
    remote.headers, remote.faults = version, [fault, fault]
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY
    first, second, third = ranges(remote)
    assert first is None
    assert second is not None
    assert third is not None
    if fault != "reset":  # a reset may take bytes along that were on their way
        assert (second, third) == (f"bytes={len(BODY) // 2}-", f"bytes={len(BODY) * 3 // 4}-")


def test_any_number_of_breaks_is_retried_while_bytes_arrive(remote: Remote, tmp_path: Path) -> None:
    remote.faults = ["cut"] * (3 * module.MAX_TRIES)
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY


def test_resumes_in_a_later_run_after_ctrl_c(remote: Remote, tmp_path: Path) -> None:
    remote.faults = ["ctrl-c"]
    with pytest.raises(KeyboardInterrupt):
        fetch(remote.url, tmp_path / "file", progress=False)
    assert (tmp_path / "file.part").read_bytes() == BODY[: len(BODY) // 2]
    assert not (tmp_path / "file").exists()
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY
    assert ranges(remote) == [None, f"bytes={len(BODY) // 2}-"]


@pytest.mark.parametrize("if_range", [True, False])
def test_a_changed_file_is_fetched_from_the_start(
    remote: Remote, tmp_path: Path, if_range: bool
) -> None:
    remote.faults, remote.if_range = ["ctrl-c"], if_range
    with pytest.raises(KeyboardInterrupt):
        fetch(remote.url, tmp_path / "file", progress=False)
    remote.body, remote.headers = BODY[::-1], {"ETag": '"two"'}
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY[::-1]


@pytest.mark.parametrize(
    ("headers", "can_range"), [({}, True), ({"ETag": 'W/"one"'}, True), ({"ETag": '"one"'}, False)]
)
def test_starts_over_where_it_cannot_resume(
    remote: Remote, tmp_path: Path, headers: dict[str, str], can_range: bool
) -> None:
    remote.headers, remote.ranges, remote.faults = headers, can_range, ["cut"]
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY


@pytest.mark.parametrize("left", [BODY, BODY + b"more"])
def test_a_part_as_long_as_the_file_or_longer(remote: Remote, tmp_path: Path, left: bytes) -> None:
    known = {"url": remote.url, "validator": '"one"', "md5": ""}
    (tmp_path / "file.part").write_bytes(left)
    (tmp_path / "file.part.json").write_text(json.dumps(known))
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY
    assert names(tmp_path) == ["file"]


OTHER = '{"url": "http://other", "validator": "\\"one\\"", "md5": ""}'


@pytest.mark.parametrize("note", [None, "", "[]", "{}", OTHER])
def test_a_part_of_unknown_origin_is_not_trusted(
    remote: Remote, tmp_path: Path, note: str | None
) -> None:
    (tmp_path / "file.part").write_bytes(b"who knows")
    if note is not None:
        (tmp_path / "file.part.json").write_text(note)
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY
    assert ranges(remote) == [None]


def test_a_range_that_does_not_join_is_not_joined(remote: Remote, tmp_path: Path) -> None:
    remote.faults = ["cut", "shifted"]
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY


@pytest.mark.parametrize("busy", ["503", "500", "429"])
def test_a_busy_server_is_asked_again(remote: Remote, tmp_path: Path, busy: str) -> None:
    remote.faults = [busy, busy]
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY
    assert len(remote.asked) == 3


def test_waits_longer_each_time(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(module, "BACKOFF_S", 1.0)
    monkeypatch.setattr(retry.time, "sleep", waits.append)
    remote.faults = ["503"] * module.MAX_TRIES
    with pytest.raises(FetchError, match=r"503.* 5 times in a row; check the network"):
        fetch(remote.url, tmp_path / "file", progress=False)
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize("refusal", ["404", "403", "410"])
def test_a_refusal_is_final(remote: Remote, tmp_path: Path, refusal: str) -> None:
    remote.faults = [refusal]
    with pytest.raises(FetchError, match=rf"{remote.url}/cat.*{refusal}.*check the address"):
        fetch(f"{remote.url}/cat", tmp_path / "file", progress=False)
    assert len(remote.asked) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("fault", ["too long", "chunked"])
def test_an_incomplete_file_is_not_kept(remote: Remote, tmp_path: Path, fault: str) -> None:
    remote.headers, remote.faults = {}, [fault] * 9
    with pytest.raises(FetchError, match=r"cannot fetch .* 5 times in a row"):
        fetch(remote.url, tmp_path / "file", progress=False)
    assert not (tmp_path / "file").exists()


def test_a_file_of_unannounced_length(remote: Remote, tmp_path: Path) -> None:
    remote.faults = ["unsized"]
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY


def test_an_empty_file(remote: Remote, tmp_path: Path) -> None:
    remote.body = b""
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == b""


def test_googles_md5_is_checked_over_both_parts(remote: Remote, tmp_path: Path) -> None:
    remote.headers["x-goog-hash"] = google_hash(BODY)
    remote.faults = ["cut"]
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY
    assert len(remote.asked) == 2


def test_a_damaged_part_is_fetched_again(remote: Remote, tmp_path: Path) -> None:
    remote.headers["x-goog-hash"] = google_hash(BODY)
    remote.faults = ["ctrl-c"]
    with pytest.raises(KeyboardInterrupt):
        fetch(remote.url, tmp_path / "file", progress=False)
    size = (tmp_path / "file.part").stat().st_size
    (tmp_path / "file.part").write_bytes(bytes(size))
    assert fetch(remote.url, tmp_path / "file", progress=False).read_bytes() == BODY
    assert ranges(remote) == [None, f"bytes={size}-", None]


def test_a_wrong_md5_is_not_kept(remote: Remote, tmp_path: Path) -> None:
    remote.headers["x-goog-hash"] = google_hash(b"something else")
    with pytest.raises(FetchError, match=r"damaged.* 5 times in a row"):
        fetch(remote.url, tmp_path / "file", progress=False)
    assert len(remote.asked) == module.MAX_TRIES
    assert names(tmp_path) == []


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", 0.001)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/cat"
        with pytest.raises(FetchError, match=rf"{url}.*refused.*check the network"):
            fetch(url, tmp_path / "file", progress=False)


@pytest.mark.parametrize(
    "url", ["cat.ndjson", "file:///etc/hostname", "http://a b/", "http://[1/", "http://a:b/"]
)
def test_a_bad_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="cannot fetch"):
        fetch(url, tmp_path / "file", progress=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk(remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_drop", lambda part, _: part.symlink_to("/dev/full"))
    with pytest.raises(FetchError, match=rf"cannot write .*No space.*{remote.url}.*free some"):
        fetch(remote.url, tmp_path / "file", progress=False)
    assert not (tmp_path / "file").exists()


def test_a_folder_that_cannot_be_written(remote: Remote, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    user = os.geteuid()
    os.seteuid(user or 65534)  # nothing is read-only for root
    try:
        with pytest.raises(FetchError, match=r"cannot write .*Permission denied.*choose a folder"):
            fetch(remote.url, folder / "file", progress=False)
    finally:
        os.seteuid(user)


def test_a_file_in_the_place_of_the_folder(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(FetchError, match=r"cannot write .*choose a folder"):
        fetch(remote.url, tmp_path / "data" / "file", progress=False)


def test_the_progress_bar_counts_the_resumed_part(
    remote: Remote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remote.faults = ["cut"]
    fetch(remote.url, tmp_path / "file")
    last = capsys.readouterr().err.split("\r")[-1]
    assert last.startswith("file: 100%")
    assert "1.00M/1.00M" in last


def test_quickdraw_keeps_existing_files(remote: Remote, tmp_path: Path) -> None:
    remote.body = LINE.encode()
    (tmp_path / "cat.ndjson").write_text("mine")
    (tmp_path / "cake.ndjson.gz").write_text("mine too")
    paths = fetch_quickdraw(["cat", "cake", "ice cream"], tmp_path, remote.url + "/", False)
    assert [path.name for path in paths] == ["cat.ndjson", "cake.ndjson.gz", "ice cream.ndjson"]
    assert [path.read_text() for path in paths] == ["mine", "mine too", LINE]
    assert remote.asked == [("/ice cream.ndjson", None)]


def test_quickdraw_takes_its_mirror_from_the_environment(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.body = LINE.encode()
    monkeypatch.setenv("QUICKDRAW_URL", f"{remote.url}/mirror")
    fetch_quickdraw(["cat"], tmp_path, progress=False)
    assert remote.asked == [("/mirror/cat.ndjson", None)]


def test_quickdraw_counts_malformed_lines(
    remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ["{", '{"word": "cat"}', '{"word": 1, "drawing": []}', "[" * 99_999, "[1]", "\udcff"]
    remote.body = (LINE * 3 + "\n".join(bad) + "\n" + LINE).encode(errors="surrogateescape")
    with caplog.at_level(logging.WARNING):
        (path,) = fetch_quickdraw(["cat"], tmp_path, remote.url, progress=False)
    assert path.read_bytes() == remote.body
    assert "cat.ndjson: 6 of 10 lines are malformed" in caplog.text


@pytest.mark.parametrize("body", [b"<!doctype html>\n<title>Log in</title>\n", b""])
def test_quickdraw_refuses_an_error_page(remote: Remote, tmp_path: Path, body: bytes) -> None:
    remote.body = body
    with pytest.raises(FetchError, match=rf"{remote.url}/cat.ndjson was not kept: none of its"):
        fetch_quickdraw(["cat"], tmp_path, remote.url, progress=False)
    assert names(tmp_path) == []
