"""Broken requests to the app with fake models; and that the checks detect violations."""

import asyncio
import io
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from benchmarks import hostile_inputs
from benchmarks.canaries import canaries, foreign_connections, logging_environment
from benchmarks.fuzz import REQUEST_WEIGHTS, fuzz
from benchmarks.reply_checks import find_violations
from benchmarks.visitor import Reply
from tests.helpers.fake_models import NOISE

pytestmark = NOISE
SECRET = "canary0123"
BAD = {
    "no answer": Reply("lost", "ReadError"),
    "status 500": Reply("http 500", '{"detail": "Internal Server Error"}', 500),
    "status 503": Reply("http 503", '{"detail": "Queue is stopped."}', 503),
    "the canary's secret": Reply("complete", f"root {SECRET}", 200),
    "a stack trace": Reply("complete", "Traceback (most recent call last)", 200),
    "an error without a sentence": Reply("http 422", '{"detail": [{"loc": ["body"]}]}', 422),
    "internals in an error": Reply("error", '{"error": "A KeyError was raised."}', 200),
    "not one short sentence": Reply("error", '{"error": "list"}', 200),
}
GOOD = [
    Reply("complete", "[1]", 200),
    Reply("full", '{"detail": "Queue is full. Max size is 32."}', 503),
    Reply("http 404", '{"detail": "Not Found"}', 404),
    Reply("error", '{"error": "Draw something first: one stroke is enough."}', 200),
]


@pytest.fixture
def calls(monkeypatch):
    """Ports that this process connects to, and names that it looks up, without the test's own."""
    found = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connecting(link, place):
        found.append(str(place))
        return connect(link, place)

    def looking(host, port, *how, **more):
        found.append(f"{host} {port}")
        return look_up(host, port, *how, **more)

    monkeypatch.setattr(socket.socket, "connect", connecting, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", looking)
    return found


def test_broken_requests_violate_no_rule(address, calls):
    report = asyncio.run(fuzz(address, Path(get_upload_folder()), 500, seed=7))
    assert report["findings"] == {}
    assert set(report["requests"]) == set(REQUEST_WEIGHTS)
    assert {"error", "complete", "http 400", "http 403", "http 422"} <= set(report["replies"])
    port = address.strip("/").rpartition(":")[2]
    assert [place for place in calls if port not in place] == []


@pytest.mark.parametrize("what", BAD)
def test_a_bad_reply_violates_a_rule(what: str):
    assert what in find_violations(BAD[what], SECRET)


@pytest.mark.parametrize("reply", GOOD, ids=str)
def test_a_good_reply_violates_none(reply: Reply):
    assert find_violations(reply, SECRET) == {}


def test_the_same_seed_makes_the_same_values():
    value = [[[[40, 200], [60, 60]]], "any", {"path": "x"}, 1.0]
    made = [
        [
            str(hostile_inputs.mutate(random.Random(seed), value, ["/etc/passwd"]))
            for seed in range(200)
        ]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(set(made[0])) > 100
    assert str(value) not in made[0]


def test_the_decompression_bomb_is_one():
    data = hostile_inputs.decompression_bomb(300)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.getextrema() == (0, 0)
        assert picture.size == (300, 300)
    large = hostile_inputs.decompression_bomb(30_000)
    assert len(large) < 2_000_000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(large))


def test_a_connection_to_the_canary_is_recorded(tmp_path: Path):
    with canaries(tmp_path) as traps:
        host, _, port = traps.listener.partition(":")
        with socket.create_connection((host, int(port))) as link:
            link.recv(1)
        assert len(traps.connections) == 1
        assert all(file.read_text() == traps.secret for file in traps.files)
        links = [path for path in tmp_path.rglob("*.*") if path.is_symlink()]
        assert {path.read_text() for path in links} == {traps.secret}
    assert not any(file.exists() for file in traps.files)
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]


def test_an_app_logs_its_connections(tmp_path: Path):
    script = "import socket; socket.socket().connect_ex(('127.0.0.1', 9)); socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 4321))"  # noqa: E501
    env = logging_environment(tmp_path)
    subprocess.run([sys.executable, "-c", script], env=env, check=True)
    assert foreign_connections(tmp_path, "http://127.0.0.1:4321") == [
        "socket.connect ('127.0.0.1', 9) "
    ]
