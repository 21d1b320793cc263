"""Build the Space from nothing as the platform does: `python benchmarks/space_build.py`.

A fresh environment with the Gradio of README's sdk_version, `spaces` and requirements.txt, and
nothing else; then the files that `training/publish.py --space` sends, and only they; then `python
app.py`, and each endpoint asked through gradio_client. Prints seconds and MB as JSON. Long.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file
from huggingface_hub import metadata_load

from training.publish import space_files

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120  # s for the page to answer
FACE = handle_file(str(ROOT / "tabs/assets/faces/face-00.png"))
STROKES = [[[40, 200], [60, 60]], [[40, 40], [60, 200]]]
CALLS: dict[str, tuple[Any, ...]] = {
    "/complete_sketch": (STROKES, "any", 2),
    "/inpaint_face": (FACE, [80, 120, 180, 220], "smile"),
    "/encode_codes": (FACE, "faces"),
    "/edit_codes": ([[0] * 7] * 7, "shift 1 0 wrap", "digits"),
    "/sample_codes": ("digits", "3", 2),
}  # endpoint -> how it is asked; a tab without a row fails


def fill(place: Path) -> None:
    """What the Space would hold, with nothing of this folder that git does not track."""
    for path, data in space_files().items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def install(place: Path, requirements: Path) -> Path:
    """A Python of its own with what the platform installs: requirements.txt mounted alone."""
    header = metadata_load(ROOT / "README.md")
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    wanted = [f"gradio[oauth,mcp]=={header['sdk_version']}", "uvicorn", "spaces"]
    command = [str(python), "-m", "pip", "install", "-q", "-r", str(requirements), *wanted]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return python


def megabytes(folder: Path) -> float:
    """What lies in it, links not counted."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return round(sum(path.stat().st_size for path in files) / 1e6, 1)


def answers(url: str) -> dict[str, float]:
    """Seconds of a first call of each public endpoint; one that nobody can ask is an error."""
    client = Client(url, verbose=False)
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    if strange := sorted(set(named) - set(CALLS)):
        raise SystemExit(f"nobody knows how to ask {strange}: add a row to CALLS")
    if missing := sorted(set(CALLS) - set(named)):
        raise SystemExit(f"the app has no {missing}")
    took = {}
    for name, arguments in CALLS.items():
        began = time.perf_counter()
        if not client.predict(*arguments, api_name=name):
            raise SystemExit(f"{name} answered nothing")
        took[name] = round(time.perf_counter() - began, 2)
    return took


def serve(python: Path, place: Path) -> tuple[float, dict[str, float]]:
    """Seconds until `python app.py` answers, and those of each endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: os.environ[name] for name in ("PATH", "HOME", "OMP_NUM_THREADS", "LANG")
           if name in os.environ}  # fmt: skip
    env |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    env |= {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    url = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    app = subprocess.Popen([str(python), "app.py"], cwd=place, env=env, stdout=sys.stderr)
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                if app.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise SystemExit(f"app.py did not answer in {PATIENCE} s") from None
                time.sleep(0.1)
        return round(time.perf_counter() - began, 1), answers(url)
    finally:
        app.terminate()
        app.wait()


def main() -> None:
    """Build, ask, print."""
    with tempfile.TemporaryDirectory(prefix="space-") as folder:
        place, home = Path(folder, "app"), Path(folder, "venv")
        alone = Path(folder, "requirements.txt")
        alone.write_bytes((ROOT / "requirements.txt").read_bytes())
        began = time.perf_counter()
        python = install(home, alone)
        installed = round(time.perf_counter() - began, 1)
        fill(place)
        starts, endpoints = serve(python, place)
        freeze = [str(python), "-m", "pip", "freeze"]
        versions = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
        known = dict(line.split("==") for line in versions.splitlines() if "==" in line)
        said = {
            "install_s": installed,
            "install_mb": megabytes(home),
            "files_mb": megabytes(place),
            "start_s": starts,
            "first_call_s": endpoints,
            "versions": {name: known.get(name) for name in ("gradio", "torch", "spaces")},
        }
        print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
