"""The inpainting tab in a real browser."""

import json

import numpy as np
import pytest
from PIL import Image

from tabs import face_photo
from tabs.inpaint import tab as inpaint
from tests.helpers.browser_page import VIEWS, BrowserPage, open_pages
from tests.helpers.fake_models import NOISE
from tests.inpaint.test_face_finder import drawn_face

pytestmark = [pytest.mark.browser, NOISE]


class Visitor(BrowserPage):
    """One visitor on the tab, with the holes that the page sends."""

    def __init__(self, browser, address, width=1280, scheme="light"):
        super().__init__(browser, width, scheme)
        self.sent = []
        self.page.on("request", self._note)
        self.page.goto(address)
        self.page.get_by_role("tab", name="Inpaint").click()
        self.pad = self.page.locator("#inpaint-pad canvas")
        self.pad.wait_for()

    def _note(self, request):
        if request.url.endswith("/run/inpaint_ask"):
            _, pad, *_ = json.loads(request.post_data)["data"]
            if pad["holes"]:
                self.sent.append(pad)

    def sample(self, i=0):
        """Take one of our own faces."""
        self.page.locator(f'.starts [data-label="{i}"]').click()
        self.page.get_by_role("button", name="mouth").wait_for()

    def drag(self, start, end):
        """From one place to another, in shares of the pad."""
        self.pad.scroll_into_view_if_needed()
        box = self.pad.bounding_box()
        a, b = (
            (box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in (start, end)
        )
        middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
        if self.touch:
            finger = self.context.new_cdp_session(self.page)
            for kind, place in (("Start", a), ("Move", middle), ("Move", b), ("End", None)):
                spots = [{"x": place[0], "y": place[1]}] if place else []
                finger.send(
                    "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": spots}
                )
        else:
            self.page.mouse.move(*a)
            self.page.mouse.down()
            self.page.mouse.move(*middle)
            self.page.mouse.move(*b)
            self.page.mouse.up()

    def fills(self, count):
        """Wait for so many."""
        self.page.wait_for_function(
            f"document.querySelectorAll('#inpaint-results .tile').length === {count}"
        )

    def hole(self):
        """The newest rectangle that was sent."""
        return np.array(self.sent[-1]["holes"][-1])

    def until_hole(self, expected, atol=1):
        """Wait until the page has sent this rectangle."""
        self.until(
            lambda: self.sent and np.abs(self.hole() - expected).max() <= atol, f"a hole {expected}"
        )


@pytest.fixture
def visit(address, browser):
    with open_pages(Visitor, browser, address) as come:
        yield come


@pytest.mark.parametrize("name", VIEWS)
def test_drag_a_rectangle_and_choose_a_smile(visit, name):
    width, scheme = VIEWS[name]
    visitor = visit(width=width, scheme=scheme)
    page = visitor.page
    visitor.sample()
    visitor.drag((0.3, 0.55), (0.7, 0.8))
    visitor.fills(4)
    photo = face_photo.load_photo(inpaint.SAMPLES[0])
    left, top, right, bottom = visitor.hole()
    side = photo.shape[0]
    np.testing.assert_allclose(
        [left, top, right, bottom], np.array([0.3, 0.55, 0.7, 0.8]) * side, atol=0.02 * side
    )
    page.locator("#inpaint-smile").get_by_text("side by side").click()
    visitor.fills(8)
    assert page.locator(".fill-rows b").all_inner_texts() == ["smile", "no smile"]
    assert page.get_by_text("Pixels changed outside the hole: 0.").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("slider", name="How much of the photo as it was").fill("50")
    clip = page.locator('[data-large="before"]').evaluate("image => image.style.clipPath")
    assert "50%" in clip


def test_move_resize_numbers_and_keys(visit):
    visitor = visit()
    page = visitor.page
    visitor.sample()
    page.get_by_role("button", name="mouth").click()
    visitor.fills(4)
    first = visitor.hole()
    side = face_photo.load_photo(inpaint.SAMPLES[0]).shape[0]
    centre = (first[:2] + first[2:]) / 2 / side
    visitor.drag(tuple(centre), tuple(centre - np.array([0.1, 0.2])))
    moved = first + np.array([-0.1, -0.2, -0.1, -0.2]) * side
    visitor.until_hole(moved, atol=1.5)
    moved = visitor.hole()
    corner = moved[2:] / side
    visitor.drag(tuple(corner), tuple(corner + np.array([0.1, 0.05])))
    visitor.until_hole(moved + np.array([0, 0, 0.1, 0.05]) * side, atol=1.5)
    wide = visitor.hole()
    step = max(1, round(side / 100))
    page.keyboard.press("ArrowDown")
    visitor.until_hole(wide + np.array([0, step, 0, step]), atol=0)
    page.keyboard.press("Shift+ArrowLeft")
    visitor.until_hole(wide + np.array([0, step, -step, step]), atol=0)
    page.get_by_label("left", exact=True).fill("3")
    page.get_by_label("left", exact=True).press("Enter")
    size = wide[2] - wide[0] - step
    visitor.until_hole([3, wide[1] + step, 3 + size, wide[3] + step], atol=0)
    visitor.pad.focus()
    page.keyboard.press("n")
    visitor.until(lambda: len(visitor.sent[-1]["holes"]) == 2, "a second hole")
    page.keyboard.press("Delete")
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Clear").locator("visible=true").click()
    page.get_by_text("Choose a face, then drag a rectangle").wait_for()


def test_paint_a_hole(visit):
    visitor = visit()
    visitor.sample(1)
    visitor.page.get_by_role("button", name="Brush").click()
    visitor.drag((0.4, 0.7), (0.6, 0.72))
    visitor.fills(4)


def test_own_photo_is_found_filled_and_downloaded_at_its_own_size(visit, tmp_path):
    visitor = visit()
    page = visitor.page
    photo = drawn_face(700, (350, 380), 200)
    Image.fromarray(photo).save(tmp_path / "me.png")
    with page.expect_file_chooser() as chooser:
        page.locator("#inpaint-upload").click()
    chooser.value.set_files(tmp_path / "me.png")
    page.get_by_role("button", name="mouth").click()
    visitor.fills(4)
    left, top, right, bottom = visitor.hole()
    assert left < 350 < right
    assert top < 380 + 0.62 * 200 < bottom
    page.locator("#inpaint-results .tile").nth(2).click()
    with page.expect_download() as file:
        page.locator("#inpaint-save").click()
    found = np.asarray(Image.open(file.value.path()))
    changed = (found != photo).any(-1)
    assert found.shape == photo.shape
    assert changed[top:bottom, left:right].mean() > 0.9
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_without_a_face_two_clicks_say_where_it_is(visit, tmp_path):
    visitor = visit()
    page = visitor.page
    Image.new("RGB", (400, 300), "#8899aa").save(tmp_path / "wall.png")
    with page.expect_file_chooser() as chooser:
        page.locator("#inpaint-upload").click()
    chooser.value.set_files(tmp_path / "wall.png")
    page.get_by_text("No face was found").wait_for()
    box = visitor.pad.bounding_box()
    for x in (160, 230):
        page.mouse.click(box["x"] + x * box["width"] / 400, box["y"] + 0.4 * box["height"])
    page.get_by_role("button", name="eyes").click()
    visitor.fills(4)
    left, top, right, bottom = visitor.hole()
    assert left < 160 < 230 < right
    assert top < 120 < bottom


def test_take_glasses_off(visit):
    visitor = visit()
    visitor.sample()
    visitor.page.locator("#inpaint-off").click()
    visitor.fills(4)
    assert visitor.page.locator("#inpaint-glasses input:checked").get_attribute("value") == (
        "no glasses"
    )


def test_what_is_no_photo_gets_a_sentence(visit, tmp_path):
    visitor = visit()
    (tmp_path / "face.png").write_bytes(b"no picture")
    with visitor.page.expect_file_chooser() as chooser:
        visitor.page.locator("#inpaint-upload").click()
    chooser.value.set_files(tmp_path / "face.png")
    visitor.page.get_by_text("This picture cannot be read").wait_for()
    assert "Traceback" not in visitor.page.content()
