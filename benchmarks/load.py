"""How the app bears visitors: `python -m benchmarks.load --clients 1 8 32 100 --seconds 60`.

Starts `python app.py` afresh for each number of clients, which ask all public endpoints without a
pause, and prints JSON: throughput, latencies, refusals, memory, files. `--endurance 2000` adds
that many requests in a row with the memory after every 200, `--slow 40` visitors that send or
read next to nothing. The clients share the machine with the app, so the figures are cautious.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serving import CALLS, ROOT, Served, machine_busy_s, serving
from benchmarks.slow import dawdling
from benchmarks.visitor import Visitor, client, whole

REST = 10  # s after the last request, before memory is read again
EVERY = 200  # requests between two readings of the endurance run
CROWD = 8  # clients of the endurance run, and of the one with slow visitors


class Tally:
    """What the visitors lived through."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self.refused = 0
        self.done = 0

    def times(self) -> list[float]:
        """Milliseconds of all answered requests, from the first try to the answer."""
        return [ms for part in self.took.values() for ms in part]

    async def one(self, visitor: Visitor, patience: float = 120) -> None:
        """A request, counted."""
        began, before = time.perf_counter(), visitor.refused
        try:
            name, reply = await visitor.visit(patience)
        except (httpx.HTTPError, TypeError) as error:  # no answer; no path in an upload's
            self.errors[type(error).__name__] += 1
            return
        self.refused += visitor.refused - before
        self.done += 1
        if reply.kind == "complete":
            self.took[name].append(1000 * (time.perf_counter() - began))
        else:
            self.errors[f"{name} {reply.kind}: {reply.text[:120]}"] += 1


def spread(times: list[float]) -> dict[str, float]:
    """Percentiles of milliseconds."""
    if len(times) < 2:
        return {"n": len(times), **dict.fromkeys(("p50", "p95", "p99"), round(sum(times)))}
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"n": len(times), "p50": round(cuts[49]), "p95": round(cuts[94]), "p99": round(cuts[98])}


async def warmed(served: Served) -> dict[str, list]:
    """Every endpoint answers once, and the thread that warms the models is done: all arguments."""
    async with client(served.url) as http:
        calls = await whole(http, CALLS)
        for name, given in calls.items():
            _, reply = await Visitor(http, {name: given}, 0).visit(120)
            if reply.kind != "complete":
                raise SystemExit(f"{name} does not answer: {reply}")
    before = 0.0
    while abs(served.megabytes() - before) > 0.5:
        before = served.megabytes()
        await asyncio.sleep(2)
    return calls


async def watch(served: Served, peak: list[float]) -> None:
    """Keep the highest reading of memory in peak[0]."""
    while True:
        peak[0] = max(peak[0], served.megabytes())
        await asyncio.sleep(0.25)


async def crowd(
    served: Served, calls: dict[str, list], count: int, seconds: float, tally: Tally
) -> float:
    """`count` visitors for some seconds; how long they really took."""
    began = time.perf_counter()
    async with client(served.url) as http:

        async def stay(seed: int) -> None:
            visitor = Visitor(http, calls, seed)
            while time.perf_counter() - began < seconds:
                await tally.one(visitor)

        await asyncio.gather(*(stay(seed) for seed in range(count)))
    return time.perf_counter() - began


async def busy(served: Served, count: int, seconds: float) -> dict[str, Any]:
    """Latencies and memory with `count` visitors."""
    calls = await warmed(served)
    before, tally = served.megabytes(), Tally()
    peak = [before]
    watcher = asyncio.create_task(watch(served, peak))
    own, here, whole_machine = served.cpu_s(), time.process_time(), machine_busy_s()
    took = await crowd(served, calls, count, seconds, tally)
    own, here = served.cpu_s() - own, time.process_time() - here
    others = machine_busy_s() - whole_machine - own - here
    watcher.cancel()
    after = served.megabytes()
    await asyncio.sleep(REST)
    files, megabytes = served.kept()
    return {
        "clients": count,
        "seconds": round(took, 1),
        "per_second": round(sum(map(len, tally.took.values())) / took, 2),
        "cpu_ms_per_call": round(1000 * own / max(tally.done, 1)),
        "cores_used": {"app": round(own / took, 2), "others": round(others / took, 2)},
        "ms": spread(tally.times()),
        "endpoints_ms": {name: spread(times) for name, times in sorted(tally.took.items())},
        "queue_full": tally.refused,
        "errors": dict(tally.errors),
        "rss_mb": {
            "before": before, "peak": peak[0], "after": after, "rested": served.megabytes(),
        },
        "files": files,
        "files_mb": megabytes,
    }  # fmt: skip


async def endure(served: Served, requests: int) -> dict[str, Any]:
    """Memory along many requests; the growth over the last half says whether it stays."""
    calls = await warmed(served)
    tally, left = Tally(), requests
    readings = [served.megabytes()]
    async with client(served.url) as http:
        visitors = [Visitor(http, calls, seed) for seed in range(CROWD)]
        while left > 0:
            share = min(EVERY, left)
            left -= share
            quotas = [share // CROWD + (i < share % CROWD) for i in range(CROWD)]

            async def stay(visitor: Visitor, quota: int) -> None:
                for _ in range(quota):
                    await tally.one(visitor)

            await asyncio.gather(*(stay(*pair) for pair in zip(visitors, quotas, strict=True)))
            readings.append(served.megabytes())
    half = readings[len(readings) // 2 :]
    files, megabytes = served.kept()
    return {
        "requests": requests,
        "errors": dict(tally.errors),
        f"rss_mb_every_{EVERY}": readings,
        "growth_mb_of_last_half": round(half[-1] - half[0], 1),
        "ms": spread(tally.times()),
        "files": files,
        "files_mb": megabytes,
    }


async def beside_slow_ones(served: Served, slow: int, seconds: float) -> dict[str, Any]:
    """Latencies of eight visitors with and without `slow` that dawdle, and once more without."""
    calls = await warmed(served)
    said = {"slow": slow}
    for name, dawdlers in (("without", 0), ("with", slow), ("afterwards", 0)):
        tally = Tally()
        async with dawdling(served.url, dawdlers) as held:
            await crowd(served, calls, CROWD, seconds, tally)
            said[name] = {"ms": spread(tally.times()), "errors": dict(tally.errors)}
            if dawdlers:
                said[name]["still_connected"] = sum(one.connected() for one in held)
    return said


def run(
    place: Path, env: dict[str, str], scenario: Callable[..., Awaitable[dict]], *how: float
) -> dict[str, Any]:
    """A scenario with an app of its own."""
    with serving(place=place, **env) as served:
        found = asyncio.run(scenario(served, *how))
        if served.app.poll() is not None:
            raise SystemExit("the app has died")
        return found


def main() -> None:
    """Play the wanted scenarios and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 32, 100])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--endurance", type=int, default=0)
    parser.add_argument("--slow", type=int, default=0)
    parser.add_argument("--env", nargs="*", default=[], help="NAME=value for the app")
    parser.add_argument("--place", type=Path, default=ROOT, help="the folder with app.py")
    asked = parser.parse_args()
    env = dict(pair.split("=", 1) for pair in asked.env)
    said: dict[str, Any] = {"env": env}
    own = partial(run, asked.place, env)
    if asked.clients:
        said["crowds"] = [own(busy, count, asked.seconds) for count in asked.clients]
    if asked.endurance:
        said["endurance"] = own(endure, asked.endurance)
    if asked.slow:
        said["slow_visitors"] = own(beside_slow_ones, asked.slow, asked.seconds)
    print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
