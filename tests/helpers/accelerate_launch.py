"""Start a script by `accelerate launch` in several CPU processes, as on several machines."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def launch(script: str, *args: object, processes: int, timeout: float = 240) -> None:
    """Run a script of the repository and wait for all processes to end well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--mixed_precision", "no"),
        *("--num_machines", "1", "--num_processes", "1", "--dynamo_backend", "no"),
        *(script, *map(str, args)),
    ]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    started = [
        subprocess.Popen(command, cwd=ROOT, env=env | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(processes)
    ]
    assert [process.wait(timeout) for process in started] == [0] * processes
