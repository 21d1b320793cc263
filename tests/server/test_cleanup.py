"""Deletion of what visitors leave behind: files, their names, sessions."""

import asyncio
import os
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.utils import get_upload_folder

from benchmarks.serving import CALLS, FACE
from benchmarks.visitor import Visitor, ask, client, upload, with_defaults
from tabs.server import cleanup
from tests.helpers.fake_models import NOISE, page

pytestmark = NOISE


def put(folder: Path, name: str, age: float, size: int = 1) -> Path:
    """A file of some age in s."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_old_files_are_deleted(tmp_path: Path):
    young, old = put(tmp_path, f"{'a' * 64}/young.png", 50), put(tmp_path, f"{'b' * 64}/x.png", 70)
    broken_off, coming_in = put(tmp_path, "tmpabc_1234", 70), put(tmp_path, "tmpabc_1235", 0)
    cleanup.delete_files(tmp_path, 60, 10**9)
    assert [path.exists() for path in (young, old, broken_off, coming_in)] == [1, 0, 0, 1]
    os.utime(old.parent, (time.time() - 70,) * 2)
    cleanup.delete_files(tmp_path, 60, 10**9)
    assert {path.name for path in tmp_path.iterdir()} == {"a" * 64, "tmpabc_1235"}


def test_files_that_gradio_did_not_write_stay(tmp_path: Path):
    others = [put(tmp_path, name, 1000) for name in ("x.png", "tmp/x", "a/b/c", "tmpabc_1234.db")]
    others += [put(tmp_path, f"{'a' * 64}/deeper/x", 1000), put(tmp_path, f"x{'a' * 64}/x", 1000)]
    cleanup.delete_files(tmp_path, 60, 0)
    assert all(path.exists() for path in others)


def test_the_oldest_files_go_first(tmp_path: Path):
    files = [put(tmp_path, f"{i:064x}/x.png", 50 - i, 100) for i in range(5)]
    cleanup.delete_files(tmp_path, 60, 250)
    assert [path.exists() for path in files] == [False, False, False, True, True]


def test_a_link_is_deleted_but_not_its_target(tmp_path: Path):
    other = put(tmp_path, f"other/{'b' * 64}/keep.txt", 1000)
    folder = tmp_path / "uploads" / ("a" * 64)
    folder.mkdir(parents=True)
    links = {"file": other, "folder": other.parent, "nowhere": tmp_path / "x"}
    for place, names in (
        (folder, links),
        (folder.parent, {"b" * 64: other.parent, "c" * 64: tmp_path / "x"}),
    ):
        for name, target in names.items():
            (place / name).symlink_to(target)
            os.utime(place / name, (time.time() - 70,) * 2, follow_symlinks=False)
    cleanup.delete_files(folder.parent, 60, 10**9)
    assert other.exists()
    assert [path for path in folder.iterdir()] == []


def test_a_missing_folder_is_no_error(tmp_path: Path):
    cleanup.delete_files(tmp_path / "nothing", 60, 10)


def call_all(url: str, count: int) -> list[str]:
    """How `count` calls of each endpoint ended."""

    async def run_all():
        async with client(url) as http:
            calls = await with_defaults(http, CALLS)
            return [
                (await Visitor(http, {name: data}, i).visit(60))[1].kind
                for i in range(count)
                for name, data in calls.items()
            ]

    return asyncio.run(run_all())


def session_counts(studio: gr.Blocks) -> dict[str, int]:
    """How many sessions the server keeps."""
    return {
        "sessions": len(studio.app.state_holder.session_data),
        "times": len(studio.app.state_holder.time_last_used),
    }


def test_the_session_of_a_single_call_is_dropped(monkeypatch):
    with page(monkeypatch) as studio:
        assert set(call_all(studio.local_url, 1)) == {"complete"}
        before = session_counts(studio)
        assert set(call_all(studio.local_url, 2)) == {"complete"}
        assert session_counts(studio) == before
        assert before["sessions"] == before["times"] == 0
        assert len(studio._queue.event_analytics) <= 100


def test_the_session_of_a_page_is_kept(monkeypatch):
    from gradio_client import Client

    with page(monkeypatch) as studio:
        visitor = Client(studio.local_url, verbose=False)
        assert visitor.predict("digits", "3", 2, api_name="/sample_codes")
        assert list(studio.app.state_holder.session_data) == [visitor.session_hash]


def test_names_of_deleted_files_and_old_sessions_are_dropped(monkeypatch, tmp_path):
    with page(monkeypatch) as studio:
        gone, here = str(tmp_path / "gone"), str(put(tmp_path, "here", 0))
        studio.upload_file_set |= {gone, here}
        queue = studio._queue
        queue.pending_event_ids_session |= {"old": set(), "busy": {"1"}, "open": set()}
        queue.pending_messages_per_session["open"] = asyncio.Queue()
        cleanup.drop_sessions(studio)
        assert studio.upload_file_set == {here}
        assert set(queue.pending_event_ids_session) == {"busy", "open"}


@pytest.mark.parametrize("who", ["ours", "Gradio's"])
def test_uploads_and_results_are_deleted(monkeypatch, tmp_path, who):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    if who == "ours":
        monkeypatch.setattr(cleanup, "PERIOD_S", 0.2)
        monkeypatch.setattr(cleanup, "MAX_AGE_S", 2)
    else:
        build = gr.Blocks.__init__
        monkeypatch.setattr(
            gr.Blocks,
            "__init__",
            lambda self, **how: build(self, **how | {"delete_cache": (1, 2)}),
        )

    async def both(url):
        async with client(url) as http:
            data = Path(FACE["path"]).read_bytes()
            sent = (await upload(http, data, "face.png")).value()[0]
            calls = await with_defaults(http, CALLS)
            made = (await ask(http, "/complete_sketch", calls["/complete_sketch"])).value()[0]
            return [Path(sent), *(Path(file["path"]) for file in made)]

    with page(monkeypatch) as studio:
        files = asyncio.run(both(studio.local_url))
        assert len(files) == 3
        assert all(tmp_path in file.parents for file in files)
        until = time.monotonic() + 20
        while any(file.exists() for file in files) and time.monotonic() < until:
            time.sleep(0.2)
        assert [file.name for file in files if file.exists()] == []
    assert get_upload_folder() == str(tmp_path)


@pytest.mark.parametrize("idle", [True, False])
def test_memory_is_released_only_while_nobody_waits(monkeypatch, tmp_path, idle):
    rounds = []
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(cleanup, "PERIOD_S", 0.01)
    monkeypatch.setattr(cleanup, "release_memory", lambda: rounds.append("released"))
    monkeypatch.setattr(cleanup, "drop_sessions", lambda _: rounds.append("round"))
    queue = SimpleNamespace(is_idle=lambda: idle)

    async def some_rounds() -> None:
        task = asyncio.create_task(cleanup.cleanup_loop(SimpleNamespace(_queue=queue)))
        while rounds.count("round") < 3:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(some_rounds())
    assert ("released" in rounds) == idle
