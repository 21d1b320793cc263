"""Two events at a time, each visitor's in order; sessions that keep nothing but their states."""

import asyncio
import gc
import json
import random
import threading
import time
from collections import defaultdict

import gradio as gr
import pytest

from benchmarks.visitor import API, client, send, wait_for_event
from tabs.server import cleanup
from tabs.server.blocks import StudioBlocks
from tabs.server.visitor_queue import WORKERS
from tests.helpers.fake_models import NOISE

pytestmark = NOISE


class Recorder:
    """What was computed when: (visitor, number, "begin" or "end") in the order of time."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, str]] = []
        self.lock = threading.Lock()
        self.most = 0  # events that were computed at once

    def run(self, visitor: str, number: int, seconds: float) -> str:
        """One event, which takes `seconds`."""
        for kind in ("begin", "end"):
            with self.lock:
                self.events.append((visitor, number, kind))
                begun = sum(kind == "begin" for *_, kind in self.events)
                self.most = max(self.most, 2 * begun - len(self.events))
            if kind == "begin":
                time.sleep(seconds)
        return f"{visitor} {number}"


@pytest.fixture
def served():
    """A page with a quick, a slow and an API event, each of another concurrency id; a recorder."""
    recorder = Recorder()
    with StudioBlocks("test") as page:
        visitor, number, out = gr.Textbox(), gr.Number(precision=0), gr.Textbox()
        kept = gr.State([])

        def quick(visitor: str, number: int) -> str:
            return recorder.run(visitor, number, 0.001)

        def slow(visitor: str, number: int, kept: list) -> tuple[str, list]:
            return recorder.run(visitor, number, 0.03), [*kept, number]

        def call(visitor: str, number: int) -> str:
            return recorder.run(visitor, number, 0.02)

        gr.Button().click(quick, [visitor, number], out, concurrency_id="quick")
        gr.Button().click(slow, [visitor, number, kept], [out, kept], concurrency_id="slow")
        gr.api(call, api_name="call")
    page.queue(max_size=200, api_open=False)
    page.launch(
        quiet=True,
        prevent_thread_lock=True,
        max_threads=WORKERS,
        app_kwargs={"lifespan": cleanup.lifespan},
    )
    yield page, recorder
    page.close()
    gc.collect()  # while the test still ignores what Gradio leaves open


async def join(http, session: str, fn: int, data: list) -> str:
    """Put an event of a session into the queue; its id."""
    body = {"session_hash": session, "fn_index": fn, "data": data}
    return (await http.post(f"{API}/queue/join", json=body)).json()["event_id"]


def test_no_event_overtakes_another_of_the_same_visitor(served):
    page, recorder = served
    dice = random.Random(0)
    orders = {f"visitor{i}": [dice.random() < 0.5 for _ in range(10)] for i in range(6)}

    async def one(http, visitor: str, slow: list[bool]) -> None:
        for number, is_slow in enumerate(slow):
            extra = [None] if is_slow else []
            await join(http, visitor, int(is_slow), [visitor, number, *extra])
        async with http.stream("GET", f"{API}/queue/data?session_hash={visitor}") as stream:
            async for line in stream.aiter_lines():
                if "close_stream" in line:
                    break

    async def everybody() -> None:
        async with client(page.local_url) as http:
            await asyncio.gather(*(one(http, *pair) for pair in orders.items()))

    asyncio.run(everybody())
    by_visitor = defaultdict(list)
    for visitor, number, kind in recorder.events:
        by_visitor[visitor].append((number, kind))
    for visitor, slow in orders.items():
        in_order = [(i, kind) for i in range(len(slow)) for kind in ("begin", "end")]
        assert by_visitor[visitor] == in_order
    assert recorder.most == WORKERS


def test_calls_without_a_session_do_not_wait_for_one_another(served):
    page, recorder = served

    async def everybody() -> list[str]:
        async with client(page.local_url) as http:
            calls = [json.dumps({"data": ["same", i]}) for i in range(8)]
            replies = await asyncio.gather(*(send(http, f"{API}/call/call", c) for c in calls))
            return [reply.kind for reply in replies]

    assert asyncio.run(everybody()) == ["complete"] * 8
    assert recorder.most == WORKERS
    assert len(page.app.state_holder.session_data) == 0


def test_a_session_keeps_its_states_and_no_copy_of_the_page(served):
    page, _ = served

    async def two_events() -> None:
        async with client(page.local_url) as http:
            for number in (3, 5):
                await join(http, "me", 1, ["me", number, None])
                await wait_for_event(http, f"{API}/queue/data?session_hash=me")

    asyncio.run(two_events())
    session = page.app.state_holder["me"]
    assert list(session.state_data.values()) == [[3, 5]]
    assert session.config_values == {}


def test_the_longest_waiting_visitor_is_next_whatever_the_others_queue_up(served):
    page, recorder = served

    async def flood() -> None:
        async with client(page.local_url) as http:
            for i in range(20):
                await join(http, "many", 1, ["many", i, None])
            await join(http, "one", 0, ["one", 0])
            await wait_for_event(http, f"{API}/queue/data?session_hash=one")

    asyncio.run(flood())
    done = [visitor for visitor, _, kind in recorder.events if kind == "end"]
    assert done.index("one") < 10
