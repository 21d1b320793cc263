"""Limits of requests: what is refused, and with which sentence."""

import asyncio
import json
import socket
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder

from benchmarks.serving import FACE
from benchmarks.visitor import API, ask, client, send, upload, wait_for_event
from tabs import model_cache
from tabs.codes import handlers as codes
from tabs.inpaint import tab as inpaint
from tabs.server import blocks, limits
from tests.helpers.fake_models import NOISE, load, page

pytestmark = NOISE
STROKES = [[[40, 200], [60, 60]]]
FULL = [STROKES, "any", 2, 1.0, 0, False]


def post(address: str, path: str, body: str) -> tuple[int, str]:
    """Status and sentence of a posted request."""
    kind = {"Content-Type": "application/json"}
    answer = httpx.post(address.rstrip("/") + API + path, content=body, headers=kind)
    return answer.status_code, answer.json()["detail"]


def call(address: str, name: str, data: list):
    async def one():
        async with client(address) as http:
            return await ask(http, name, data)

    return asyncio.run(one())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/call/complete_sketch", "{", 422),
        ("/call/complete_sketch", '{"data": "x"}', 422),
        ("/call/complete_sketch", '{"data": [NaN], "session_hash": 7}', 422),
        ("/call/complete_sketch", "[" * 100_000, 400),
        ("/call/nobody", '{"data": []}', 400),
        ("/call/v2/nobody", "{}", 400),
        ("/queue/join", '{"data": [], "fn_index": 999, "session_hash": "a"}', 400),
    ],
)
def test_a_malformed_request_is_refused_with_a_sentence(address, path, body, status):
    assert post(address, path, body) == (status, limits.REASONS[status])


@pytest.mark.parametrize("path", ["run/complete_sketch", "api/complete_sketch"])
def test_no_address_bypasses_the_queue(address, path):
    answer = httpx.post(f"{address}gradio_api/{path}", json={"data": FULL})
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["process_recording", "component_server"])
def test_addresses_that_the_page_does_not_need_are_closed(address, path):
    answer = httpx.post(f"{address}gradio_api/{path}", files={"video": b"x"})
    assert (answer.status_code, answer.json()["detail"]) == (404, limits.REASONS[404])


def test_usage_statistics_are_not_public(address):
    assert httpx.get(f"{address}monitoring/summary").status_code == 403


def test_too_few_values_are_counted(address):
    reply = call(address, "/complete_sketch", FULL[:2])
    assert reply.kind == "error"
    assert reply.value()["error"] == "This needs 6 values, not 2."


@pytest.mark.parametrize(
    "link", ["http://canary.invalid/x.png", "HTTPS://canary.invalid", " http://canary.invalid"]
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_link_is_not_fetched(address, monkeypatch, link, place):
    looked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **_: looked.append(a) or [])
    data = list(FULL)
    data[place] = [{"path": link, "meta": {"_type": "gradio.FileData"}}]
    reply = call(address.replace("localhost", "127.0.0.1"), "/complete_sketch", data)
    assert "must be uploaded" in reply.value()["error"]
    assert not [found for found in looked if "canary" in str(found)]


def test_an_error_inside_gradio_is_a_sentence(address):
    reply = call(address, "/complete_sketch", [STROKES, {"path": "x", "meta": 7}, 2, 1.0, 0, False])
    assert reply.value()["error"] == blocks.GENERIC_ERROR
    assert call(address, "/complete_sketch", FULL).kind == "complete"


def test_an_unknown_choice_is_a_sentence(address):
    body = json.dumps({"data": [{}, {}, "x" * 1000, None, 4, 1.0, 0]})
    where, kind = f"{address.rstrip('/')}{API}/run/inpaint_ask", "application/json"
    reply = httpx.post(where, content=body, headers={"Content-Type": kind})
    assert reply.json()["error"] == blocks.GENERIC_ERROR


def test_a_page_is_told_to_ask_again_while_too_many_wait(monkeypatch):
    monkeypatch.setattr(blocks, "MAX_WAITING", 0)
    with page(monkeypatch) as served:
        body = json.dumps({"data": [1, {"strokes": []}, "any", 4, 1.0, 0]})
        where = f"{served.local_url.rstrip('/')}{API}/run/sketch_ask"
        reply = httpx.post(where, content=body, headers={"Content-Type": "application/json"})
    assert reply.json()["title"] == "Busy"


def test_an_unknown_event_is_over(address):
    async def one():
        async with client(address) as http:
            return await wait_for_event(http, f"{API}/call/complete_sketch/nothing")

    assert asyncio.run(one()).text == '"This request is over, or never existed."'


def test_only_files_of_the_upload_folder_are_served(address, tmp_path):
    canary = tmp_path / "canary.png"
    canary.write_text("secret")
    uploads = Path(get_upload_folder())
    link = uploads / "link.png"
    link.symlink_to(canary)
    paths = [canary, link, f"{uploads}/../../etc/passwd", "app.py", uploads, "a" * 5000]
    paths += ["http://127.0.0.1:9/x", "%00", f"{uploads}/%2e%2e/%2e%2e/etc/passwd"]
    try:
        for path in paths:
            for spelling in ("file=", "file/"):
                answer = httpx.get(f"{address}gradio_api/{spelling}{path}")
                assert answer.status_code in (403, 414), path
                assert "secret" not in answer.text
    finally:
        link.unlink()


def test_uploads_and_results_are_served(address):
    async def both():
        data = Path(FACE["path"]).read_bytes()
        async with client(address) as http:
            sent = (await upload(http, data, "my face, 100 %.png")).value()[0]
            same = await http.get(f"{API}/file={sent}")
            made = (await ask(http, "/complete_sketch", FULL)).value()[0]
            picture = await http.get(f"{API}/file={made[0]['path']}")
            return data == same.content, picture.content[:4], len(made)

    assert asyncio.run(both()) == (True, b"\x89PNG", 2)


def test_a_large_body_is_refused(address):
    def parts():
        for _ in range(10):
            yield b" " * 2**20

    limit = json.dumps({"data": ["x" * limits.MAX_BYTES]})
    assert post(address, "/call/complete_sketch", limit) == (413, limits.REASONS[413])
    answer = httpx.post(f"{address}gradio_api/queue/join", content=parts())
    assert (answer.status_code, answer.json()["detail"]) == (413, limits.REASONS[413])


def test_a_large_file_is_refused_and_two_as_well(address):
    before = set(Path(get_upload_folder()).iterdir())
    for files in ([9], [8.5], [5, 5]):
        sent = [("files", ("x.png", b"\0" * int(size * 2**20))) for size in files]
        answer = httpx.post(f"{address}gradio_api/upload", files=sent)
        assert answer.status_code == 413, files
        assert set(Path(get_upload_folder()).iterdir()) == before
    assert httpx.post(f"{address}gradio_api/upload", files=sent[:1]).status_code == 200


def test_a_body_that_does_not_arrive_times_out(monkeypatch):
    monkeypatch.setattr(limits, "BODY_TIMEOUT_S", 0.3)
    with page(monkeypatch) as served:
        host, port = "127.0.0.1", served.server_port
        for path, kind in (("upload", "multipart/form-data; boundary=x"), ("queue/join", "a/b")):
            head = f"POST {API}/{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99\r\n"
            with socket.create_connection((host, port), 20) as link:
                link.sendall(f"{head}Content-Type: {kind}\r\n\r\n--x".encode())
                said = b""
                while part := link.recv(4096):
                    said += part
            assert b" 408 " in said.splitlines()[0]
            assert limits.REASONS[408].encode() in said


def test_a_full_queue_has_its_own_status(monkeypatch):
    async def crowd(address):
        async with client(address) as http:
            body = json.dumps({"data": FULL})
            return await asyncio.gather(
                *(send(http, f"{API}/call/complete_sketch", body) for _ in range(12))
            )

    with page(monkeypatch) as served:
        served._queue.max_size = 2
        replies = asyncio.run(crowd(served.local_url))
    assert {reply.kind for reply in replies} == {"complete", "full"}


VALUES = [None, [], "x", 7, [[1]], {"chosen": [1]}, {"presets": 7}, {"eyes": {}}, {"open": 7}, {}]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_handler_refuses_a_value_of_the_wrong_form(monkeypatch, value):
    monkeypatch.setattr(model_cache, "load", load)
    settings = ("as it comes", "as it comes", 4, 1.0, 0)
    with pytest.raises(gr.Error, match=r"\.['\"]$"):
        inpaint.on_download({"chosen": value or 7}, value, *settings)
    todo = [{"do": "picture", "slot": "A", "picture": value, "n": 1}, {"do": "text", "n": 2}]
    assert codes.answer({"todo": todo})[0]["refused"]
    note = inpaint.answer(value, *settings)[1]["note"]
    assert note.endswith(".")
