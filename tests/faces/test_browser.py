"""The Faces tab in a real browser: each section, on a phone as well, links and wrong photos."""

import pytest
from PIL import Image

from tests.helpers.browser_page import USES, BrowserPage, open_pages, open_section
from tests.helpers.fake_models import NOISE

pytestmark = [pytest.mark.browser, NOISE]


class Visitor(BrowserPage):
    """One visitor of the Faces tab."""

    def __init__(self, browser, address, query="tab=faces", width=1280, scheme="light"):
        super().__init__(browser, width, scheme)
        self.page.goto(f"{address}?{query}&__theme={scheme}")


@pytest.fixture
def visit(address, browser):
    with open_pages(Visitor, browser, address) as come:
        yield come


@pytest.mark.parametrize("width", [1280, 390])
def test_a_sample_is_taken_on_and_changed(visit, width):
    page = visit(width=width).page
    USES["faces"](page)
    before = page.locator("#faces-change img").nth(1).get_attribute("src")
    slider = page.locator("#faces-slider-1 input[type=range]")
    slider.focus()
    slider.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelectorAll('#faces-change img')[1]?.src !== before", arg=before
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_film_plays(visit):
    page = visit(query="tab=faces&section=change").page
    page.locator("#faces-change img").first.wait_for()
    page.get_by_label("Film from -3 to +3").click()
    film = page.locator("#faces-change img").nth(2)
    film.wait_for()
    first = film.screenshot()
    page.wait_for_timeout(700)
    assert film.screenshot() != first
    assert page.locator("#faces-change a[download]").count() == 2


@pytest.mark.parametrize(
    ("name", "place"), [("Your face", "own"), ("Mix", "mix"), ("Look inside", "inside")]
)
def test_a_section_shows_pictures_when_it_is_opened(visit, name, place):
    page = visit().page
    page.locator("#faces-grid img").first.wait_for()
    open_section(page, name, "faces")
    page.locator(f"#faces-{place} img").nth(2).wait_for()


def test_a_link_brings_the_changed_face_back(visit):
    page = visit().page
    USES["faces"](page)
    page.wait_for_function("location.search.includes('section=change')")
    shown = page.locator("#faces-change img").nth(1).get_attribute("src")
    other = visit(query=page.url.split("?")[1].replace("__theme=light", "")).page
    other.locator("#faces-change img").first.wait_for()
    other.wait_for_function(
        "shown => document.querySelectorAll('#faces-change img')[1]?.src === shown", arg=shown
    )


def test_a_photo_without_a_face_is_answered(visit, tmp_path):
    page = visit(query="tab=faces&section=change").page
    page.locator("#faces-change img").first.wait_for()
    Image.new("RGB", (200, 200), "green").save(tmp_path / "grass.png")
    with page.expect_file_chooser() as chooser:
        page.locator("#faces-upload").click()
    chooser.value.set_files(tmp_path / "grass.png")
    page.get_by_text("No face was found in this photo").first.wait_for()


@pytest.mark.parametrize(
    ("name", "place"),
    [("codes", '#codes-board [data-picture="edited"]'), ("inpaint", '[data-preset="mouth"]')],
)
def test_the_changed_face_is_sent_to_another_tab(visit, name, place):
    page = visit(query="tab=faces&section=change").page
    page.locator("#faces-change img").nth(1).wait_for()
    page.locator(f"#faces-to-{name}").click()
    page.locator(place).wait_for()
    if name == "inpaint":
        page.locator(place).click()
        page.locator("#inpaint-results .fill-rows button").first.wait_for()
