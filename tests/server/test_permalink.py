"""What a link says, and what it cannot say."""

from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from tabs import model_cache, permalink
from tabs.codes import handlers as codes
from tabs.components import drawing_pad
from tabs.inpaint import tab as inpaint
from tabs.sketch import handlers as sketch
from tests.helpers.fake_models import load


@pytest.fixture(autouse=True)
def models(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)


def request(**query: str):
    return SimpleNamespace(query_params=query)


def is_skipped(value: object) -> bool:
    return value == gr.skip()


def test_base_36_numbers():
    assert permalink.decode_base36("000z10", 2) == [0, 35, 36]
    for bad in ("", "0", "0-", "é0", "٣٣", "0" * 9000):
        with pytest.raises(ValueError, match="numbers"):
            permalink.decode_base36(bad, 2)


def test_a_drawing_is_restored_with_its_eraser_strokes():
    query = {"ink": "1e1e3k3k.-2s2s", "label": "cat", "count": "8", "temperature": "0.5"}
    query |= {"seed": "7", "view": "Binary", "threshold": "0.3"}
    drawing, *settings = sketch.from_link(query)
    assert drawing["strokes"] == [[[50, 128], [50, 128]], [[100], [100]]]
    assert drawing["erase"] == [False, True]
    assert drawing_pad.parse_drawing(drawing).max() > 0.5
    assert settings == ["cat", 8, 0.5, 7, "Binary", 0.3]


@pytest.mark.parametrize("ink", ["", ".", "1", "zz zz", "1e1e1e", "-", "00" * 5000])
def test_an_invalid_drawing_is_ignored(ink):
    assert is_skipped(sketch.from_link({"ink": ink})[0])


def test_wrong_settings_are_ignored():
    query = {"label": "dog", "count": "1e9", "temperature": "nan", "seed": "-1"}
    assert all(is_skipped(value) for value in sketch.from_link(query))


def test_a_face_and_its_holes_are_restored():
    query = {"face": "2", "holes": "80,150,170,210;10,20,40,50", "smile": "no smile"}
    query |= {"brush": "00021012.2a2a"}
    value, smile, glasses, *_ = inpaint.from_link(query)
    assert value["strokes"] == [[[0, 9], [0.5, 9.5]], [[20.5], [20.5]]]
    assert value["source"] == "2"
    assert value["holes"] == [[80, 150, 170, 210], [10, 20, 40, 50]]
    assert smile == "no smile"
    assert is_skipped(glasses)


@pytest.mark.parametrize("query", [
    {"face": "99"}, {"holes": "1,2,3,4"}, {"face": "0", "holes": "1,2,3"},
    {"face": "0", "holes": "900,900,901,901"}, {"face": "0", "holes": "a,b,c,d"},
])  # fmt: skip
def test_an_invalid_face_is_ignored(query):
    assert all(is_skipped(value) for value in inpaint.from_link(query))


def test_codes_and_edits_are_restored():
    rows = np.arange(49) % 12
    a = "".join(np.base_repr(v, 36).lower().zfill(2) for v in rows)
    b = "00" * 49
    query = {"kind": "digits", "a": a, "b": b, "edits": "shift 1 0 wrap\nflip y", "label": "3"}
    board, label, _, _, seed = codes.from_link(query | {"seed": "5"})
    assert np.array_equal(np.ravel(board["first"]), rows)
    assert board["chain"] == ["shift 1 0 wrap", "flip y"]
    assert (label["value"], board["kind"], seed) == ("3", "digits", 5)


@pytest.mark.parametrize("query", [
    {"kind": "cats"}, {"a": "00"}, {"a": "zz" * 49, "b": "00" * 49},
    {"a": "00" * 49, "b": "00" * 49, "edits": "fly"},
    {"a": "00" * 49, "b": "00" * 49, "edits": "splice 99 x"},
])  # fmt: skip
def test_invalid_codes_give_the_initial_board(query):
    board, *_ = codes.from_link(query)
    assert (board["kind"], board["first"], board["chain"]) == ("digits", None, [])


def test_a_section_of_a_tab_has_its_own_settings():
    query = request(tab="digits", section="style", seed="3")
    assert permalink.section_query(query, "digits", "style", "compare") == {"seed": "3"}
    assert permalink.section_query(query, "digits", "compare", "compare") == {}
    without = request(tab="digits", seed="3")
    assert permalink.section_query(without, "digits", "compare", "compare") == {"seed": "3"}
    assert permalink.section_query(without, "digits", "style", "compare") == {}
    assert permalink.section_query(request(section="style"), "digits", "style", "compare") == {}
