"""Real kills of a real training, few of the 20 of benchmarks/kill.py; and what a kill leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks import kill

ROOT = Path(__file__).parents[2]
FEW = kill.Config("codes", kills=3, steps=60)


def test_kills_during_start_steps_and_saves_change_nothing():
    found = kill.measured(FEW)
    assert found["differ"] == found["left"] == []
    assert found["kills"] == sum(found["where"].values()) == 3


def test_twenty_kills_cover_all_moments_and_are_repeatable():
    moments = kill.plan(kill.Config(kills=20))
    assert moments == kill.plan(kill.Config(kills=20))
    assert moments != kill.plan(kill.Config(kills=20, seed=1))
    places = [moment.at for moment in moments]
    assert [places.count(at) for at in ("step", "start", *kill.SAVING)] == [10, 5, 2, 3]
    assert moments[-1] == (kill.SAVING[1], 399, 0.0)
    assert [m.step for m in moments] == sorted(m.step for m in moments)


def test_one_changed_bit_of_the_state_changes_the_digest():
    state = {"step": 3, "model": {"w": torch.ones(2, 2)}, "rest": [torch.tensor(0.0), (1, None)]}
    same = {"step": 3, "model": {"w": torch.ones(2, 2)}, "rest": [torch.tensor(0.0), (1, None)]}
    assert kill.digest(state) == kill.digest(same)
    other = torch.ones(2, 2)
    other[1, 1] += 2**-23
    changes = ({"step": 4}, {"model": {"w": other}}, {"model": {"w": torch.ones(4)}})
    changes += ({"rest": [torch.tensor(-0.0), (1, None)]},)
    assert len({kill.digest(state | change) for change in changes} - {kill.digest(state)}) == 4


def test_a_kill_during_data_preparation_leaves_no_process():
    script = """
import os, time
from training.engine.workers import worker_pool
def work(i):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(100 * i)
with worker_pool(2) as pool:
    list(pool.map(work, (0, 1)))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        workers = {int(run.stdout.readline()) for _ in range(2)}
        assert run.pid not in workers
        os.kill(run.pid, signal.SIGKILL)
        said, _ = run.communicate(timeout=60)  # its end comes once every process has closed it
    assert said == ""
