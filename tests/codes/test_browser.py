"""The Codes tab in a real browser."""

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser_page import VIEWS, BrowserPage, open_pages
from tests.helpers.fake_models import CODES, NOISE, load

pytestmark = [pytest.mark.browser, NOISE]


class Visitor(BrowserPage):
    """One visitor on the tab."""

    def __init__(self, browser, address, width=1280, scheme="light"):
        super().__init__(browser, width, scheme)
        self.page.goto(address)
        self.page.get_by_role("tab", name="Codes").click()
        self.grid = self.page.locator('#codes-board [data-grid="edited"]')
        self.page.locator("#codes-strip [data-tile]").first.wait_for()
        self.until(lambda: self.picture("edited").startswith("data:image/png"), "a first picture")

    def cell(self, name, x, y, side=7):
        """The middle of a cell on the screen."""
        canvas = self.page.locator(f'#codes-board [data-grid="{name}"]')
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        return (
            box["x"] + (x + 0.5) * box["width"] / side,
            box["y"] + (y + 0.5) * box["height"] / side,
        )

    def click(self, name, x, y):
        """A click, or a tap, on a cell."""
        self.page.mouse.click(*self.cell(name, x, y))

    def drag(self, name, start, end):
        """From one cell to another."""
        self.page.mouse.move(*self.cell(name, *start))
        self.page.mouse.down()
        self.page.mouse.move(*self.cell(name, *end), steps=6)
        self.page.mouse.up()

    def until_chain(self, text):
        """Wait until the edits are these."""
        self.page.wait_for_function(
            "text => document.querySelector('#codes-chain textarea').value === text", arg=text
        )

    def picture(self, name):
        """The source of one of the board's pictures."""
        return self.page.locator(f'#codes-board [data-picture="{name}"]').get_attribute("src") or ""


@pytest.fixture
def visit(address, browser):
    with open_pages(Visitor, browser, address) as come:
        yield come


@pytest.mark.parametrize("name", VIEWS)
def test_edit_the_grid_undo_redo_and_reset(visit, name):
    width, scheme = VIEWS[name]
    visitor = visit(width=width, scheme=scheme)
    page = visitor.page
    before = visitor.picture("edited")
    page.get_by_title("Shift right").click()
    visitor.until_chain("shift 1 0 wrap")
    visitor.until(lambda: visitor.picture("edited") != before, "an edit of the picture")
    page.get_by_role("button", name="Flip y").click()
    visitor.until_chain("shift 1 0 wrap\nflip y")
    page.get_by_text("Beside the edited codes: ").wait_for()
    page.locator('[data-line="undo"]').click()
    visitor.until_chain("shift 1 0 wrap")
    page.get_by_role("button", name="Reset").click()
    visitor.until_chain("")
    visitor.until(lambda: visitor.picture("edited") == before, "the first picture again")
    page.locator('[data-line="redo"]').click()
    visitor.until_chain("shift 1 0 wrap")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_paint_pick_and_replace_cells(visit):
    visitor = visit()
    page = visitor.page
    page.locator('#codes-atlas [data-code="5"]').click()
    page.get_by_text("code 5", exact=True).wait_for()
    visitor.click("edited", 2, 3)
    visitor.until_chain("paint 5 2,3")
    visitor.drag("edited", (0, 0), (3, 0))
    visitor.until_chain("paint 5 2,3\npaint 5 0,0 1,0 2,0 3,0")
    page.get_by_text("no counterpart in pixels").wait_for()
    page.get_by_role("button", name="Pick").click()
    visitor.click("edited", 6, 6)
    first = load("codes-digits").encode(first_pictures()[0][None])[0]
    picked = int(first[6, 6])
    page.get_by_text(f"code {picked}", exact=True).wait_for()
    page.get_by_role("button", name="Replace").click()
    visitor.click("edited", 2, 3)
    visitor.until_chain(f"paint 5 2,3\npaint 5 0,0 1,0 2,0 3,0\nreplace 5 {picked}")
    visitor.grid.focus()
    page.keyboard.press("Control+z")
    visitor.until_chain("paint 5 2,3\npaint 5 0,0 1,0 2,0 3,0")
    page.keyboard.press("Control+y")
    visitor.until_chain(f"paint 5 2,3\npaint 5 0,0 1,0 2,0 3,0\nreplace 5 {picked}")


def first_pictures():
    """The pictures that the tab begins with."""
    from tabs.codes.handlers import initial_pictures

    return initial_pictures("digits")


@pytest.mark.parametrize("width", [1280, 390])
def test_transplant_a_rectangle_of_b(visit, width):
    visitor = visit(width=width)
    page = visitor.page
    visitor.drag("second", (1, 2), (3, 4))
    visitor.click("edited", 4, 0)
    visitor.until_chain("transplant 1 2 4 5 4 0")
    page.locator('#codes-board [data-grid="second"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    visitor.click("edited", 0, 1)
    visitor.until_chain("transplant 1 2 4 5 4 0\ntransplant 2 2 5 6 0 1")


def test_paint_with_the_keyboard(visit):
    visitor = visit()
    page = visitor.page
    visitor.grid.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    visitor.until_chain("paint 0 1,1")


def test_dragging_the_splice_slider_is_one_edit(visit):
    visitor = visit()
    page = visitor.page
    slider = page.locator('#codes-board [data-splice="cut"]')
    slider.fill("3")
    visitor.until_chain("splice 3 x")
    slider.fill("5")
    visitor.until_chain("splice 5 x")
    page.locator('#codes-board [data-splice="axis"]').select_option("y")
    visitor.until_chain("splice 5 y")


def test_paste_edits_and_see_the_error_of_a_bad_line(visit):
    visitor = visit()
    page = visitor.page
    box = page.locator("#codes-chain textarea")
    box.fill("rotate 1\nnegate nearest")
    box.blur()
    page.get_by_text("no counterpart in pixels").wait_for()
    box.fill("rotate 1\njump")
    box.blur()
    page.get_by_text("'jump' is not an edit").wait_for()
    page.locator('[data-line="undo"]').click()
    visitor.until_chain("rotate 1")
    assert "Traceback" not in page.content()


def test_erased_cells_are_completed_by_the_prior(visit):
    visitor = visit()
    page = visitor.page
    page.get_by_role("button", name="Erase").click()
    visitor.drag("edited", (0, 5), (2, 5))
    page.get_by_text("3 cells open").wait_for()
    page.locator("#codes-complete").click()
    page.wait_for_function(
        "/^cells 0,5=\\d+ 1,5=\\d+ 2,5=\\d+$/.test("
        "document.querySelector('#codes-chain textarea').value)"
    )


def test_another_codebook_an_uploaded_picture_and_new_samples(visit, tmp_path):
    visitor = visit()
    page = visitor.page
    page.locator("#codes-kind").get_by_text("faces").click()
    page.wait_for_function(
        "count => document.querySelectorAll('#codes-atlas [data-code]').length === count",
        arg=CODES["faces"].num_codes,
    )
    cut = page.locator('#codes-board [data-splice="cut"]')
    visitor.until(lambda: cut.input_value() == "16", "a board of 16x16 codes")
    before = visitor.picture("second")
    page.locator("#codes-into").get_by_text("B", exact=True).click()
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "mine.png")
    with page.expect_file_chooser() as chooser:
        page.locator("#codes-upload").click()
    chooser.value.set_files(tmp_path / "mine.png")
    page.wait_for_function(
        "old => document.querySelector('[data-picture=\"second\"]').src !== old", arg=before
    )
    page.locator("#codes-kind").get_by_text("digits").click()
    page.wait_for_function(
        "count => document.querySelectorAll('#codes-atlas [data-code]').length === count",
        arg=CODES["digits"].num_codes,
    )
    tile = page.locator("#codes-strip [data-tile] img").first
    old = tile.get_attribute("src")
    page.locator("#codes-sample").click()
    page.wait_for_function(
        "old => document.querySelector('#codes-strip [data-tile] img').src !== old", arg=old
    )
    page.locator("#codes-strip [data-tile]").nth(3).click()
    page.wait_for_function(
        "() => document.querySelector('[data-picture=\"second\"]').src === "
        "document.querySelectorAll('#codes-strip [data-tile] img')[3].src"
    )


def test_a_digit_drawn_on_the_pad_is_encoded(visit):
    visitor = visit()
    page = visitor.page
    before = visitor.picture("first")
    page.get_by_role("button", name="Draw a picture").click()
    pad = page.locator("#codes-pad canvas")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 220, steps=8)
    page.mouse.up()
    page.wait_for_function(
        "old => document.querySelector('[data-picture=\"first\"]').src !== old", arg=before
    )


def test_a_file_that_is_not_a_picture_is_one_sentence(visit, tmp_path):
    visitor = visit()
    (tmp_path / "digit.png").write_bytes(b"no picture")
    with visitor.page.expect_file_chooser() as chooser:
        visitor.page.locator("#codes-upload").click()
    chooser.value.set_files(tmp_path / "digit.png")
    visitor.page.get_by_text("This picture cannot be read").wait_for()
    assert "Traceback" not in visitor.page.content()
