import base64
import io
import json
import math
import urllib.request

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image

from models import images
from tabs import image_encoding, model_cache
from tabs.components import completion_grid, drawing_pad
from tabs.sketch import api, handlers, render
from tabs.sketch.examples import EXAMPLES
from tests.helpers.fake_models import NOISE, FakeSketchModel, load, serving

pytestmark = NOISE
HOUSE = [[[40, 40, 128, 216, 216, 40], [220, 110, 30, 110, 220, 220]], [[120], [180]]]
DRAWN = {"strokes": HOUSE, "erase": [False, False], "base": None, "live": True}
FIRST = "Draw something first: one stroke is enough."


@pytest.fixture(autouse=True)
def _model(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as patch, serving(patch) as address:
        yield Client(address, verbose=False)


def png_url(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def paper(strokes=HOUSE) -> Image.Image:
    return Image.fromarray(255 - images.draw_strokes(strokes))


def decode(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def test_pad_and_rasteriser_agree_on_their_sizes():
    assert (drawing_pad.SIDE, drawing_pad.PEN, drawing_pad.ERASER) == (
        images.CANVAS,
        images.PEN,
        images.ERASER,
    )


def test_pad_and_data_set_strokes_give_the_same_tensor():
    expected = images.rasterise(HOUSE).numpy()
    np.testing.assert_array_equal(drawing_pad.parse_drawing(DRAWN), expected)
    np.testing.assert_array_equal(drawing_pad.parse_drawing(HOUSE), expected)
    timed = [[*stroke, list(range(len(stroke[0])))] for stroke in HOUSE]
    np.testing.assert_array_equal(drawing_pad.parse_drawing(timed), expected)


def test_a_completion_loaded_into_the_pad_is_parsed_unchanged():
    ink = FakeSketchModel().complete(images.rasterise(HOUSE), count=1)[0].numpy()
    base = image_encoding.png_url(render.greyscale(ink))
    again = drawing_pad.parse_drawing({"strokes": [], "erase": [], "base": base})
    np.testing.assert_allclose(again, ink, atol=0.5 / 255 + 1e-6)


def test_the_eraser_removes_ink_of_strokes_and_base():
    line = [[20, 236], [128, 128]]
    base = image_encoding.png_url(render.greyscale(images.rasterise([line]).numpy()))
    rubber = [[128, 128], [100, 156]]
    for value in (
        {"strokes": [line, rubber], "erase": [False, True], "base": None},
        {"strokes": [rubber], "erase": [True], "base": base},
    ):
        ink = drawing_pad.parse_drawing(value)
        assert ink[32, 30:34].max() == 0
        assert ink[31:33, 8].min() == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_a_picture_of_strokes_gives_what_the_rasteriser_gives(mode):
    picture = paper()
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    difference = images.picture_to_ink(picture) - images.rasterise(HOUSE)
    assert difference.abs().max() <= 1.5 / 255


def test_transparent_and_missing_parts_of_a_picture_are_white_paper():
    ink = Image.fromarray(images.draw_strokes(HOUSE))
    clear = Image.new("RGBA", ink.size, "black")
    clear.putalpha(ink)
    difference = images.picture_to_ink(clear) - images.rasterise(HOUSE)
    assert difference.abs().max() <= 1.5 / 255
    wide = images.picture_to_ink(Image.new("L", (1000, 250), 0))
    assert wide[:23].max() == 0
    assert wide[25:39].min() == 1
    assert wide[41:].max() == 0


def test_same_seed_same_pictures_other_seed_other_pictures():
    one, two, other = (handlers.complete(DRAWN, "cat", 5, 1.0, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.shown, two.shown)
    assert np.abs(one.shown - other.shown).max() > 0.5


def test_the_partial_drawing_is_kept_exactly():
    made = handlers.complete(DRAWN, "any", 4, 1.0, 0)
    assert (made.shown >= made.partial).all()
    full = made.partial == 1
    for tile in render.grid_value(made)["tiles"]:
        assert (decode(tile)[full] == 0).all()


def test_diverse_selection_is_distinct_and_starts_where_it_is_told():
    rng = np.random.default_rng(0)
    kinds = np.zeros((3, 64, 64), np.float32)
    kinds[0, :20], kinds[1, 25:40], kinds[2, 45:] = 1, 1, 1
    copies = np.repeat(kinds, (6, 3, 2), 0)[rng.permutation(11)]
    blank = np.zeros((64, 64), np.float32)
    picked = copies[render.select_diverse(copies, blank, 3, 4)]
    assert (picked[0] == copies[4]).all()
    assert len({p.tobytes() for p in picked}) == 3
    order = render.select_diverse(copies, blank, 11, 0)
    assert sorted(order) == list(range(11))


def test_diverse_selection_equals_brute_force_farthest_point():
    rng = np.random.default_rng(1)
    samples = (rng.random((9, 64, 64)) < rng.random((9, 1, 1))).astype(np.float32)
    partial = (rng.random((64, 64)) < 0.1).astype(np.float32)
    added = [set(np.flatnonzero((s >= 0.5) & (partial < 0.5))) for s in samples]
    far = [[1 - len(a & b) / max(len(a | b), 1) for b in added] for a in added]
    picked = [2]
    while len(picked) < 5:
        rest = [i for i in range(9) if i not in picked]
        picked.append(max(rest, key=lambda i: min(far[i][j] for j in picked)))
    assert render.select_diverse(samples, partial, 5, 2) == picked


def test_the_heat_map_is_paper_where_all_samples_agree():
    made = handlers.complete(DRAWN, "any", 8, 1.0, 0)
    np.testing.assert_allclose(made.std, made.std.clip(0, 0.5 + 1e-6))
    pixels = render.heat_map(made.std, made.partial)
    assert (pixels[(made.std == 0) & (made.partial == 0)] == 255).all()
    assert (pixels[made.std > 0.3, 2] < 100).all()


def test_likely_labels_are_few_and_none_where_the_model_is_unsure():
    made = handlers.complete(DRAWN, "any", 2, 1.0, 0)
    cat = 0.5 + 0.5 * float(made.partial.mean())
    (first, p), (second, q) = render.grid_value(made)["guess"]
    assert (first, second) == ("cat", "face")
    assert (p, q) == pytest.approx((cat, 0.996 - cat))
    assert render.likely_labels({"cat": 0.4, "sun": 0.35, "face": 0.25}) == []


def test_the_first_completion_is_the_most_recognisable_one():
    samples = np.zeros((5, 64, 64), np.float32)
    samples[3, :9] = 1
    assert handlers.most_recognisable(samples, "cat") == 3
    assert handlers.most_recognisable(samples, "any") == 3
    assert handlers.most_recognisable(samples, "sun") != 3


def test_every_example_is_a_drawing_of_a_known_class():
    assert set(EXAMPLES) <= set(handlers.LABELS)
    for strokes in EXAMPLES.values():
        assert 0.01 < drawing_pad.parse_drawing(strokes).mean() < 0.2


def test_the_labels_are_those_of_the_shipped_model():
    from models import checkpoint

    assert checkpoint.load("sketch").labels == handlers.LABELS


BAD_DRAWINGS = {
    "nothing": (None, FIRST),
    "no strokes": ([], FIRST),
    "an empty pad": (drawing_pad.EMPTY, FIRST),
    "an untouched editor": ({"background": None, "layers": [], "composite": None}, FIRST),
    "white paper": (png_url(Image.new("L", (64, 64), 255)), "No drawing was found"),
    "ink beside the canvas": ([[[900], [900]]], "beyond the canvas of 256 px"),
    "broken JSON": ("[[[1, 2], [3", "no list of strokes in JSON"),
    "NaN": ([[[math.nan, 1], [1, 2]]], "Coordinates must be numbers"),
    "infinity": ([[[math.inf], [1]]], "Coordinates must be numbers"),
    "a huge float": ([[[1e300], [1]]], "Coordinates must be numbers"),
    "a huge int": ([[[10**5000], [1]]], "not a huge number"),
    "text for numbers": ([[["1"], ["2"]]], "Coordinates must be numbers"),
    "uneven axes": ([[[1, 2], [1]]], "as many xs as ys, not 2 and 1"),
    "a pointless stroke": ([[[], []]], "as many xs as ys"),
    "half a stroke": ([[[1, 2, 3, 4]]], "two lists of numbers"),
    "two conventions": ([[[1, 2, 3], [4, 5, 6]], [[1, 2], [3, 4], [5, 6]]], "Some strokes look"),
    "text for a stroke": (["ab"], "two lists of numbers"),
    "too many strokes": ([[[1], [1]]] * 1001, "at most 1,000 strokes"),
    "too many points": ([[[1] * 20001] * 2], "at most 20,000"),
    "a wrong erase": ({"strokes": HOUSE, "erase": [True]}, "`erase` must be a list"),
    "strokes that are no list": ({"strokes": "house"}, "must be a list"),
    "a large base": ({"strokes": [], "base": png_url(paper())}, "`base` must be a PNG of 64x64"),
    "a base that is a path": ({"strokes": [], "base": "/etc/passwd"}, "are not opened"),
    "a path": ("/etc/passwd", "paths and links are not opened"),
    "a link": ("https://example.com/cat.png", "paths and links are not opened"),
    "broken base64": ("data:image/png;base64,&&&", "not valid base64"),
    "a broken picture": ("data:image/png;base64,aGVsbG8=", "cannot be read"),
    "a bare path as file": ({"path": "/etc/passwd"}, "must be uploaded"),
    "a number": (7, "not 7."),
    "an unknown dict": ({"cat": 1}, "not a dict."),
}


@pytest.mark.parametrize("name", BAD_DRAWINGS)
def test_a_bad_drawing_gets_one_sentence(name):
    drawing, text = BAD_DRAWINGS[name]
    with pytest.raises(gr.Error, match=text.replace("[", r"\[").replace("(", r"\(")) as error:
        handlers.complete(drawing, "any", 1, 1.0, 0)
    assert not error.value.print_exception


BAD_SETTINGS = {
    "label": ["dragon", 3, None, ["cat"], "x" * 10**6],
    "count": [0, 65, 1.5, "4", True, math.nan, 10**400],
    "temperature": [-0.1, 2.1, math.nan, math.inf, "1", None, 10**400],
    "seed": [-1, 2**31, 0.5, math.nan, "0", 10**5000],
}


@pytest.mark.parametrize(
    ("name", "i"), [(name, i) for name, values in BAD_SETTINGS.items() for i in range(len(values))]
)
def test_a_bad_setting_gets_one_sentence(name, i):
    value = BAD_SETTINGS[name][i]
    settings = {"label": "any", "count": 1, "temperature": 1.0, "seed": 0} | {name: value}
    with pytest.raises(gr.Error) as error:
        api.complete_sketch(DRAWN, **settings)
    assert error.value.message.lower().startswith(f"{name} ")
    assert len(error.value.message) < 500


def test_a_picture_above_50_megapixels_is_refused_before_it_is_decoded(monkeypatch):
    file = io.BytesIO()
    Image.new("1", (7072, 7072), 1).save(file, "PNG")
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(ValueError, match="at most 50 megapixels"):
        images.read_picture(file)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_truncated_picture_is_refused(kind):
    file = io.BytesIO()
    paper().convert("L").save(file, kind)
    whole = file.getvalue()
    images.picture_to_ink(images.read_picture(io.BytesIO(whole)))
    for part in (0, 3, len(whole) // 2):
        with pytest.raises(ValueError, match="cannot be read"):
            images.read_picture(io.BytesIO(whole[:part]))


def test_a_checkpoint_error_is_shown_in_its_own_words(monkeypatch):
    def missing(_):
        raise FileNotFoundError("no checkpoint in checkpoints/sketch: train one")

    monkeypatch.setattr(model_cache, "load", missing)
    with pytest.raises(gr.Error, match="no checkpoint in checkpoints/sketch"):
        handlers.complete(DRAWN, "any", 1, 1.0, 0)
    [shown] = handlers.answer(DRAWN, "any", 1, 1.0, 0)
    assert shown["note"] == "no checkpoint in checkpoints/sketch: train one"


def test_an_empty_pad_empties_the_grid():
    assert handlers.answer(drawing_pad.EMPTY, "any", 1, 1.0, 0) == (completion_grid.EMPTY,)


def expected(strokes=HOUSE, label="any", count=3, temperature=1.0, seed=0):
    ink = FakeSketchModel().complete(images.rasterise(strokes), label, count, temperature, seed)
    return (255 * (1 - ink)).round().to(torch.uint8).numpy()


def ask(client, drawing, **settings):
    files = client.predict(drawing, api_name="/complete_sketch", **({"count": 3} | settings))
    return np.stack([np.asarray(Image.open(file)) for file in files])


def test_the_endpoint_returns_what_the_model_makes(client):
    settings = {"label": "cat", "count": 4, "temperature": 0.5, "seed": 9}
    np.testing.assert_array_equal(ask(client, HOUSE, **settings), expected(**settings))
    files = client.predict(HOUSE, api_name="/complete_sketch")
    assert len(files) == 16
    assert {(f.format, f.mode, f.size) for f in map(Image.open, files)} == {("PNG", "L", (64, 64))}


def test_every_form_of_a_drawing_gives_the_same_pictures(client, tmp_path):
    paper().save(tmp_path / "house.png")
    upload = handle_file(tmp_path / "house.png")
    clear = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    clear.paste("black", mask=Image.fromarray(images.draw_strokes(HOUSE)))
    clear.save(tmp_path / "layer.png")
    layer = handle_file(tmp_path / "layer.png")
    np.testing.assert_array_equal(ask(client, DRAWN), expected())
    for form in (
        upload,
        png_url(paper()),
        {"background": None, "layers": [], "composite": upload},
        {"background": None, "layers": [layer], "composite": None},
    ):
        off = ask(client, form).astype(int) - expected()
        assert abs(off).max() <= 2


def reply(client, drawing):
    """The server's raw answer, past gradio_client's own handling of files."""
    place = f"{client.src.rstrip('/')}/gradio_api/call/complete_sketch"
    body = json.dumps({"data": [drawing, "any", 1, 1.0, 0, False]}).encode()
    request = urllib.request.Request(place, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as made:
        event = json.load(made)["event_id"]
    with urllib.request.urlopen(f"{place}/{event}") as answer:
        return answer.read().decode()


def test_the_endpoint_spreads_as_the_page_does(client):
    settings = {"label": "cat", "count": 3, "temperature": 0.5, "seed": 9}
    files = client.predict(HOUSE, api_name="/complete_sketch", spread=True, **settings)
    [grid] = handlers.answer({"strokes": HOUSE}, *settings.values())
    for file, tile in zip(files, grid["tiles"], strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), decode(tile))


def is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", [n for n, (bad, _) in BAD_DRAWINGS.items() if is_json(bad)])
def test_the_endpoint_refuses_bad_drawings_without_a_trace(client, name):
    drawing, text = BAD_DRAWINGS[name]
    answer = reply(client, drawing)
    assert "event: error" in answer
    assert text in answer
    assert "Traceback" not in answer


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "app.py", "http://127.0.0.1:9/cat.png", "https://example.com/cat.png"]
)
@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_the_endpoint_opens_no_path_of_the_server_and_no_link(client, path, meta):
    file = {"path": path, **meta}
    for drawing in (file, {"composite": file}, {**file, "url": path}, {**file, "is_stream": True}):
        answer = reply(client, drawing)
        assert "event: error" in answer
        assert "uploaded" in answer
        assert "Traceback" not in answer


def test_corrupt_and_huge_uploads_get_one_sentence(client, tmp_path):
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    Image.new("1", (7072, 7072), 1).save(tmp_path / "huge.png")
    for name, text in (("cut", "cannot be read"), ("huge", "at most 50 megapixels")):
        with pytest.raises(Exception, match=text):
            ask(client, handle_file(tmp_path / f"{name}.png"))


def test_only_the_endpoints_are_public(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    codes = [f"/{word}_codes" for word in ("encode", "edit", "sample")]
    digits = ["/sample_digits", "/reconstruct_digit", "/transfer_style"]
    faces = ["/sample_faces", "/edit_face", "/reconstruct_face"]
    assert list(named) == ["/complete_sketch", "/inpaint_face", *codes, *digits, *faces]
