"""The Digits tab in a real browser: each section, on a phone as well, and the way to Codes."""

import pytest

from tests.helpers.browser_page import USES, BrowserPage, open_pages, open_section
from tests.helpers.fake_models import NOISE

pytestmark = [pytest.mark.browser, NOISE]


class Visitor(BrowserPage):
    """One visitor of the Digits tab."""

    def __init__(self, browser, address, query="tab=digits", width=1280, scheme="light"):
        super().__init__(browser, width, scheme)
        self.page.goto(f"{address}?{query}&__theme={scheme}")


@pytest.fixture
def visit(address, browser):
    with open_pages(Visitor, browser, address) as come:
        yield come


def sources(page, place):
    """The pictures that are shown there."""
    return page.locator(f"{place} img").evaluate_all("all => all.map((one) => one.src)")


def test_the_first_sight_is_a_result(visit):
    page = visit().page
    page.locator("#compare-columns img").nth(5).wait_for()
    assert len(set(sources(page, "#compare-columns"))) == 6


def test_a_setting_that_is_changed_by_keys_is_answered(visit):
    page = visit().page
    page.locator("#compare-columns img").nth(5).wait_for()
    before = sources(page, "#compare-columns")
    slider = page.locator("#compare-temperature input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    page.wait_for_function(
        "before => document.querySelector('#compare-columns img').src !== before[0]", arg=before
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_a_digit_is_drawn_repaired_and_sent_to_codes(visit, width):
    page = visit(width=width).page
    USES["digits"](page)
    before = sources(page, "#digits-own")
    assert len(before) == 7
    page.locator("#digits-task").get_by_label("Fill in a part").click()
    page.wait_for_function(
        "before => document.querySelector('#digits-own img').src !== before[0]", arg=before
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#digits-to-codes").click()
    page.locator('#codes-board [data-picture="edited"]').wait_for()
    page.get_by_text("7x7 codes from a codebook of").first.wait_for()


def test_an_example_is_taken(visit):
    page = visit(query="tab=digits&section=your-digit").page
    page.locator("#digits-examples [data-tile]").nth(4).click()
    page.locator("#digits-own img").first.wait_for()


def test_the_style_of_a_digit_is_carried_over(visit):
    page = visit(query="tab=digits&section=style").page
    page.locator("#style-pad canvas").click()
    page.locator("#style-strips img").nth(2).wait_for()


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ("Latent map", "#latent-map canvas"),
        ("Diffusion", "#diffusion-path canvas"),
        ("Training as a film", "#training-film"),
        ("Experiments", "#digits-experiments img"),
    ],
)
@pytest.mark.parametrize("width", [1280, 390])
def test_each_other_section_opens(visit, section, place, width):
    page = visit(width=width).page
    open_section(page, section)
    page.locator(place).first.wait_for()
    name = section.lower().replace(" ", "-")
    page.wait_for_function("name => location.search.includes(`section=${name}`)", arg=name)
