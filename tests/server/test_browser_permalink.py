"""Links that restore a state, and Python that computes the same, in a real browser."""

import ast
import contextlib
import io

import pytest

from tests.helpers.browser_page import USES, VIEWS, BrowserPage, open_pages
from tests.helpers.fake_models import NOISE

pytestmark = [pytest.mark.browser, NOISE]


class Visitor(BrowserPage):
    """One visitor on some tab."""

    def __init__(self, browser, address, tab="sketch", link=None, width=1280, scheme="light"):
        super().__init__(browser, width, scheme)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.tab = tab
        self.page.goto(link or f"{address}?tab={tab}")
        self.panel = self.page.locator(f"#{tab}-share")
        self.panel.get_by_role("button", name="Copy link").wait_for()

    def copied(self, name):
        """What a press of one of the buttons leaves in the clipboard."""
        self.panel.get_by_role("button", name=name).click()
        self.panel.locator(".share-status").get_by_text("Copied").wait_for()
        text = self.page.evaluate("navigator.clipboard.readText()")
        assert text == self.panel.locator(".share-text").text_content()
        return text


@pytest.fixture
def visit(address, browser):
    with open_pages(Visitor, browser, address) as come:
        yield come


def printed(python):
    """What the copied Python prints, as values."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(python, {})
    lines = [line for line in out.getvalue().splitlines() if line[:1] in "[{"]
    return [ast.literal_eval(line) for line in lines]


def draw_stroke(visitor):
    """A stroke on the Sketch tab's pad, and its completions."""
    page = visitor.page
    box = page.locator("#sketch-pad canvas").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 150, steps=8)
    page.mouse.up()
    page.locator("#sketch-results .tiles button").first.wait_for()


def test_a_sketch_is_restored(visit):
    first = visit()
    draw_stroke(first)
    seed = "#sketch-seed input"
    first.page.locator(seed).fill("7")
    first.page.locator(seed).press("Tab")
    link = first.copied("Copy link")
    assert "tab=sketch" in link
    assert "seed=7" in link
    other = visit(link=link)
    other.page.locator("#sketch-results .tiles button").first.wait_for()
    assert other.page.locator(seed).input_value() == "7"
    [ours] = printed(first.copied("Copy as Python"))
    assert len(ours) == 16
    assert other.copied("Copy link") == link


def test_a_hole_in_a_face_is_restored(visit):
    first = visit(tab="inpaint")
    page = first.page
    page.get_by_label("Face 2, made by our model").click()
    page.locator('[data-preset="mouth"]').click()
    page.locator("#inpaint-results .fill-rows button").first.wait_for()
    page.locator("#inpaint-smile").get_by_label("no smile").click()
    link = first.copied("Copy link")
    assert "face=1" in link
    assert "smile=no+smile" in link
    other = visit(tab="inpaint", link=link)
    other.page.locator("#inpaint-results .fill-rows button").first.wait_for()
    assert other.page.locator("#inpaint-smile").get_by_label("no smile").is_checked()
    assert other.copied("Copy link") == link
    [fills] = printed(first.copied("Copy as Python"))
    assert len(fills) == 4


def test_edits_of_codes_are_restored(visit):
    first = visit(tab="codes")
    page = first.page
    page.locator("#codes-kind").get_by_label("sketches").click()
    page.get_by_text("8x8 codes out of").wait_for()
    page.get_by_title("Shift right").click()
    chain = "document.querySelector('#codes-chain textarea').value === 'shift 1 0 wrap'"
    page.wait_for_function(chain)
    link = first.copied("Copy link")
    other = visit(tab="codes", link=link)
    other.page.wait_for_function(chain)
    assert other.page.locator("#codes-kind").get_by_label("sketches").is_checked()
    pictures = [
        who.page.locator('#codes-board [data-picture="edited"]').get_attribute("src")
        for who in (first, other)
    ]
    assert pictures[0] == pictures[1]
    assert other.copied("Copy link") == link
    edited, sampled = printed(first.copied("Copy as Python"))
    assert len(edited["codes"]) == 16
    assert len(sampled["pictures"]) == 16


@pytest.mark.parametrize("name", VIEWS)
def test_the_text_stays_within_the_page(visit, name):
    width, scheme = VIEWS[name]
    visitor = visit(tab="codes", width=width, scheme=scheme)
    visitor.page.get_by_title("Shift right").wait_for()
    visitor.copied("Copy as Python")
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    "query",
    [
        "tab=sketch&ink=zzzz..-&label=dog&count=1e9&temperature=nan&seed=-1",
        "tab=inpaint&face=99&holes=1,2,3&smile=perhaps",
        "tab=inpaint&face=0&holes=900,900,901,901",
        "tab=codes&kind=cats&a=00&b=%00&edits=fly&top_k=x",
        "tab=nowhere&seed=1",
    ],
)
def test_an_invalid_link_changes_nothing(visit, address, query):
    tab = query.split("&")[0].removeprefix("tab=").replace("nowhere", "sketch")
    visitor = visit(tab=tab, link=f"{address}?{query}")
    USES[tab](visitor.page)  # answered after all that the link asked for
    assert visitor.page.get_by_text("That did not work").count() == 0
    assert visitor.copied("Copy as Python").startswith("from gradio_client")
