"""Throws broken requests at the real app: `python -m benchmarks.fuzz --requests 10000 --seed 0`.

Every public endpoint with mutated arguments, every event of the page with any data, bodies that are
no JSON, broken pictures, roads to other people's files. Prints JSON and fails if any reply shows
the app's innards or is no sentence, a foreign file or address was touched, or the app has died.
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

from benchmarks import hostile
from benchmarks.canary import Canaries, canaries, overheard_app, strangers
from benchmarks.serving import CALLS, FACE, serving
from benchmarks.verdict import find_violations
from benchmarks.visitor import API, Reply, ask, client, send, upload, wait_for_event

AT_ONCE = 8
SHARES = {"call": 45, "event": 20, "picture": 8, "body": 10, "road": 12, "stray": 5}
PRINTED = 8  # findings of one kind


class Siege:
    """What is thrown, and what came back that must not."""

    def __init__(self, http: httpx.AsyncClient, uploads: Path, seed: int, traps: Canaries) -> None:
        self.http, self.traps, self.seed = http, traps, seed
        self.dice = random.Random(seed)
        self.places = hostile.paths(uploads, traps.files, traps.listener)
        self.pictures = hostile.pictures()
        self.calls: dict[str, list] = {}
        self.events: list[dict] = []
        self.values: dict[int, Any] = {}
        self.thrown: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self.findings: dict[str, list[str]] = {}

    async def look(self) -> None:
        """Learn the endpoints and events of the page, and upload one good photo."""
        self.calls = await whole(self.http, CALLS)
        sent = (await upload(self.http, Path(FACE["path"]).read_bytes(), "face.png")).value()[0]
        for given in self.calls.values():
            given[:] = [FACE | {"path": sent} if value == FACE else value for value in given]
        config = (await self.http.get("/config")).json()
        self.events = config["dependencies"]
        self.values = {c["id"]: c["props"].get("value") for c in config["components"]}

    async def run(self, requests: int) -> None:
        """Throw them, some at once; each is drawn from the seed and its number."""
        await self.look()
        left = iter(range(requests))

        async def throw() -> None:
            for number in left:
                dice = random.Random(f"{self.seed}-{number}")
                kind = dice.choices(list(SHARES), list(SHARES.values()))[0]
                await getattr(self, f"_{kind}")(dice, number)

        await asyncio.gather(*(throw() for _ in range(AT_ONCE)))

    def judge(self, kind: str, number: int, reply: Reply, what: object) -> None:
        """Count a reply, and keep it if it must not be."""
        self.thrown[kind] += 1
        self.replies[reply.kind] += 1
        for complaint, words in find_violations(reply, self.traps.secret).items():
            text = f"{words[:200]!r} to {kind} {number}: {str(what)[:200]}"
            self.findings.setdefault(complaint, []).append(text)

    async def _call(self, dice: random.Random, number: int) -> None:
        name = dice.choice(list(self.calls))
        data = self.calls[name]
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            data = hostile.mutated(dice, data, self.places)
        body = hostile.nested(json.dumps({"data": data}))
        reply = await send(self.http, f"{API}/call{name}", body)
        self.judge("call", number, reply, (name, data))

    async def _event(self, dice: random.Random, number: int) -> None:
        event = dice.choice(self.events)
        data = [self.values.get(i) for i in event["inputs"]]
        for _ in range(dice.choice((0, 1, 1, 2))):
            data = hostile.mutated(dice, data, self.places)
        session = f"{number}-{self.seed}" + dice.choice(("", "", "é\u202e", "../x", "a" * 3000))
        body = {"data": data, "fn_index": event["id"], "session_hash": session}
        for name in ("event_data", "trigger_id", "fn_index", "event_id", "batched", "oauth_token"):
            if dice.random() < 0.1:
                body[name] = hostile.argument(dice, self.places)
        where = f"{API}/queue/data?session_hash={quote(session)}"
        sent = hostile.nested(json.dumps(body))
        reply = await send(self.http, f"{API}/queue/join", sent, where)
        self.judge("event", number, reply, body)

    async def _picture(self, dice: random.Random, number: int) -> None:
        name = dice.choice(list(self.pictures))
        reply = await upload(self.http, self.pictures[name], name)
        if reply.kind != "complete":
            self.judge("picture", number, reply, name)
            return
        file = {"path": reply.value()[0], "meta": hostile.META}
        call = dice.choice(("/complete_sketch", "/inpaint_face", "/encode_codes"))
        data = [file, *self.calls[call][1:]]
        if call == "/encode_codes":
            data[1] = dice.choice(("digits", "sketches", "faces"))
        self.judge("picture", number, await ask(self.http, call, data), (call, name))
        if name == "large.png":
            self.findings.setdefault("9 MB were taken", []).append(f"picture {number}")

    async def _body(self, dice: random.Random, number: int) -> None:
        name = dice.choice(list(self.calls))
        body = dice.choice(hostile.bodies({"data": self.calls[name]}))
        road = dice.choice((f"call{name}", f"call/v2{name}", "queue/join", f"run{name}", "cancel"))
        road = dice.choice((road, road, road, "component_server", "reset", "upload", "call/x"))
        reply = await send(self.http, f"{API}/{road}", body)
        self.judge("body", number, reply, (road, body[:80]))

    async def _road(self, dice: random.Random, number: int) -> None:
        road = dice.choice(list(hostile.roads(dice.choice(self.places))))
        self.judge("road", number, await self.fetched(road), road)

    async def _stray(self, dice: random.Random, number: int) -> None:
        if dice.random() < 0.5:
            event = dice.choice(("x", "0" * 32, "%00", "..", quote("\u202e")))
            road = f"{API}/call{dice.choice(list(self.calls))}/{event}"
            try:
                reply = await wait_for_event(self.http, road)
            except httpx.HTTPError as error:
                reply = Reply("lost", type(error).__name__)
        else:
            name = dice.choice(("x", "__class__", "a" * 5000, "on_fill", "%00", ""))
            road = f"{API}/{dice.choice(('call', 'run', 'api', 'call/v2'))}/{name}"
            reply = await send(self.http, road, '{"data": []}')
        self.judge("stray", number, reply, road)

    async def fetched(self, road: str) -> Reply:
        """A page or file, or the refusal of it."""
        try:
            answer = await self.http.get(road)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Reply("lost", f"{type(error).__name__} {error}")
        kind = "complete" if answer.status_code < 400 else f"http {answer.status_code}"
        return Reply(kind, answer.text, answer.status_code)

    async def survived(self) -> None:
        """All endpoints still answer good calls."""
        for name, data in self.calls.items():
            reply = await ask(self.http, name, data)
            if reply.kind != "complete":
                self.findings.setdefault("a good call fails", []).append(f"{name}: {reply}")

    def report(self) -> dict[str, Any]:
        """What happened, as JSON."""
        if self.traps.knocks:
            self.findings["the canary's port was asked"] = self.traps.knocks
        return {
            "seed": self.seed,
            "requests": dict(self.thrown),
            "replies": dict(self.replies.most_common()),
            "findings": {
                what: [len(all_), *all_[:PRINTED]] for what, all_ in self.findings.items()
            },
        }


async def besiege(
    url: str, uploads: Path, requests: int, seed: int, then: Callable[[], Awaitable] | None = None
) -> dict[str, Any]:
    """Throw `requests` at the app at `url`, which keeps its files in `uploads`: the report."""
    with canaries(uploads) as traps:
        async with client(url, 60) as http:
            siege = Siege(http, uploads, seed, traps)
            await siege.run(requests)
            await siege.survived()
            if then:
                await then()
            return siege.report()


def main() -> None:
    """Besiege an app of its own, print, fail if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--log", type=Path, help="where the app's own output goes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="overheard-") as folder:
        log = asked.log.open("w") if asked.log else None
        with serving(log=log, **overheard_app(Path(folder))) as served:
            report = asyncio.run(besiege(served.url, served.files, asked.requests, asked.seed))
            report["alive"] = served.app.poll() is None
            report["strangers"] = strangers(Path(folder), served.url)
            report["rss_mb"] = served.megabytes()
            report["files"], report["files_mb"] = served.kept()
    print(json.dumps(report, indent=2))
    if report["findings"] or report["strangers"] or not report["alive"]:
        raise SystemExit("the siege found something")


if __name__ == "__main__":
    main()
