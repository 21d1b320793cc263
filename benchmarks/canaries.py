"""Detectors of what the app must never do: read a foreign file, or connect to anything."""

import secrets
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving import ROOT


class Canaries(NamedTuple):
    """Files that hold a secret, and an address that nobody may connect to."""

    secret: str
    files: list[Path]
    listener: str
    connections: list[str]


@contextmanager
def canaries(uploads: Path) -> Iterator[Canaries]:
    """Canaries in the repository, in the temporary folder, and behind links in `uploads`."""
    secret = f"canary{secrets.token_hex(16)}"
    connections: list[str] = []
    with (
        tempfile.NamedTemporaryFile("w", dir=ROOT, prefix=".canary-", suffix=".tmp") as one,
        tempfile.NamedTemporaryFile("w", prefix="canary-", suffix=".png") as two,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        for file in (one, two):
            file.write(secret)
            file.flush()
        files = [Path(one.name), Path(two.name)]
        folder = uploads / ("0" * 64)
        folder.mkdir(parents=True, exist_ok=True)
        links = [folder / "link.png", folder / "link.txt"]
        for link, file in zip(links, files, strict=True):
            link.symlink_to(file)
        (folder / "out").symlink_to(ROOT)
        threading.Thread(target=_listen, args=(server, connections), daemon=True).start()
        try:
            listener = f"127.0.0.1:{server.getsockname()[1]}"
            yield Canaries(secret, files, listener, connections)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for link in (*links, folder / "out"):
                link.unlink(missing_ok=True)


def _listen(server: socket.socket, connections: list[str]) -> None:
    """Record who connects, until the socket is shut."""
    while True:
        try:
            link, who = server.accept()
        except OSError:
            return
        connections.append(f"{who}")
        link.close()


def log_connections(log: Path) -> None:
    """Write every address that this process looks up or connects to as a line to `log`."""

    def hook(event: str, arguments: tuple) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
            address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
            port = arguments[1] if event == "socket.getaddrinfo" else ""
            with log.open("a") as file:
                file.write(f"{event} {address} {port}\n")

    sys.addaudithook(hook)


def logging_environment(folder: Path) -> dict[str, str]:
    """Environment that makes an app log its connections to `folder`/connections."""
    script = f"""import pathlib, sys
sys.path.append({str(ROOT)!r})
from benchmarks import canaries
sys.path.pop()
canaries.log_connections(pathlib.Path({str(folder / "connections")!r}))
"""
    (folder / "sitecustomize.py").write_text(script)
    (folder / "connections").touch()
    return {"PYTHONPATH": str(folder)}


def foreign_connections(folder: Path, url: str) -> list[str]:
    """The logged addresses other than the app itself."""
    own = url.rpartition(":")[2]
    lines = (folder / "connections").read_text().splitlines()
    return [line for line in lines if own not in line]
