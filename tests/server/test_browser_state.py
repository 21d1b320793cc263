"""Nothing is lost: overlapping changes on a slow network, failures, reloads, going back."""

import time

import httpx
import pytest

from tests.helpers.browser_page import BrowserPage, open_pages
from tests.helpers.fake_models import NOISE

pytestmark = [pytest.mark.browser, NOISE]
PAGE_KB_IN_5_S = 250  # at 50 KB/s
SLOW = {"latency": 400, "downloadThroughput": 50e3, "uploadThroughput": 50e3, "offline": False}
FAST = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1, "offline": False}


class Visitor(BrowserPage):
    """A visitor whose network can be slowed down or cut."""

    def __init__(self, browser, address, width=1280, scheme="light", height=900):
        super().__init__(browser, width, scheme)
        self.page.set_viewport_size({"width": width, "height": height})
        self.wire = self.context.new_cdp_session(self.page)
        self.page.goto(address)
        self.page.locator("#sketch-go").wait_for()

    def network(self, conditions):
        self.wire.send("Network.enable")
        self.wire.send("Network.emulateNetworkConditions", conditions)

    def tab(self, name):
        self.page.get_by_role("tab", name=name, exact=True).click()

    def tiles(self):
        return self.page.locator("#sketch-results .tile")


@pytest.fixture(scope="module")
def visitor(address, browser):
    with open_pages(Visitor, browser, address) as come:
        yield come()


def test_changes_that_overlap_on_a_slow_network_are_all_answered(visitor):
    page = visitor.page
    visitor.network(SLOW)
    visitor.tab("Inpaint")
    page.locator('.starts [data-label="1"]').click()
    page.locator('[data-preset="mouth"]').click()
    for title in ("smile", "no smile", "smile", "no smile"):
        page.wait_for_timeout(350)
        page.locator(f'#inpaint-smile input[value="{title}"]').check()
    page.locator('.fill-rows b:text-is("no smile")').wait_for()
    page.locator('[data-preset="eyes"]').click()
    page.locator('.starts [data-label="2"]').click()
    page.locator("#inpaint-results .tile").first.wait_for(state="hidden")
    page.locator('[data-preset="mouth"]').click()
    page.locator("#inpaint-results .tile").first.wait_for()
    visitor.tab("Codes")
    for title in ("Shift right", "Shift up", "Turn left", "Shift right"):
        page.get_by_title(title, exact=True).click()
    chain = "shift 1 0 wrap\\nshift 0 -1 wrap\\nrotate 1\\nshift 1 0 wrap"
    page.wait_for_function(f"document.querySelector('#codes-chain textarea').value === '{chain}'")
    visitor.network(FAST)


def test_what_is_not_answered_is_asked_again_and_that_is_seen(visitor):
    page = visitor.page
    visitor.tab("Sketch")
    page.route("**/run/sketch_ask", lambda route: route.fulfill(status=502, body="no gateway"))
    page.locator('[data-label="car"]').click()
    state = page.locator("#sketch-state")
    state.get_by_text("The server does not answer.").wait_for()
    assert visitor.tiles().count() == 0
    page.unroute("**/run/sketch_ask")
    state.get_by_role("button", name="Try now").click()
    visitor.tiles().first.wait_for()
    assert state.get_by_role("status").text_content() == "16 completions."
    assert not state.get_by_text("The server does not answer.").is_visible()
    errors = [text for text in visitor.console_errors if "502" not in text]
    visitor.console_errors[:] = errors


def test_a_reload_and_the_back_button_keep_tab_and_state(visitor):
    page = visitor.page
    page.get_by_label("Binary").check()
    page.wait_for_function("location.search.includes('view=Binary')")
    shown = "[...document.querySelectorAll('#sketch-results .tile img')].map((i) => i.src).join()"
    tiles = page.evaluate(shown)
    page.reload()
    page.wait_for_function("tiles => " + shown + " === tiles", arg=tiles)
    visitor.tab("Codes")
    page.wait_for_function("location.search.includes('tab=codes')")
    page.goto("about:blank")
    page.go_back()
    chain = "document.querySelector('#codes-chain textarea')?.value"
    page.wait_for_function(chain + ".endsWith('rotate 1\\nshift 1 0 wrap')")
    assert page.get_by_role("tab", name="Codes").get_attribute("aria-selected") == "true"
    visitor.tab("Inpaint")
    page.locator("#inpaint-results .tile").first.wait_for()
    visitor.tab("Sketch")
    page.wait_for_function("tiles => " + shown + " === tiles", arg=tiles)


def test_something_is_seen_within_5_s_at_50_kb_a_second(address):
    began = time.monotonic()
    page = httpx.get(address, headers={"Accept-Encoding": "gzip"})
    assert time.monotonic() - began < 3
    assert int(page.headers["content-length"]) < 1000 * PAGE_KB_IN_5_S
    assert page.text.index("The page is coming") > page.text.index("<body")


def test_pad_setting_and_four_results_are_on_one_screen_of_a_phone(address, browser):
    with open_pages(Visitor, browser, address) as come:
        visitor = come(width=390, height=844)
        page = visitor.page
        page.locator('[data-label="cat"]').click()
        visitor.tiles().nth(3).wait_for()
        page.evaluate("scrollTo(0, 0)")
        for part in (
            "#sketch-pad canvas",
            "#sketch-label",
            "#sketch-results li:nth-child(4) .tile",
        ):
            box = page.locator(part).bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 844
            assert box["x"] + box["width"] <= 390
        strip = page.locator("#sketch-results .tiles")
        assert strip.evaluate("strip => strip.scrollWidth > 2 * strip.clientWidth")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        visitor.tab("Inpaint")
        page.locator('.starts [data-label="1"]').click()
        page.locator('[data-preset="mouth"]').click()
        page.locator("#inpaint-results .tile").nth(3).wait_for()
        page.evaluate("scrollTo(0, 0)")
        for part in (
            "#inpaint-pad canvas",
            "#inpaint-smile",
            "#inpaint-results li:nth-child(4) .tile",
        ):
            box = page.locator(part).bounding_box()
            assert box["y"] + box["height"] <= 844
