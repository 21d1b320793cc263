"""Our own components: their files, what the page gets of them, and the accent colour."""

import gc
import re

import numpy as np
import pytest

import app
from tabs import theme
from tabs.components import custom_html
from tabs.components.custom_html import CustomHTML
from tests.helpers.fake_models import NOISE

pytestmark = NOISE
FILES = [path for kind in ("html", "js", "css") for path in custom_html.FOLDER.glob(f"*.{kind}")]
COMPONENTS = sorted(CustomHTML.__subclasses__(), key=lambda kind: kind.__name__)
EVENTS = {
    "CodeBoard": "edit",
    "CodebookAtlas": "pick",
    "CompletionGrid": "pick",
    "DiffusionPath": None,
    "PictureColumns": None,
    "DrawingPad": "live",
    "ExampleRow": "pick",
    "FaceEditor": "edit",
    "FillGrid": "pick",
    "LatentMap": "decode",
    "PictureStrip": "pick",
    "SharePanel": "ask",
    "TabState": "collect",
    "TrainingFilm": None,
}  # what a component triggers, if anything


@pytest.fixture(scope="module")
def placed():
    """The components of the page by the name of their class, as the browser gets them."""
    config = app.build().get_config_file()
    by_name = {}
    for component in config["components"]:
        name = component["props"].get("component_class_name", "HTML")
        if component["type"] == "html" and name != "HTML":
            by_name.setdefault(name, component["props"])
    gc.collect()  # while the test still ignores what Gradio leaves open
    return by_name


def test_every_component_is_on_the_page(placed):
    assert set(placed) == set(EVENTS) == {kind.__name__ for kind in COMPONENTS}


@pytest.mark.parametrize("kind", COMPONENTS, ids=lambda kind: kind.__name__)
def test_a_component_is_made_of_the_files_beside_it(placed, kind):
    props = placed[kind.__name__]
    scripts = [custom_html.read_asset(f"{name}.js") for name in kind.scripts]
    assert props["js_on_load"] == "\n".join(scripts)
    event, script = EVENTS[kind.__name__], props["js_on_load"]
    if event is None:
        assert "trigger(" not in script.replace(custom_html.read_asset("dom.js"), "")
    else:
        assert f'trigger("{event}")' in script or "trigger(event)" in script
    if hasattr(kind, "asset"):
        assert props["html_template"] == custom_html.read_asset(f"{kind.asset}.html")


def test_gradio_can_make_each_component_anew():
    """As it does for each output that a handler skips: see `Blocks.postprocess_data`."""
    ours = [block for block in app.build().blocks.values() if isinstance(block, CustomHTML)]
    gc.collect()
    assert len(ours) > len(COMPONENTS)
    for block in ours:
        arguments = {k: v for k, v in block.constructor_args.items() if k != "value"}
        again = type(block)(**arguments, render=False)
        assert again.get_config()["js_on_load"] == block.get_config()["js_on_load"]
        assert again.elem_id == block.elem_id


def test_no_two_scripts_of_a_component_declare_the_same_name():
    declared = re.compile(r"^(?:const|let|class|function|async function) (\w+)", re.MULTILINE)
    for kind in COMPONENTS:
        script = "\n".join(custom_html.read_asset(f"{name}.js") for name in kind.scripts)
        names = declared.findall(script)
        assert len(names) == len(set(names)), kind


def test_the_accent_colour_is_written_once():
    accents = [getattr(theme.ACCENT, f"c{i}") for i in (400, 500, 600, 700, 800)]
    accents += [theme.ACCENT_ON_DARK, theme.MAP_END]
    channels = [", ?".join(map(str, theme.rgb(colour).astype(int))) for colour in accents]
    wanted = re.compile("|".join([*accents, *channels]), re.IGNORECASE)
    found = [path.name for path in [*FILES, theme.PAGE_CSS] if wanted.search(path.read_text())]
    assert found == []


def test_the_colour_map_of_pictures_is_that_of_the_page():
    ends = theme.colour_map(np.array([[0.0, theme.MAP_ACCENT_LEVEL, 1.0]], np.float32))
    np.testing.assert_allclose(
        ends[0], [theme.PAPER_RGB, theme.ACCENT_RGB, theme.rgb(theme.MAP_END)], atol=1e-3
    )
    assert f"{theme.ACCENT.c500} 55%, {theme.MAP_END}" in theme.css_variables()
