import base64
import io
import itertools
import json

import numpy as np
import pytest
from PIL import Image

from models import checkpoint, images
from tabs import model_cache
from tests.helpers import fake_models
from tests.helpers.browser_page import VIEWS, BrowserPage, open_pages
from tests.helpers.fake_models import NOISE, FakeSketchModel, serving

pytestmark = [pytest.mark.browser, NOISE]

ROOF = [(60, 150), (90, 80), (128, 60), (170, 85), (196, 150)]
FLOOR = [(70, 200), (128, 205), (190, 200)]


class RecordingModel(FakeSketchModel):
    """A fake model that records its inputs; `broken`: its checkpoint does not load."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.broken = False

    def complete(self, partial, *settings):
        self.seen.append(partial.numpy())
        return super().complete(partial, *settings)


@pytest.fixture(scope="module")
def model():
    return RecordingModel()


@pytest.fixture(scope="module")
def address(model):
    def load(stem):
        if model.broken:
            raise checkpoint.CheckpointError("no checkpoint here: train one")
        return model if stem == "sketch" else fake_models.load(stem)

    with pytest.MonkeyPatch.context() as patch, serving(patch) as url:
        patch.setattr(model_cache, "load", load)
        yield url


class Studio(BrowserPage):
    """A page, and the drawings that it sends."""

    def __init__(self, browser, address, model, width=1280, scheme="light", query=""):
        super().__init__(browser, width, scheme)
        self.model, self.first = model, len(model.seen)
        self.sent, self.labels = [], []
        self.ends = []  # of the strokes that were drawn
        self.page.on("request", self._note)
        self.page.goto(address + query)
        self.pad = self.page.locator("#sketch-pad canvas")
        self.pad.wait_for()
        self.page.locator("#sketch-go").wait_for()

    def _note(self, request):
        if request.url.endswith("/run/sketch_ask"):
            _, drawing, label, *_ = json.loads(request.post_data)["data"]
            self.sent.append(drawing)
            self.labels.append(label)

    def draw(self, points, pause=None):
        """A stroke by mouse or finger; `pause` is called before it ends."""
        self.pad.scroll_into_view_if_needed()
        box = self.pad.bounding_box()
        scale = box["width"] / images.CANVAS
        self.ends.append(points[-1])
        places = [(box["x"] + x * scale, box["y"] + y * scale) for x, y in points]
        if self.touch:
            finger = self.context.new_cdp_session(self.page)

            def act(kind, *place):
                spots = [{"x": x, "y": y} for x, y in place]
                event = {"type": kind, "touchPoints": spots}
                finger.send("Input.dispatchTouchEvent", event)

            act("touchStart", places[0])
            for place in places[1:]:
                act("touchMove", place)
            if pause:
                pause()
            act("touchEnd")
        else:
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place)
            if pause:
                pause()
                self.page.mouse.move(*places[-1])
            self.page.mouse.up()

    def settled(self, strokes, base=False):
        """Wait until the newest drawing, of so many strokes, was seen by the model."""
        self.until(lambda: self.sent and self.is_whole(strokes), f"a drawing of {strokes} strokes")
        value = self.sent[-1]
        assert (value["base"] is not None) == base
        ink = read(value)
        self.until(lambda: any(np.array_equal(ink, seen) for seen in self.model.seen[self.first :]))
        self.page.locator(".tile img").first.wait_for()
        return value, ink

    def is_whole(self, strokes):
        """Whether the newest drawing has so many strokes, the last one to its end."""
        drawn = self.sent[-1]["strokes"]
        if len(drawn) != strokes or not (strokes and self.ends):
            return len(drawn) == strokes
        x, y = drawn[-1][0][-1], drawn[-1][1][-1]
        return any(abs(x - u) <= 1 and abs(y - v) <= 1 for u, v in self.ends)

    def paper(self):
        """What the pad shows, as ink of the network's size."""
        js = """canvas => {
            const small = document.createElement("canvas");
            small.width = small.height = 256;
            small.getContext("2d").drawImage(canvas, 0, 0, 256, 256);
            return small.toDataURL();
        }"""
        url = self.pad.evaluate(js)
        return images.picture_to_ink(images.read_picture(decoded(url))).numpy()

    def tiles(self):
        return self.page.locator(".tile img").evaluate_all("all => all.map(i => i.src)")

    def tool(self, name):
        return self.page.locator("#sketch-pad").get_by_role("button", name=name)


def decoded(url):
    return io.BytesIO(base64.b64decode(url.split(",")[1]))


def read(value):
    """The rasterised drawing that the page sent."""
    base = value["base"] and 255 - np.asarray(Image.open(decoded(value["base"])))
    return images.rasterise(value["strokes"], erase=value["erase"], base=base).numpy()


@pytest.fixture
def visit(address, browser, model):
    with open_pages(Studio, browser, address, model) as come:
        yield come
        model.broken = False


@pytest.mark.parametrize("name", VIEWS)
def test_draw_complete_continue_and_undo(visit, name):
    width, scheme = VIEWS[name]
    studio = visit(width=width, scheme=scheme)
    page = studio.page
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")

    studio.draw(ROOF)
    studio.draw(FLOOR)
    value, ink = studio.settled(strokes=2)
    for (xs, ys), points in zip(value["strokes"], (ROOF, FLOOR), strict=True):
        np.testing.assert_allclose(np.stack([xs, ys], 1), points, atol=1)
    assert np.abs(studio.paper() - ink).mean() < 0.01
    assert page.locator(".tile").count() == 16
    assert page.locator('[data-text="guess"]').inner_text().startswith("It looks like: cat ")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.locator(".tile").nth(2).click()
    value, ink = studio.settled(strokes=0, base=True)
    assert np.abs(studio.paper() - ink).mean() < 0.03  # the pad enlarges it smoothly
    studio.draw([(20, 20), (60, 20)])
    studio.settled(strokes=1, base=True)
    studio.tool("Undo").click()
    studio.tool("Undo").click()
    studio.settled(strokes=2)


def test_tools_and_their_keys(visit):
    studio = visit()
    line = [(40, 128), (128, 128), (216, 128)]
    studio.draw(line)
    studio.tool("Eraser").click()
    studio.draw([(128, 90), (128, 170)])
    value, ink = studio.settled(strokes=2)
    assert value["erase"] == [False, True]
    assert ink[32, 32] == 0
    assert np.abs(studio.paper() - ink).mean() < 0.01

    keys = studio.page.keyboard
    studio.pad.focus()
    for key, strokes in (("Control+z", 1), ("Control+Shift+z", 2), ("Control+z", 1)):
        keys.press(key)
        studio.settled(strokes=strokes)
    studio.tool("Redo").click()
    studio.settled(strokes=2)
    studio.tool("Clear").click()
    studio.until(lambda: studio.sent[-1]["strokes"] == [])
    assert studio.paper().max() == 0
    studio.page.locator(".tile").first.wait_for(state="detached")
    studio.tool("Undo").click()
    studio.settled(strokes=2)
    studio.pad.focus()
    keys.press("p")
    studio.draw([(20, 20), (50, 20)])
    assert studio.settled(strokes=3)[0]["erase"] == [False, True, False]


def test_live_completes_while_one_draws_and_not_when_it_is_off(visit):
    studio = visit()
    studio.draw(ROOF[:2])
    studio.settled(strokes=1)

    def unfinished():
        places = itertools.cycle([(700, 400), (705, 405)])

        def is_sent():
            studio.page.mouse.move(*next(places))
            return len(studio.sent[-1]["strokes"]) == 2

        studio.until(is_sent, "a draft of the second stroke")

    studio.draw(FLOOR, pause=unfinished)
    studio.settled(strokes=2)

    studio.page.get_by_label("Live", exact=True).uncheck()
    studio.draw(ROOF)
    studio.page.get_by_role("button", name="Complete", exact=True).click()
    studio.settled(strokes=3)
    assert [len(value["strokes"]) for value in studio.sent].count(3) == 1


def test_the_threshold_shows_the_same_samples_again(visit, model):
    studio = visit()
    studio.page.get_by_label("Live", exact=True).uncheck()
    studio.draw(ROOF)
    studio.page.get_by_role("button", name="Complete", exact=True).click()
    studio.settled(strokes=1)
    asked, soft = len(model.seen), studio.tiles()
    studio.page.get_by_label("Binary").check()
    studio.until(lambda: studio.tiles() != soft)
    binary = studio.tiles()
    studio.page.get_by_role("slider", name="Threshold").fill("0.9")
    studio.until(lambda: studio.tiles() != binary)
    assert len(model.seen) == asked


def test_examples_reroll_and_the_keyboard(visit):
    studio = visit()
    page = studio.page
    page.get_by_role("button", name="cat", exact=True).click()
    studio.settled(strokes=2)
    assert page.get_by_label("It is a drawing of").input_value() == "cat"
    assert studio.labels[-1] == "cat"
    studio.tool("Clear").click()
    page.wait_for_function("document.querySelector('#sketch-label input').value === 'any'")
    studio.draw(ROOF)
    page.locator('[data-name="face"]').click()
    studio.until(lambda: studio.labels[-1] == "face", "the model's name for the drawing")
    count = page.get_by_role("slider", name="How many")
    count.focus()
    page.keyboard.press("ArrowLeft")
    studio.until(lambda: page.locator(".tile").count() == 15, "a key on a slider")
    number = page.get_by_role("spinbutton", name="number input for How many")
    number.fill("7")
    number.press("Enter")
    studio.until(lambda: page.locator(".tile").count() == 7, "Enter in a number box")
    tiles = studio.tiles()
    page.get_by_role("button", name="Reroll").click()
    studio.until(lambda: studio.tiles() != tiles)
    page.locator(".tile").first.focus()
    page.keyboard.press("Enter")
    studio.settled(strokes=0, base=True)


def test_downloads(visit):
    studio = visit()
    studio.draw(ROOF)
    studio.settled(strokes=1)
    with studio.page.expect_download() as one:
        studio.page.get_by_role("button", name="Download completion 3").click()
    assert one.value.suggested_filename == "sketch-any-seed0-03.png"
    large = np.asarray(Image.open(one.value.path()).convert("RGB"))
    small = np.asarray(Image.open(decoded(studio.tiles()[2])).convert("RGB"))
    np.testing.assert_array_equal(large, small.repeat(8, 0).repeat(8, 1))
    with studio.page.expect_download() as sheet:
        studio.page.get_by_role("button", name="Download all").click()
    assert Image.open(sheet.value.path()).size == (4 * 272 + 16,) * 2


def test_errors_are_a_sentence_and_the_drawing_stays(visit, model):
    studio = visit()
    page = studio.page
    page.get_by_text("Draw a stroke or two").wait_for()
    model.broken = True
    studio.draw(ROOF)
    page.locator(".results-note", has_text="no checkpoint here: train one").wait_for()
    assert studio.paper().max() == 1
    assert "Traceback" not in page.content()
    model.broken = False
    page.get_by_role("button", name="Complete", exact=True).click()
    studio.settled(strokes=1)


def test_a_link_carries_the_settings(visit):
    studio = visit(query="?label=cat&seed=7&count=9&temperature=99")
    page = studio.page
    page.wait_for_function("document.querySelector('#sketch-seed input').value === '7'")
    assert page.get_by_label("It is a drawing of").input_value() == "cat"
    assert page.get_by_role("slider", name="Temperature").input_value() == "1"
    studio.draw(ROOF)
    studio.settled(strokes=1)
    assert page.locator(".tile").count() == 9
