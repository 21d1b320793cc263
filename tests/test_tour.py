"""The notebook docs/tour.ipynb runs from top to bottom, and what it stores is its own output."""

import base64
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from PIL import Image

PATH = Path(__file__).parents[1] / "docs/tour.ipynb"


@pytest.fixture(scope="module")
def stored() -> nbformat.NotebookNode:
    return nbformat.read(PATH, as_version=4)


# In a process of its own: Jupyter's client leaves an event loop and sockets open.
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
for cell in notebook.cells:
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
at = {"metadata": {"path": sys.argv[2]}}
NotebookClient(notebook, timeout=200, kernel_name="python3", resources=at).execute()
nbformat.write(notebook, sys.argv[3])
"""


@pytest.fixture
def executed(tmp_path) -> nbformat.NotebookNode:
    folders = ("GRADIO_TEMP_DIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")
    env = os.environ | {name: str(tmp_path / name.lower()) for name in folders}
    env |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    result = tmp_path / "tour.ipynb"
    command = [sys.executable, "-c", EXECUTE, str(PATH), str(PATH.parent), str(result)]
    subprocess.run(command, env=env, check=True, timeout=280)
    return nbformat.read(result, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(cell: nbformat.NotebookNode) -> Iterator[tuple[int, int]]:
    """Sizes of the PNG pictures that a cell shows."""
    for output in cell.outputs:
        if png := output.get("data", {}).get("image/png"):
            with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
                yield picture.size


def kinds(cell: nbformat.NotebookNode) -> list[str]:
    """Types of a cell's outputs; what libraries write to stderr depends on the machine."""
    return sorted({out.output_type for out in cell.outputs if out.get("name") != "stderr"})


def test_the_notebook_runs_and_shows_what_it_stores(stored, executed):
    nbformat.validate(executed)
    for old, new in zip(code_cells(stored), code_cells(executed), strict=True):
        assert [*pictures(new)] == [*pictures(old)], new.source
        assert kinds(new) == kinds(old), new.outputs
    assert sum(len([*pictures(cell)]) for cell in executed.cells if cell.cell_type == "code") >= 10


def test_the_stored_notebook_is_small_and_free_of_errors_and_paths(stored):
    nbformat.validate(stored)
    assert PATH.stat().st_size < 600_000
    outputs = [output for cell in code_cells(stored) for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    assert all(output.get("name") != "stderr" for output in outputs)
    counts = [cell.execution_count for cell in code_cells(stored)]
    assert counts == list(range(1, len(counts) + 1))
    assert str(Path.home()) + "/" not in PATH.read_text()
    assert "/work/" not in PATH.read_text()
