"""Send broken requests to the real app: `python -m benchmarks.fuzz --requests 10000 --seed 0`.

Every public endpoint with mutated arguments, every event of the page with any data, bodies that are
no JSON, broken pictures, paths to foreign files. Prints JSON and fails if any reply shows
internals of the app or is no sentence, a foreign file or address was touched, or the app has died.
"""

import argparse
import asyncio
import json
import random
import secrets
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from benchmarks import hostile_inputs
from benchmarks.canaries import Canaries, canaries, foreign_connections, logging_environment
from benchmarks.reply_checks import find_violations
from benchmarks.serving import CALLS, FACE, serving
from benchmarks.visitor import API, Reply, ask, client, send, upload, wait_for_event, with_defaults

CONCURRENCY = 8
REQUEST_WEIGHTS = {"call": 45, "event": 20, "picture": 8, "body": 10, "path": 12, "unknown": 5}
MAX_PRINTED = 8  # findings of one kind


class FuzzRun:
    """What is sent, and what came back that must not."""

    def __init__(self, http: httpx.AsyncClient, uploads: Path, seed: int, traps: Canaries) -> None:
        self.http, self.traps, self.seed = http, traps, seed
        self.dice = random.Random(seed)
        self.paths = hostile_inputs.paths(uploads, traps.files, traps.listener)
        self.pictures = hostile_inputs.pictures()
        self.calls: dict[str, list] = {}
        self.events: list[dict] = []
        self.values: dict[int, Any] = {}
        self.sent: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self.findings: dict[str, list[str]] = {}

    async def discover(self) -> None:
        """Learn the endpoints and events of the page, and upload one good photo."""
        self.calls = await with_defaults(self.http, CALLS)
        sent = (await upload(self.http, Path(FACE["path"]).read_bytes(), "face.png")).value()[0]
        for given in self.calls.values():
            given[:] = [FACE | {"path": sent} if value == FACE else value for value in given]
        config = (await self.http.get("/config")).json()
        self.events = config["dependencies"]
        self.values = {c["id"]: c["props"].get("value") for c in config["components"]}

    async def run(self, requests: int) -> None:
        """Send `requests` of them, some at once; each depends on the seed and its number only."""
        await self.discover()
        left = iter(range(requests))

        async def send_all() -> None:
            for number in left:
                dice = random.Random(f"{self.seed}-{number}")
                kind = dice.choices(list(REQUEST_WEIGHTS), list(REQUEST_WEIGHTS.values()))[0]
                await getattr(self, f"_{kind}")(dice, number)

        await asyncio.gather(*(send_all() for _ in range(CONCURRENCY)))

    def check(self, kind: str, number: int, reply: Reply, what: object) -> None:
        """Count a reply, and keep its violations."""
        self.sent[kind] += 1
        self.replies[reply.kind] += 1
        for violation, words in find_violations(reply, self.traps.secret).items():
            text = f"{words[:200]!r} to {kind} {number}: {str(what)[:200]}"
            self.findings.setdefault(violation, []).append(text)

    async def _call(self, dice: random.Random, number: int) -> None:
        name = dice.choice(list(self.calls))
        data = self.calls[name]
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            data = hostile_inputs.mutate(dice, data, self.paths)
        body = hostile_inputs.expand_nesting(json.dumps({"data": data}))
        reply = await send(self.http, f"{API}/call{name}", body)
        self.check("call", number, reply, (name, data))

    async def _event(self, dice: random.Random, number: int) -> None:
        event = dice.choice(self.events)
        data = [self.values.get(i) for i in event["inputs"]]
        for _ in range(dice.choice((0, 1, 1, 2))):
            data = hostile_inputs.mutate(dice, data, self.paths)
        session = f"{number}-{self.seed}" + dice.choice(("", "", "é\u202e", "../x", "a" * 3000))
        body = {"data": data, "fn_index": event["id"], "session_hash": session}
        for name in ("event_data", "trigger_id", "fn_index", "event_id", "batched", "oauth_token"):
            if dice.random() < 0.1:
                body[name] = hostile_inputs.random_value(dice, self.paths)
        where = f"{API}/queue/data?session_hash={quote(session)}"
        text = hostile_inputs.expand_nesting(json.dumps(body))
        reply = await send(self.http, f"{API}/queue/join", text, where)
        self.check("event", number, reply, body)

    async def _picture(self, dice: random.Random, number: int) -> None:
        name = dice.choice(list(self.pictures))
        reply = await upload(self.http, self.pictures[name], name)
        if reply.kind != "complete":
            self.check("picture", number, reply, name)
            return
        file = {"path": reply.value()[0], "meta": hostile_inputs.META}
        call = dice.choice(("/complete_sketch", "/inpaint_face", "/encode_codes"))
        data = [file, *self.calls[call][1:]]
        if call == "/encode_codes":
            data[1] = dice.choice(("digits", "sketches", "faces"))
        self.check("picture", number, await ask(self.http, call, data), (call, name))
        if name == "large.png":
            self.findings.setdefault("9 MB were accepted", []).append(f"picture {number}")

    async def _body(self, dice: random.Random, number: int) -> None:
        name = dice.choice(list(self.calls))
        body = dice.choice(hostile_inputs.broken_bodies({"data": self.calls[name]}))
        url = dice.choice((f"call{name}", f"call/v2{name}", "queue/join", f"run{name}", "cancel"))
        url = dice.choice((url, url, url, "component_server", "reset", "upload", "call/x"))
        reply = await send(self.http, f"{API}/{url}", body)
        self.check("body", number, reply, (url, body[:80]))

    async def _path(self, dice: random.Random, number: int) -> None:
        url = dice.choice(list(hostile_inputs.file_urls(dice.choice(self.paths))))
        self.check("path", number, await self.fetch(url), url)

    async def _unknown(self, dice: random.Random, number: int) -> None:
        if dice.random() < 0.5:
            event = dice.choice(("x", "0" * 32, "%00", "..", quote("\u202e")))
            url = f"{API}/call{dice.choice(list(self.calls))}/{event}"
            try:
                reply = await wait_for_event(self.http, url)
            except httpx.HTTPError as error:
                reply = Reply("lost", type(error).__name__)
        else:
            name = dice.choice(("x", "__class__", "a" * 5000, "on_fill", "%00", ""))
            url = f"{API}/{dice.choice(('call', 'run', 'api', 'call/v2'))}/{name}"
            reply = await send(self.http, url, '{"data": []}')
        self.check("unknown", number, reply, url)

    async def fetch(self, url: str) -> Reply:
        """A page or file, or the refusal of it."""
        try:
            answer = await self.http.get(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Reply("lost", f"{type(error).__name__} {error}")
        kind = "complete" if answer.status_code < 400 else f"http {answer.status_code}"
        return Reply(kind, answer.text, answer.status_code)

    async def check_alive(self) -> None:
        """Check that all endpoints still answer valid calls."""
        for name, data in self.calls.items():
            reply = await ask(self.http, name, data)
            if reply.kind != "complete":
                self.findings.setdefault("a valid call fails", []).append(f"{name}: {reply}")

    def report(self) -> dict[str, Any]:
        """The counts and findings, as JSON."""
        if self.traps.connections:
            self.findings["the canary's port was connected to"] = self.traps.connections
        return {
            "seed": self.seed,
            "requests": dict(self.sent),
            "replies": dict(self.replies.most_common()),
            "findings": {
                what: [len(all_), *all_[:MAX_PRINTED]] for what, all_ in self.findings.items()
            },
        }


async def fuzz(
    url: str, uploads: Path, requests: int, seed: int, then: Callable[[], Awaitable] | None = None
) -> dict[str, Any]:
    """Send `requests` to the app at `url`, whose upload folder is `uploads`; the report."""
    with canaries(uploads) as traps:
        async with client(url, 60) as http:
            session = FuzzRun(http, uploads, seed, traps)
            await session.run(requests)
            await session.check_alive()
            if then:
                await then()
            return session.report()


def main() -> None:
    """Fuzz an app of its own, print the report, fail if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--log", type=Path, help="where the app's own output goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="connections-") as folder:
        log = options.log.open("w") if options.log else None
        with serving(log=log, **logging_environment(Path(folder))) as served:
            report = asyncio.run(fuzz(served.url, served.files, options.requests, options.seed))
            report["alive"] = served.app.poll() is None
            report["foreign_connections"] = foreign_connections(Path(folder), served.url)
            report["rss_mb"] = served.megabytes()
            report["files"], report["files_mb"] = served.kept()
    print(json.dumps(report, indent=2))
    if report["findings"] or report["foreign_connections"] or not report["alive"]:
        raise SystemExit("the run has findings")


if __name__ == "__main__":
    main()
