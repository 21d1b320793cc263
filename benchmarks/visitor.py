"""A client of the running app that speaks Gradio's HTTP protocol and classifies the replies."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import httpx

API = "/gradio_api"
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=200, keepalive_expiry=2)


class Reply(NamedTuple):
    """How a request ended: "complete", "error" (of the event), "full", "http <status>", "lost"."""

    kind: str
    text: str
    status: int = 0

    def value(self) -> Any:
        """The text as JSON; None if it is not JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


def client(url: str, timeout: float = 120) -> httpx.AsyncClient:
    """An HTTP client of the app at `url`, with any number of connections."""
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=LIMITS, trust_env=False)


async def upload(http: httpx.AsyncClient, data: bytes, name: str) -> Reply:
    """Send a file; a complete one's value is a list with its path on the server."""
    try:
        return _posted(await http.post(f"{API}/upload", files={"files": (name, data)}))
    except httpx.HTTPError as error:
        return Reply("lost", type(error).__name__)


async def ask(http: httpx.AsyncClient, name: str, data: list) -> Reply:
    """Call a public endpoint such as "/edit_codes" and wait for its answer."""
    return await send(http, f"{API}/call{name}", json.dumps({"data": data}))


async def with_defaults(http: httpx.AsyncClient, calls: dict[str, tuple]) -> dict[str, list]:
    """The arguments of `calls` with the defaults of those left out: plain HTTP must send all."""
    known = (await http.get(f"{API}/info")).json()["named_endpoints"]
    left = {name: known[name]["parameters"][len(given) :] for name, given in calls.items()}
    return {
        name: [*given, *(parameter["parameter_default"] for parameter in left[name])]
        for name, given in calls.items()
    }


async def send(http: httpx.AsyncClient, where: str, body: str | bytes, listen: str = "") -> Reply:
    """Post a raw body; where it starts an event, wait for that at `listen`, or its own address."""
    try:
        posted = await http.post(where, content=body, headers={"Content-Type": "application/json"})
        reply = _posted(posted)
        message = reply.value()
        if reply.kind != "complete" or not isinstance(message, dict) or "event_id" not in message:
            return reply
        return await wait_for_event(http, listen or f"{where}/{message['event_id']}")
    except httpx.HTTPError as error:
        return Reply("lost", type(error).__name__)


async def wait_for_event(http: httpx.AsyncClient, where: str) -> Reply:
    """The end of an event's stream, in either of Gradio's two forms."""
    event = ""
    async with http.stream("GET", where) as stream:
        if stream.status_code != 200:
            await stream.aread()
            return _posted(stream)
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event in ("complete", "error"):
                return Reply(event, line.removeprefix("data: "), 200)
            elif line.startswith("data: ") and not event:
                message = json.loads(line.removeprefix("data: "))
                if message["msg"] in ("process_completed", "unexpected_error"):
                    kind = "complete" if message.get("success") else "error"
                    text = message.get("output") or message.get("message")
                    return Reply(kind, json.dumps(text), 200)
    return Reply("lost", "the stream ended without an answer", 200)


def _posted(answer: httpx.Response) -> Reply:
    if answer.status_code == 200:
        return Reply("complete", answer.text, 200)
    full = answer.status_code == 503 and "queue is full" in answer.text.lower()
    return Reply("full" if full else f"http {answer.status_code}", answer.text, answer.status_code)


class Visitor:
    """Calls random endpoints, with a photo of its own, and waits when the queue is full."""

    def __init__(self, http: httpx.AsyncClient, calls: dict[str, list], seed: int) -> None:
        self.http, self.calls = http, calls
        self.dice = random.Random(seed)
        self.photos: dict[str, str] = {}
        self.refused = 0

    async def arguments(self, name: str) -> list:
        """The arguments of a call of `name`; a file is uploaded first, one time in ten again."""
        found = []
        for value in self.calls[name]:
            if isinstance(value, dict) and "path" in value:
                here = value["path"]
                if here not in self.photos or self.dice.random() < 0.1:
                    own = Path(here).read_bytes() + self.dice.randbytes(8)  # after the PNG's end
                    self.photos[here] = (await upload(self.http, own, "face.png")).value()[0]
                value = value | {"path": self.photos[here]}
            found.append(value)
        return found

    async def visit(self, timeout: float) -> tuple[str, Reply]:
        """One call of any endpoint; a full queue is tried again for `timeout` s."""
        name = self.dice.choice(list(self.calls))
        clock = asyncio.get_running_loop().time
        until = clock() + timeout
        arguments = await self.arguments(name)
        while True:
            reply = await ask(self.http, name, arguments)
            if reply.kind != "full" or clock() > until:
                return name, reply
            self.refused += 1
            await asyncio.sleep(0.2 + 0.4 * self.dice.random())
