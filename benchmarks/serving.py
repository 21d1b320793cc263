"""The real app as a process of its own: start it, watch its memory and its files, stop it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gradio_client import handle_file

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 120  # s for the page to answer
INHERITED_ENV = ("PATH", "HOME", "OMP_NUM_THREADS", "LANG")
FACE = handle_file(str(ROOT / "tabs/sample_faces/face-00.png"))
STROKES = [[[40, 200], [60, 60]], [[40, 40], [60, 200]]]
CALLS: dict[str, tuple[Any, ...]] = {
    "/complete_sketch": (STROKES, "any", 2),
    "/inpaint_face": (FACE, [80, 120, 180, 220], "smile"),
    "/encode_codes": (FACE, "faces"),
    "/edit_codes": ([[0] * 7] * 7, "shift 1 0 wrap", "digits"),
    "/sample_codes": ("digits", "3", 2),
}  # endpoint -> how it is asked; a tab without a row fails


class Served(NamedTuple):
    """A running app: where it answers, its process, where it keeps files, seconds it took."""

    url: str
    app: subprocess.Popen
    files: Path
    start_s: float

    def megabytes(self) -> float:
        """Resident memory of the process and all that it started."""
        return round(sum(_resident(pid) for pid in _family(self.app.pid)) / 1024, 1)

    def cpu_s(self) -> float:
        """Seconds of computing that the app has used so far, in all its threads."""
        fields = Path(f"/proc/{self.app.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kept(self) -> tuple[int, float]:
        """How many files lie in its upload folder, and their MB."""
        sizes = []
        for path in self.files.rglob("*"):
            try:
                if path.is_file() and not path.is_symlink():
                    sizes.append(path.stat().st_size)
            except FileNotFoundError:
                continue
        return len(sizes), round(sum(sizes) / 1e6, 2)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(
    python: Path | str = sys.executable, place: Path = ROOT, log: Any = None, **env: str
) -> Iterator[Served]:
    """`python app.py` in `place` until the block ends; `env` is added to its environment."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    given = {name: os.environ[name] for name in INHERITED_ENV if name in os.environ}
    given |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    given |= {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryDirectory(prefix="served-", ignore_cleanup_errors=True) as folder:
        given |= {"GRADIO_TEMP_DIR": folder} | env
        began = time.perf_counter()
        app = subprocess.Popen(
            [str(python), "app.py"], cwd=place, env=given, stdout=log or sys.stderr, stderr=log
        )
        try:
            _wait(app, url)
            yield Served(url, app, Path(folder), round(time.perf_counter() - began, 1))
        finally:
            app.terminate()
            try:
                app.wait(20)
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


def _wait(app: subprocess.Popen, url: str) -> None:
    began = time.perf_counter()
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if app.poll() is not None or time.perf_counter() - began > START_TIMEOUT_S:
                raise SystemExit(f"app.py did not answer in {START_TIMEOUT_S} s") from None
            time.sleep(0.1)


def machine_busy_s() -> float:
    """Seconds of computing that all processes of the machine have used so far."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    """KiB of one process; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def _family(pid: int) -> list[int]:
    """A process and those that it started, and so on."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(c) for task in tasks for c in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        children = []
    return [pid, *(p for child in children for p in _family(child))]
