import math
import pickle
import re
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from models import face_alignment
from tabs import face_photo, model_cache
from tabs.components import face_editor
from tabs.face_photo import FacePhoto
from tabs.inpaint import handlers, render
from tabs.inpaint import tab as inpaint
from tests.helpers.fake_models import NOISE, load, serving
from tests.inpaint.test_face_finder import drawn_face

pytestmark = NOISE
EYES = ((160.4, 181.3), (239.6, 181.3))
TRANSFORM = tuple(face_alignment.from_eyes(*EYES))
MOUTH = [160, 235, 240, 290]
SETTINGS = ("as it comes", "as it comes", 4, 1.0, 0)


@pytest.fixture(autouse=True)
def _model(monkeypatch):
    monkeypatch.setattr(model_cache, "load", load)


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as patch, serving(patch) as address:
        yield Client(address, verbose=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "face.png"
    Image.fromarray(drawn_face()).save(path)
    return path


def filled(smile="as it comes", hole=MOUTH, **change):
    photo = drawn_face()
    settings = (
        dict(zip(("glasses", "count", "temperature", "seed"), SETTINGS[1:], strict=True)) | change
    )
    pad = {"holes": [hole]}
    return photo, handlers.fill(photo, FacePhoto("", TRANSFORM), pad, smile, **settings)[1]


def pad_mask(photo, fills):
    return face_editor.parse_mask(fills.pad, photo)


def test_pixels_change_only_inside_the_mask():
    photo, fills = filled()
    for i in range(4):
        hole = pad_mask(photo, fills)
        result = render.composite(photo, hole, fills, 0, i)
        changed = (result != photo).any(-1)
        assert not changed[~hole].any()
        assert changed[hole].mean() > 0.9
    shown = render.view(photo, hole, fills, face_photo.view_box(photo, TRANSFORM))
    assert shown["changed"] == "Pixels changed outside the hole: 0."


def test_changed_pixels_outside_the_mask_are_counted():
    photo = drawn_face()
    hole, result = np.zeros((400, 400), bool), photo.copy()
    hole[10:20, 10:20] = True
    result[10:20, 10:20] ^= 1
    assert render.changed_outside(photo, hole, result) == 0
    result[15, 5:10, 1] ^= 1
    result[300, 7] ^= 1
    assert render.changed_outside(photo, hole, result) == 6


def test_the_fill_lies_where_the_mask_is():
    photo, fills = filled(temperature=0.0)
    result = render.composite(photo, pad_mask(photo, fills), fills, 0, 0)
    left, top, right, bottom = MOUTH
    inner = result[top + 8 : bottom - 8, left + 8 : right - 8]
    assert np.abs(inner.astype(int) - 127.5).max() <= 1.5


def test_removing_glasses_keeps_the_photo_in_the_rest_of_the_mask():
    photo = drawn_face()
    rng = np.random.default_rng(0)
    left, top, right, bottom = hole = [120, 150, 280, 220]
    photo[top:bottom, left:right] = rng.integers(0, 200, (bottom - top, right - left, 3))
    photo[180:192, 150:250] = 255, 0, 0  # glasses, to the fake model
    pad, settings = {"holes": [hole]}, (1, 1.0, 0)
    found = {}
    for glasses in ("no glasses", "as it comes"):
        erased, fills = handlers.fill(
            photo, FacePhoto("", TRANSFORM), pad, "as it comes", glasses, *settings
        )
        result = render.composite(photo, erased, fills, 0, 0)
        found[glasses] = (result != photo).any(-1)
        box = face_photo.view_box(photo, TRANSFORM)
        note = render.view(photo, erased, fills, box)["note"]
        assert (render.GLASSES_NOTE in note) == (glasses == "no glasses")
    only, whole = found.values()
    assert only[182:190, 155:245].all()
    assert not only[:165].any()
    assert not only[207:].any()
    assert whole[160:165, left + 10 : right - 10].all()


def test_side_by_side_gives_two_rows_from_the_same_noise():
    _, fills = filled("side by side")
    assert fills.titles == ["smile", "no smile"]
    for title, row in zip(fills.titles, fills.crops, strict=True):
        alone = filled(title)[1].crops[0]
        np.testing.assert_array_equal(row, alone)
    inside = fills.crops.std((0, 1)).max(0) > 0
    difference = (fills.crops[0].astype(int) - fills.crops[1])[:, :, inside]
    np.testing.assert_allclose(difference, 0.4 * 255, atol=1.01)


def test_each_fill_and_the_photo_are_described_by_the_classifier():
    photo, fills = filled("side by side")
    classifier = load("face-classifier")
    import torch

    for row, words in zip(fills.crops, fills.descriptions, strict=True):
        seen = classifier.probabilities(torch.from_numpy(row).float() / 255)
        for said, again in zip(words, handlers.describe(seen), strict=True):
            shares = [[int(n) for n in re.findall(r"\d+", text)] for text in (said, again)]
            np.testing.assert_allclose(*shares, atol=1)
    assert fills.before.startswith("Before: smile ")
    shown = render.view(photo, pad_mask(photo, fills), fills, face_photo.view_box(photo, TRANSFORM))
    assert [[tile["said"] for tile in row["tiles"]] for row in shown["rows"]] == fills.descriptions


def test_a_mask_larger_than_in_training_is_filled_with_a_warning():
    assert filled()[1].warning == ""
    assert "trained on at most 30%" in filled(hole=[90, 90, 310, 300])[1].warning


def test_a_mask_beside_the_face_or_over_all_of_it_raises_an_error():
    with pytest.raises(gr.Error, match="beside the face"):
        filled(hole=[0, 0, 10, 10])
    with pytest.raises(gr.Error, match="covers the whole face"):
        filled(hole=[0, 0, 400, 400])


INVALID_MASKS = {
    "nothing": ({}, "Drag a rectangle"),
    "no dict": (None, "Drag a rectangle"),
    "an empty rectangle": ({"holes": [[10, 10, 10, 50]]}, "is empty"),
    "a turned one": ({"holes": [[50, 10, 10, 50]]}, "is empty"),
    "one outside": ({"holes": [[500, 10, 600, 50]]}, "outside the photo, which is 400x400"),
    "NaN": ({"holes": [[math.nan, 0, 5, 5]]}, "number of px"),
    "text": ({"holes": [["0", 0, 5, 5]]}, "number of px"),
    "three sides": ({"holes": [[0, 0, 5]]}, r"\[left, top, right, bottom\]"),
    "no list": ({"holes": "all"}, "list of rectangles"),
    "too many": ({"holes": [[0, 0, 5, 5]] * 21}, "At most 20 rectangles"),
    "a bad stroke": ({"strokes": [[[1], [2, 3]]]}, "as many xs as ys"),
    "a wide brush": ({"strokes": [[[1], [2]]], "brush": math.inf}, "The brush must be"),
    "a long stroke": ({"strokes": [[[1] * 20_001] * 2]}, "at most 20,000"),
}


@pytest.mark.parametrize("name", INVALID_MASKS)
def test_an_invalid_mask_gets_one_sentence(name):
    value, text = INVALID_MASKS[name]
    with pytest.raises(gr.Error, match=text) as error:
        face_editor.parse_mask(value, drawn_face())
    assert not error.value.print_exception


def test_rectangles_and_strokes_make_one_mask():
    photo = drawn_face()
    both = face_editor.parse_mask(
        {
            "holes": [[10, 20, 30, 50], [380, 390, 900, 900]],
            "strokes": [[[100], [100]]],
            "brush": 20,
        },
        photo,
    )
    assert both[20:50, 10:30].all()
    assert both[390:, 380:].all()
    assert not both[50:90, :80].any()
    assert both[100, 92:109].all()
    assert abs(int(both.sum()) - 600 - 200 - math.pi * 100) < 40


INVALID_SETTINGS = {
    "smile": ["grin", 1, None],
    "glasses": ["blue", True, None],
    "count": [0, 17, 2.5, "4", math.nan],
    "temperature": [-1, 2.5, math.nan, "1"],
    "seed": [-1, 2**31, 0.5, None],
}


@pytest.mark.parametrize(
    ("name", "i"),
    [(name, i) for name, values in INVALID_SETTINGS.items() for i in range(len(values))],
)
def test_an_invalid_setting_gets_one_sentence(name, i):
    with pytest.raises(gr.Error) as error:
        filled(**{name: INVALID_SETTINGS[name][i]})
    assert error.value.message.lower().startswith(f"{name} ")


def saved(folder, picture: Image.Image, kind: str, **how) -> str:
    path = folder / f"photo.{kind.lower()}"
    picture.save(path, kind, **how)
    return str(path)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_photos_of_every_mode_are_read(mode, tmp_path):
    picture = Image.fromarray(drawn_face())
    if mode == "I;16":
        grey = np.asarray(picture.convert("L")).astype(np.uint16) * 257
        path = saved(tmp_path, Image.fromarray(grey), "PNG")
    else:
        path = saved(tmp_path, picture.convert(mode), "TIFF" if mode == "CMYK" else "PNG")
        if mode == "CMYK":
            path = saved(tmp_path, picture.convert(mode), "JPEG", quality=95)
    photo = face_photo.load_photo(path)
    assert photo.shape == (400, 400, 3)
    transform, faces = face_photo.find_face(photo)
    assert faces == 1
    corner = face_alignment.SimilarityTransform(*transform).to_photo(np.array([[32.0, 32.0]]))
    expected = face_alignment.SimilarityTransform(*TRANSFORM).to_photo(np.array([[32.0, 32.0]]))
    assert np.abs(corner - expected).max() < 15


def test_a_photo_with_an_exif_orientation_is_rotated(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.rot90(drawn_face(), 1).copy())
    photo = face_photo.load_photo(saved(tmp_path, turned, "PNG", exif=exif))
    np.testing.assert_array_equal(photo, drawn_face())


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "cannot be read"), (b"hello", "cannot be read"), (b"\x89PNG\r\n", "cannot be read")],
)
def test_a_file_that_is_no_photo_raises_an_error(content, text, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(content)
    with pytest.raises(gr.Error, match=text):
        face_photo.load_photo(path)


def test_a_photo_is_cached_until_it_changes_and_missing_when_deleted(tmp_path):
    path = saved(tmp_path, Image.fromarray(drawn_face()), "PNG")
    first = face_photo.load_photo(path)
    assert face_photo.load_photo(path) is first
    assert not first.flags.writeable
    Image.fromarray(255 - drawn_face()).save(path)
    np.testing.assert_array_equal(face_photo.load_photo(path), 255 - drawn_face())
    (tmp_path / "photo.png").unlink()
    with pytest.raises(gr.Error, match="upload it again"):
        face_photo.load_photo(path)


def test_photos_that_are_too_large_or_too_small_raise_an_error(tmp_path):
    large = saved(tmp_path, Image.new("1", (5000, 5000)), "PNG")
    with pytest.raises(gr.Error, match="at most 24 megapixels"):
        face_photo.load_photo(large)
    with pytest.raises(gr.Error, match="at least 32 px"):
        face_photo.load_photo(saved(tmp_path, Image.new("L", (20, 300)), "PNG"))


def test_without_a_face_the_pad_asks_for_the_eyes():
    photo = np.full((300, 300, 3), 90, np.uint8)
    transform, _ = face_photo.find_face(photo)
    value = face_editor.editor_value(photo, transform)
    assert value["ask"] == "eyes"
    assert value["presets"] == {}
    transform = face_photo.transform_from_eyes([[120, 120], [180, 120]])
    assert transform == tuple(face_alignment.from_eyes((120.0, 120.0), (180.0, 120.0)))
    turned = face_photo.transform_from_eyes([[180, 120], [120, 120]])  # an upside-down photo
    assert np.allclose(turned[:2], [-v for v in transform[:2]])
    assert set(face_editor.editor_value(photo, transform)["presets"]) == {
        "mouth", "eyes", "nose", "glasses", "lower face",
    }  # fmt: skip
    for bad in (None, [[1, 2]], [[1, 2], [1, 2]], [[1, "a"], [5, 9]], [[1, 2, 3], [4, 5, 6]]):
        with pytest.raises(gr.Error, match=r"eye|Click again"):
            face_photo.transform_from_eyes(bad)


def test_the_session_state_of_a_large_photo_is_small():
    photo = np.zeros((4000, 6000, 3), np.uint8)
    transform = tuple(face_alignment.from_eyes((2500.0, 1800.0), (3500.0, 1800.0)))
    pad = {"holes": [[2000, 1500, 4000, 3000]], "view": {"src": "x" * 10**6}}
    _, fills = handlers.fill(photo, FacePhoto("", transform), pad, *SETTINGS)
    assert len(pickle.dumps(fills)) < 300_000


def sample_pad(i=0, **change):
    """The editor's value of a face of ours, as the server makes it."""
    return inpaint.answer({"source": str(i)}, *SETTINGS)[0] | change


def test_the_mouth_of_every_example_face_is_filled():
    assert len(inpaint.SAMPLES) >= 5
    for i in range(len(inpaint.SAMPLES)):
        pad = sample_pad(i)
        _, shown = inpaint.answer(pad | {"holes": [pad["presets"]["mouth"]]}, *SETTINGS)
        assert len(shown["rows"][0]["tiles"]) == 4
    assert inpaint.answer({"source": "99"}, *SETTINGS)[1]["note"].startswith("Face ")


def test_an_upload_that_is_gone_is_asked_for_again(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = Path(saved(tmp_path, Image.fromarray(drawn_face()), "PNG"))
    eyes = [list(eye) for eye in EYES]
    pad, _ = inpaint.answer({"photo": str(path), "eyes": eyes}, *SETTINGS)
    assert pad["transform"] == TRANSFORM
    pad |= {"holes": [MOUTH], "transform": list(TRANSFORM)}
    assert inpaint.answer(pad, *SETTINGS)[1]["rows"]
    path.unlink()
    shown = inpaint.answer(pad, *SETTINGS)[1]
    assert (shown["note"], shown["gone"]) == (face_photo.GONE, True)


def ask(client, file, rectangle=MOUTH, **settings):
    files = client.predict(handle_file(file), rectangle, api_name="/inpaint_face", **settings)
    return [np.asarray(Image.open(path)) for path in files]


def test_the_endpoint_returns_photos_of_their_own_size(client, file):
    photo = drawn_face()
    results = ask(client, file, smile="smile", count=3, seed=5)
    left, top, right, bottom = MOUTH
    assert len(results) == 3
    for result in results:
        assert result.shape == photo.shape
        outside = np.ones(photo.shape[:2], bool)
        outside[top:bottom, left:right] = False
        np.testing.assert_array_equal(result[outside], photo[outside])
    again, other = (ask(client, file, smile="smile", count=3, seed=s)[0] for s in (5, 6))
    np.testing.assert_array_equal(again, results[0])
    assert (other != again).any()
    sad = ask(client, file, smile="no smile", count=1, seed=5)[0]
    assert sad[260, 200].mean() < results[0][260, 200].mean() - 50


def test_the_endpoint_takes_several_rectangles_and_eyes(client, file):
    rectangles = [[100, 160, 140, 200], MOUTH]
    result = ask(client, file, rectangles, eyes=[list(eye) for eye in EYES], count=1)[0]
    changed = (result != drawn_face()).any(-1)
    assert changed[165:195, 105:135].mean() > 0.8
    assert changed[240:285, 165:235].mean() > 0.8


INVALID_CALLS = {
    "no photo": ({"photo": None}, "must be uploaded"),
    "a path of the server": ({"photo": {"path": "/etc/passwd"}}, "must be uploaded"),
    "a rectangle outside": ({"rectangle": [900, 900, 950, 950]}, "outside the photo"),
    "no rectangle": ({"rectangle": []}, "rectangle"),
    "a smile of its own": ({"smile": "side by side"}, "Smile 'side by side' is unknown"),
    "eyes in one place": ({"eyes": [[5, 5], [5, 5]]}, "Click again"),
}


@pytest.mark.parametrize("name", INVALID_CALLS)
def test_an_invalid_call_gets_one_sentence(name, client, file):
    change, text = INVALID_CALLS[name]
    arguments = {"photo": handle_file(file), "rectangle": MOUTH} | change
    with pytest.raises(Exception, match=text) as error:
        client.predict(**arguments, api_name="/inpaint_face")
    assert "Traceback" not in str(error.value)


def test_a_photo_without_a_face_says_what_to_do(client, tmp_path):
    path = saved(tmp_path, Image.new("RGB", (400, 400), "grey"), "PNG")
    with pytest.raises(Exception, match="say where the eyes are"):
        ask(client, path)


def test_the_download_is_the_chosen_fill_at_full_size():
    pad = sample_pad(2)
    pad |= {"holes": [pad["presets"]["mouth"]]}
    settings = ("side by side", *SETTINGS[1:])
    found = np.asarray(Image.open(inpaint.on_download({"chosen": [1, 2]}, pad, *settings)))
    photo = face_photo.load_photo(inpaint.SAMPLES[2])
    mask, fills = handlers.fill(photo, inpaint.locate(pad), pad, *settings)
    np.testing.assert_array_equal(found, render.composite(photo, mask, fills, 1, 2))
    for chosen in ([2, 0], [0, 4], [0, "x"]):
        with pytest.raises(gr.Error, match="must be a whole number"):
            inpaint.on_download({"chosen": chosen}, pad, *settings)
    with pytest.raises(gr.Error, match="Fill a hole first"):
        inpaint.on_download({}, {}, *settings)
