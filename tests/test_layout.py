"""Where things live: the arrows between the floors, the sizes of the rooms, the front door."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import SpaceCardData, metadata_load

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("models", "tabs", "training")
FILES = {f: sorted((ROOT / f).rglob("*.py")) for f in FLOORS} | {"app": sorted(ROOT.glob("app.py"))}
ROOMS = [path for floor in FLOORS for path in FILES[floor]]
SCRIPTS = sorted((ROOT / "training").glob("train_*.py"))
# What a floor may import beside the standard library.
NETWORK = {"models", "torch", "numpy", "PIL", "safetensors", "jaxtyping", "huggingface_hub"}
ARROWS = {
    "models": NETWORK,
    "tabs": NETWORK | {"tabs", "gradio", "spaces", "cv2"},
    "training": NETWORK | {"training", "accelerate", "cv2", "scipy", "tqdm", "tyro"},
    "app": {"tabs", "gradio", "spaces"},
}
# Of an extra: imported only inside a function.
GUESTS = {"models/codes_pretrained.py": {"diffusers"}}
LINES = {"models": 250, "tabs": 200, "training": 250, "app": 80}
DEFINITIONS = (
    *(ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
)


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(source: str) -> set[str]:
    """The top-level names of every import, wherever it stands; relative ones as `.`."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else node.module.split(".")[0])
    return names


def executed(source: str) -> list[str]:
    """Statements of a module that do something on import."""
    body = ast.parse(source).body
    return [
        ast.unparse(node)
        for i, node in enumerate(body)
        if not isinstance(node, DEFINITIONS)
        and not (i == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.If) and "__name__" in ast.unparse(node.test))
        and not (isinstance(node, ast.Try) and "import spaces" in ast.unparse(node))
    ]


def test_the_readers_of_source_see_what_they_must():
    source = (
        '"""Doc."""\nimport os.path\ndef f():\n  from torch.nn import Linear\n  from . import x\n'
    )
    assert imported(source) == {"os", "torch", "."}
    assert executed(source) == []
    assert executed(source + "f()\nfor _ in (): pass\n") == ["f()", "for _ in ():\n    pass"]


@pytest.mark.parametrize("floor", FILES)
def test_imports_follow_the_arrows(floor: str):
    allowed = ARROWS[floor] | set(sys.stdlib_module_names)
    strays = {short(path): imported(path.read_text()) - allowed for path in FILES[floor]}
    assert {path: names for path, names in strays.items() if names} == (
        GUESTS if floor == "models" else {}
    )


@pytest.mark.parametrize("path", GUESTS)
def test_a_guest_waits_until_it_is_called(path: str):
    imports = (ast.Import, ast.ImportFrom)
    body = ast.parse((ROOT / path).read_text()).body
    at_once = "\n".join(ast.unparse(node) for node in body if isinstance(node, imports))
    assert not imported(at_once) & GUESTS[path]


@pytest.mark.parametrize("path", ROOMS, ids=short)
def test_nothing_runs_on_import(path: Path):
    assert executed(path.read_text()) == []


@pytest.mark.parametrize("path", [*ROOMS, *FILES["app"]], ids=short)
def test_a_room_has_one_job(path: Path):
    limit = LINES[path.relative_to(ROOT).parts[0].removesuffix(".py")]
    limit = 150 if path in SCRIPTS else limit
    assert len(path.read_text().splitlines()) <= limit


def test_code_lives_on_the_floors():
    packages = {path.parent.name for path in ROOT.glob("[!.]*/*.py")} - {"runs", "data"}
    assert packages <= {*FLOORS, "tests", "benchmarks"}
    assert {path.name for path in ROOT.glob("*.py")} == {"app.py"}
    assert not [short(path) for path in ROOMS if path.name == "utils.py"]


@pytest.mark.parametrize("script", SCRIPTS, ids=short)
def test_a_script_answers_help_from_the_root(script: Path):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, short(script), "--help"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--data-dir" in done.stdout


def test_the_space_header_is_valid():
    header = metadata_load(ROOT / "README.md")
    card = SpaceCardData(**header)
    pinned = dict(line.split("==") for line in lines("constraints.txt"))
    assert (card.sdk, card.sdk_version) == ("gradio", pinned["gradio"])
    assert (ROOT / card.app_file).name == "app.py"
    assert header["python_version"] in ("3.10", "3.12")  # what ZeroGPU offers
    assert 0 < len(header["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {header["colorFrom"], header["colorTo"]} <= colours
    assert (card.license, card.title) == ("mit", "Latent Studio")


def test_every_requirement_has_its_exact_version():
    pinned = {line.split("==")[0].lower() for line in lines("constraints.txt")}
    wanted = {re.split(r"[<>=]", line)[0].lower() for line in lines("requirements.txt")}
    assert wanted <= pinned
    assert imported_by_the_app() <= wanted


def imported_by_the_app() -> set[str]:
    """Distributions behind the imports of `models` and `tabs`."""
    names = set().union(*(imported(p.read_text()) for f in ("models", "tabs") for p in FILES[f]))
    names -= {"models", "tabs", "spaces", *sys.stdlib_module_names}.union(*GUESTS.values())
    distribution = {"PIL": "pillow", "cv2": "opencv-python-headless"}
    return {distribution.get(name, name) for name in names}


def lines(name: str) -> list[str]:
    """Lines of a requirements file without its comments."""
    return [line for line in (ROOT / name).read_text().splitlines() if line[:1] not in ("", "#")]
