"""Build the Space from nothing as the platform does: `python benchmarks/space_build.py`.

A fresh environment with the Gradio of README's sdk_version, `spaces` and requirements.txt, and
nothing else; then the files that `training/publish.py --space` sends, and only they; then `python
app.py`, and each endpoint asked through gradio_client. Prints seconds and MB as JSON. Long.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gradio_client import Client
from huggingface_hub import metadata_load
from serving import CALLS, ROOT, serving

from training.publish import space_files


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
        with serving(python, place) as served:
            endpoints = answers(served.url)
        freeze = [str(python), "-m", "pip", "freeze"]
        versions = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
        known = dict(line.split("==") for line in versions.splitlines() if "==" in line)
        said = {
            "install_s": installed,
            "install_mb": megabytes(home),
            "files_mb": megabytes(place),
            "start_s": served.start_s,
            "first_call_s": endpoints,
            "versions": {name: known.get(name) for name in ("gradio", "torch", "spaces")},
        }
        print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
