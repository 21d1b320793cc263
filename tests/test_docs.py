"""Every command, link, path and module that the documentation names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# Made by a command, not tracked: runs, downloads, classifiers that only training needs.
MADE = ("runs/", "data/", "checkpoints/releases.json")
IGNORED = (ROOT / ".gitignore").read_text()


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_defines(dotted: str) -> bool:
    """Whether `package.module.name` is a package, a module, or a name defined in a module."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:cut])
        if path.is_dir():
            return cut == len(parts)
        if (file := path.with_suffix(".py")).is_file():
            rest = parts[cut:]
            return not rest or rest[0] in names_of(file)
    return False


def names_of(file: Path) -> set[str]:
    """Names that a module defines or imports at its top level."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return names


def test_the_checks_find_what_is_missing():
    assert module_defines("models.checkpoint.load")
    assert module_defines("models.codes")
    assert module_defines("models.codes.edits")
    assert not module_defines("models.checkpoint.missing")
    assert not module_defines("models.nothing")
    assert {"app", "test"} <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_scripts_and_targets_exist(page: Path):
    text = page.read_text()
    scripts = re.findall(r"(?:python|launch)\s+((?:training|benchmarks|tests)/[\w/]+\.py)", text)
    modules = re.findall(r"python -m ((?:training|benchmarks|models|tabs)[\w.]*)", text)
    targets = re.findall(r"(?:^|`)(?:\w+=\S+ )?make ([a-z]+)", text, re.MULTILINE)
    assert [s for s in scripts if not (ROOT / s).is_file()] == []
    assert [m for m in modules if not module_defines(m)] == []
    assert [t for t in targets if t not in TARGETS] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_of_training_scripts_exist(page: Path):
    """Each `--option` of a training script's command is a field of a config, or added by cli.py."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    fields = set(re.findall(r"^ {4}(\w+): ", sources("training"), re.MULTILINE))
    known = {field.replace("_", "-") for field in fields} | {"help", "recipe"}
    for command in re.findall(r"(?:python|launch) training/[^\n`#]+", text):
        options = re.findall(r"--(?:no-)?([a-z][a-z-]*)", command)
        # a nested config's field: --model.widths
        assert [o for o in options if o not in known] == [], command


def sources(package: str) -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / package).rglob("*.py")))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_to_files(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_modules_and_files_exist(page: Path):
    text = page.read_text()
    dotted = re.findall(r"`((?:models|training|tabs|app)\.[\w.]+)(?:\([^`]*\))?`", text)
    dotted = [d for d in dotted if not d.endswith((".py", ".safetensors"))]
    imports = re.findall(r"^\s*from ((?:models|training|tabs)[\w.]*) import (\w+)", text, re.M)
    dotted += [f"{module}.{part}" for module, part in imports]
    assert [d for d in dotted if not module_defines(d)] == []
    pattern = r"`((?:models|training|tabs|tests|benchmarks|docs|checkpoints)/[\w./-]*)`"
    paths = [p for p in re.findall(pattern, text) if not p.startswith(MADE)]
    ignored = [line.strip("/*") for line in IGNORED.splitlines() if line.startswith("checkpoints/")]
    missing = [p for p in paths if not (ROOT / p).exists()]
    assert [p for p in missing if not p.startswith(tuple(ignored))] == []


def test_the_readme_is_short_and_its_tree_is_true():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    blocks = re.split(r"^```.*\n", text, flags=re.MULTILINE)[1::2]
    tree = next(block for block in blocks if block.startswith("app.py"))
    lines = tree.splitlines()
    assert len(lines) <= 25
    folder = ROOT
    for line in lines:
        first = line.split()[0]
        if first.startswith("<") or "<" in first:
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            folder = ROOT
        assert (folder / first).exists(), line
        if depth == 0 and first.endswith("/"):
            folder = ROOT / first
