"""A fake Hub on 127.0.0.1 with the endpoints that huggingface_hub 2 uses, and with faults.

Repositories with commits, small files in git, large ones behind LFS on a second host (`localhost`,
which must never see the token), checked as they arrive: a wrong SHA-256 is refused.
"""

import base64
import hashlib
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest
from huggingface_hub import constants

TOKEN = "hf_standin"
LARGE = 100_000  # bytes: from here on a file goes through LFS, as *.safetensors always does
REPO = r"(?:(?P<kind>models|spaces)/)?(?P<repo>[\w.-]+/[\w.-]+)"


@dataclass
class Repo:
    """Its commits, the last one last: what each path holds."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def commit(self, files: dict[str, bytes]) -> str:
        """A new commit with a name of git's form."""
        names = sorted((path, hashlib.sha256(data).hexdigest()) for path, data in files.items())
        seed = f"{len(self.commits)} {names}"
        self.commits.append((hashlib.sha1(seed.encode()).hexdigest(), dict(files)))
        return self.commits[-1][0]

    def at(self, revision: str) -> tuple[str, dict[str, bytes]]:
        """The commit of this name, or the last one."""
        return next((c for c in self.commits if c[0] == revision), self.commits[-1])


@dataclass
class FakeHub:
    """All that it holds; `faults` are (pattern of "METHOD /path", fault), each used once."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # "METHOD /path"
    bugs: list[BaseException | None] = field(default_factory=list)
    sent: int = 0  # bytes of bodies that were put here, LFS and commits

    def fault(self, line: str) -> str:
        """The first fault that waits for this request, if any."""
        for i, (pattern, kind) in enumerate(self.faults):
            if re.search(pattern, line):
                del self.faults[i]
                return kind
        return ""

    def count(self, pattern: str) -> int:
        """How many requests were like this."""
        return sum(bool(re.search(pattern, line)) for line in self.requests)


class Server(ThreadingHTTPServer):
    """Waits for its threads when it closes, so that no test leaks a socket."""

    daemon_threads = False
    hub: FakeHub

    def handle_error(self, *_: object) -> None:
        """A client that goes away is part of these tests; anything else is a bug here."""
        if not isinstance(error := sys.exception(), OSError | ValueError):
            self.hub.bugs.append(error)


def is_large(path: str, size: int) -> bool:
    return size >= LARGE or path.endswith(".safetensors")


def git_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Each request finds its method in ROUTES."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.act()

    do_HEAD = do_POST = do_PUT = do_GET

    def act(self) -> None:
        """Break as the fault says, check the token, answer."""
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        line = f"{self.command} {path}"
        hub.requests.append(line)
        self.broken = hub.fault(line)
        self.close_connection = True
        if self.broken == "half":  # the connection breaks in the middle of what is sent here
            self.rfile.read(int(self.headers["Content-Length"]) // 2)
            return self.reset()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.broken.isdecimal():
            return self.answer({"error": "a fault"}, int(self.broken))
        if self.broken == "reset":
            return self.reset()
        granted = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        stored = path.startswith("/lfs/")  # a signed address: no token
        if stored and "Authorization" in self.headers:
            return self.answer({"error": "the token left the Hub"}, 400)
        if self.command in ("POST", "PUT") and not stored and not granted:
            return self.answer({"error": "Invalid username or password."}, 401)
        for pattern, method in ROUTES.items():
            if found := re.fullmatch(pattern, line):
                parts = found.groupdict()
                name = f"{'spaces/' if parts.get('kind') == 'spaces' else ''}{parts.get('repo')}"
                repo = hub.repos.get(name)
                if "repo" in parts and (repo is None or (repo.private and not granted)):
                    return self.answer({"error": "Repository not found"}, 401, code="RepoNotFound")
                self.repo, self.parts, self.body = repo, parts, body
                return method(self)
        return self.answer({"error": f"the fake Hub has no {line}"}, 404)

    def reset(self) -> None:
        """Leave the line at once, as a broken one does."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def answer(self, content: object, status: int = 200, code: str = "") -> None:
        """JSON; the fault `lost` does the work and then breaks the connection."""
        if self.broken == "lost":
            return self.reset()
        headers = {"X-Error-Code": code} if code else {}
        return self.send(json.dumps(content).encode(), status, headers)

    def send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        """All of `data`, or half of it and then nothing."""
        self.send_response(status)
        known = {"Content-Length": str(len(data)), "Connection": "close"}
        for name, value in (known | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        complete = self.broken not in ("cut", "cut off")
        self.wfile.write(data if complete else data[: len(data) // 2])
        self.wfile.flush()
        if self.broken == "cut off":
            self.reset()

    def create(self) -> None:
        content = json.loads(self.body)
        kind = "spaces/" if content["type"] == "space" else ""
        if kind and content["sdk"] != "gradio":
            return self.answer({"error": "no such sdk"}, 400)
        name = f"{kind}{content['organization']}/{content['name']}"
        is_new = name not in self.server.hub.repos
        if is_new:
            repo = Repo(content.get("visibility") == "private")
            repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
            self.server.hub.repos[name] = repo
        self.answer({"url": f"{self.server.hub.url}/{name}"}, 200 if is_new else 409)

    def validate(self) -> None:
        good = json.loads(self.body)["content"].startswith("---\n")
        errors = [] if good else [{"message": "no metadata"}]
        self.answer({"errors": errors, "warnings": []}, 200 if good else 400)

    def info(self) -> None:
        sha, files = self.repo.at(self.parts["revision"] or "main")
        siblings = [{"rfilename": path} for path in files]
        self.answer({"id": self.parts["repo"], "sha": sha, "siblings": siblings})

    def tree(self) -> None:
        entries: list[dict] = []
        _, files = self.repo.at(self.parts["revision"])
        for folder in sorted({path.rpartition("/")[0] for path in files} - {""}):
            entries.append({"type": "directory", "path": folder, "oid": "0" * 40, "size": 0})
        for path, data in files.items():
            entry = {"type": "file", "path": path, "size": len(data), "oid": git_sha(data)}
            if is_large(path, len(data)):
                sha = hashlib.sha256(data).hexdigest()
                entry |= {"oid": "1" * 40, "lfs": {"oid": sha, "size": len(data)}}
                entry["lfs"]["pointerSize"] = 134
            entries.append(entry)
        self.answer(entries)

    def preupload(self) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if is_large(file["path"], file["size"]) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        self.answer({"files": files})

    def batch(self) -> None:
        objects = json.loads(self.body)["objects"]
        away = self.server.hub.url.replace("127.0.0.1", "localhost")
        for wanted in objects:
            if wanted["oid"] not in self.server.hub.large:
                wanted["actions"] = {"upload": {"href": f"{away}/lfs/{wanted['oid']}"}}
        self.answer({"transfer": "basic", "objects": objects})

    def put(self) -> None:
        if hashlib.sha256(self.body).hexdigest() != self.parts["oid"]:
            return self.answer({"error": "not the SHA-256 that was announced"}, 422)
        self.server.hub.sent += len(self.body)
        self.server.hub.large[self.parts["oid"]] = self.body
        return self.answer({})

    def commit(self) -> None:
        files = dict(self.repo.at(self.parts["revision"])[1])
        for line in self.body.decode().splitlines():
            content = json.loads(line)
            value = content["value"]
            if content["key"] == "header" and value.get("parentCommit") not in (
                None,
                self.repo.commits[-1][0],
            ):
                return self.answer({"error": "the branch has moved"}, 412)
            if content["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif content["key"] == "lfsFile":
                files[value["path"]] = self.server.hub.large[value["oid"]]
            elif content["key"] == "deletedFile":
                del files[value["path"]]
        self.server.hub.sent += len(self.body)
        sha = self.repo.commit(files)
        kind = "spaces/" if self.parts["kind"] == "spaces" else ""
        url = f"{self.server.hub.url}/{kind}{self.parts['repo']}/commit/{sha}"
        return self.answer({"commitUrl": url, "commitOid": sha})

    def resolve(self) -> None:
        sha, files = self.repo.at(self.parts["revision"])
        if sha != self.parts["revision"] != "main":
            return self.answer({"error": "no such revision"}, 404, code="RevisionNotFound")
        headers, data = {"X-Repo-Commit": sha}, files.get(self.parts["path"])
        if data is None:
            return self.answer({"error": "no such file"}, 404, code="EntryNotFound")
        if not is_large(self.parts["path"], len(data)):
            headers["ETag"] = f'"{git_sha(data)}"'
            return self.send(self.altered(data), 200, headers)
        oid = hashlib.sha256(data).hexdigest()
        headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
        headers["Location"] = self.server.hub.url.replace("127.0.0.1", "localhost") + f"/lfs/{oid}"
        return self.send(b"", 302, headers)

    def get(self) -> None:
        data = self.altered(self.server.hub.large[self.parts["oid"]])
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted is None:
            return self.send(data, 200, {"ETag": f'"{self.parts["oid"]}"'})
        start = int(wanted[1])
        span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return self.send(data[start:], 206, span)

    def altered(self, data: bytes) -> bytes:
        """What a tampering server sends: as long, one byte another."""
        return data[:-1] + bytes([data[-1] ^ 1]) if self.broken == "alter" else data


ROUTES = {
    r"POST /api/repos/create": Handler.create,
    r"POST /api/validate-yaml": Handler.validate,
    rf"GET /api/{REPO}(?:/revision/(?P<revision>[^/]+))?": Handler.info,
    rf"GET /api/{REPO}/tree/(?P<revision>[^/]+)": Handler.tree,
    rf"POST /api/{REPO}/preupload/(?P<revision>[^/]+)": Handler.preupload,
    rf"POST /{REPO}\.git/info/lfs/objects/batch": Handler.batch,
    rf"POST /api/{REPO}/commit/(?P<revision>[^/]+)": Handler.commit,
    r"PUT /lfs/(?P<oid>[0-9a-f]{64})": Handler.put,
    r"GET /lfs/(?P<oid>[0-9a-f]{64})": Handler.get,
    rf"(?:GET|HEAD) /{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": Handler.resolve,
}


@contextmanager
def serving() -> Iterator[FakeHub]:
    """An empty Hub on a free port."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.hub = FakeHub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.hub
        finally:
            huggingface_hub.close_session()
            server.shutdown()
            thread.join()
    if server.hub.bugs:
        raise ExceptionGroup("the fake Hub is broken", server.hub.bugs)


def point_at(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, cache: object) -> None:
    """Make huggingface_hub of this process talk to `hub` only, and forget what it knows."""
    huggingface_hub.close_session()
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("LATENT_STUDIO_REPO", raising=False)


def environment(hub: FakeHub, cache: object) -> dict[str, str]:
    """The same for another process."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": TOKEN,
    }
