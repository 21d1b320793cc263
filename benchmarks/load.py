"""The app under load: `python -m benchmarks.load --clients 1 8 32 100 --seconds 60`.

Starts `python app.py` afresh for each number of clients, which call all public endpoints without a
pause, and prints JSON: throughput, latencies, refusals, memory, files. `--place OLD NEW` measures
the apps in two folders in turn and adds how the last compares with the first. `--endurance 2000`
adds that many requests in a row with the memory after every 200, `--slow 40` clients that send or
read next to nothing. The clients share the machine with the app, so the figures are cautious.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serving import CALLS, ROOT, Served, machine_busy_s, serving
from benchmarks.slow_clients import slow_clients
from benchmarks.visitor import Visitor, client, with_defaults

EVERY = 200  # requests between two readings of the endurance run
CROWD = 8  # clients of the endurance run, and of the one with slow clients


class Tally:
    """Latencies, errors and refusals of all visitors."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self.refused = 0
        self.done = 0

    def times(self) -> list[float]:
        """Milliseconds of all answered requests, from the first try to the answer."""
        return [ms for part in self.took.values() for ms in part]

    async def one(self, visitor: Visitor, timeout: float = 120) -> None:
        """One request, counted."""
        began, before = time.perf_counter(), visitor.refused
        try:
            name, reply = await visitor.visit(timeout)
        except (httpx.HTTPError, TypeError) as error:  # no answer, or an upload without a path
            self.errors[type(error).__name__] += 1
            return
        self.refused += visitor.refused - before
        self.done += 1
        if reply.kind == "complete":
            self.took[name].append(1000 * (time.perf_counter() - began))
        else:
            self.errors[f"{name} {reply.kind}: {reply.text[:120]}"] += 1


def percentiles(times: list[float]) -> dict[str, float]:
    """Percentiles of milliseconds."""
    if len(times) < 2:
        return {"n": len(times), **dict.fromkeys(("p50", "p95", "p99"), round(sum(times)))}
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"n": len(times), "p50": round(cuts[49]), "p95": round(cuts[94]), "p99": round(cuts[98])}


async def warm_up(served: Served) -> dict[str, list]:
    """Call every endpoint once and wait until all models are loaded; the arguments of all calls."""
    async with client(served.url) as http:
        calls = await with_defaults(http, CALLS)
        for name, given in calls.items():
            _, reply = await Visitor(http, {name: given}, 0).visit(120)
            if reply.kind != "complete":
                raise SystemExit(f"{name} does not answer: {reply}")
    before = 0.0
    while abs(served.megabytes() - before) > 0.5:
        before = served.megabytes()
        await asyncio.sleep(2)
    return calls


async def watch_memory(served: Served, peak: list[float]) -> None:
    """Keep the highest reading of memory in `peak[0]`."""
    while True:
        peak[0] = max(peak[0], served.megabytes())
        await asyncio.sleep(0.25)


async def crowd(
    served: Served, calls: dict[str, list], count: int, seconds: float, tally: Tally
) -> float:
    """`count` visitors for `seconds`; the seconds that they really took."""
    began = time.perf_counter()
    async with client(served.url) as http:

        async def stay(seed: int) -> None:
            visitor = Visitor(http, calls, seed)
            while time.perf_counter() - began < seconds:
                await tally.one(visitor)

        await asyncio.gather(*(stay(seed) for seed in range(count)))
    return time.perf_counter() - began


async def measure_crowd(served: Served, count: int, seconds: float, rest: float) -> dict[str, Any]:
    """Latencies with `count` visitors, and memory before, at the peak and after `rest` s."""
    calls = await warm_up(served)
    before, tally = served.megabytes(), Tally()
    peak = [before]
    watcher = asyncio.create_task(watch_memory(served, peak))
    own, here, whole_machine = served.cpu_s(), time.process_time(), machine_busy_s()
    took = await crowd(served, calls, count, seconds, tally)
    own, here = served.cpu_s() - own, time.process_time() - here
    others = machine_busy_s() - whole_machine - own - here
    watcher.cancel()
    after = served.megabytes()
    await asyncio.sleep(rest)
    files, megabytes = served.kept()
    return {
        "clients": count,
        "seconds": round(took, 1),
        "per_second": round(sum(map(len, tally.took.values())) / took, 2),
        "cpu_ms_per_call": round(1000 * own / max(tally.done, 1)),
        "cores_used": {"app": round(own / took, 2), "others": round(others / took, 2)},
        "ms": percentiles(tally.times()),
        "endpoints_ms": {name: percentiles(times) for name, times in sorted(tally.took.items())},
        "queue_full": tally.refused,
        "errors": dict(tally.errors),
        "rss_mb": {
            "before": before, "peak": peak[0], "after": after, "rested": served.megabytes(),
        },
        "files": files,
        "files_mb": megabytes,
    }  # fmt: skip


async def measure_endurance(served: Served, requests: int) -> dict[str, Any]:
    """Memory along many requests; its growth over the last half must be near zero."""
    calls = await warm_up(served)
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
        "ms": percentiles(tally.times()),
        "files": files,
        "files_mb": megabytes,
    }


async def measure_beside_slow(served: Served, slow: int, seconds: float) -> dict[str, Any]:
    """Latencies of eight visitors without and with `slow` slow clients, and again without."""
    calls = await warm_up(served)
    result = {"slow": slow}
    for name, present in (("without", 0), ("with", slow), ("afterwards", 0)):
        tally = Tally()
        async with slow_clients(served.url, present) as held:
            await crowd(served, calls, CROWD, seconds, tally)
            result[name] = {"ms": percentiles(tally.times()), "errors": dict(tally.errors)}
            if present:
                result[name]["still_connected"] = sum(one.connected() for one in held)
    return result


def run(place: Path, env: dict[str, str], scenario: Callable[..., Awaitable[dict]], *how: float):
    """A scenario with an app of its own, from the folder `place`."""
    with serving(place=place, **env) as served:
        result = asyncio.run(scenario(served, *how))
        if served.app.poll() is not None:
            raise SystemExit("the app has died")
        return {"place": str(place), **result}


def compare(first: dict[str, Any], last: dict[str, Any]) -> dict[str, float]:
    """What the last app does with as many clients, in parts of what the first one does."""
    memory = last["rss_mb"]
    return {
        "clients": last["clients"],
        "calls_per_second": round(last["per_second"] / first["per_second"], 2),
        "p95": round(last["ms"]["p95"] / first["ms"]["p95"], 2),
        "cpu_per_call": round(last["cpu_ms_per_call"] / first["cpu_ms_per_call"], 2),
        "memory_rested_of_before": round(memory["rested"] / memory["before"], 2),
    }


def main() -> None:
    """Run the chosen scenarios and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 32, 100])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rest", type=float, default=60, help="s before memory is read again")
    parser.add_argument("--endurance", type=int, default=0)
    parser.add_argument("--slow", type=int, default=0)
    parser.add_argument("--env", nargs="*", default=[], help="NAME=value for the app")
    parser.add_argument(
        "--place", type=Path, nargs="+", default=[ROOT], help="folders, each with an app.py"
    )
    options = parser.parse_args()
    env = dict(pair.split("=", 1) for pair in options.env)
    places = [place.resolve() for place in options.place]
    result: dict[str, Any] = {"env": env}
    for count in options.clients:
        crowd_of = [
            run(place, env, measure_crowd, count, options.seconds, options.rest) for place in places
        ]
        result.setdefault("crowds", []).extend(crowd_of)
        if len(places) > 1:
            result.setdefault("compared", []).append(compare(crowd_of[0], crowd_of[-1]))
    if options.endurance:
        result["endurance"] = run(places[-1], env, measure_endurance, options.endurance)
    if options.slow:
        result["slow_clients"] = run(
            places[-1], env, measure_beside_slow, options.slow, options.seconds
        )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
