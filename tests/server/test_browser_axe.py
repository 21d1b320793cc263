"""Every tab, empty and filled, by axe-core: no serious or critical findings."""

from importlib import resources

import pytest

from tests.helpers.browser_page import USES, VIEWS, BrowserPage, open_pages
from tests.helpers.fake_models import NOISE

pytestmark = [pytest.mark.browser, NOISE]
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
SEVERE = ("serious", "critical")


class Visitor(BrowserPage):
    """One visitor, who looks at everything."""

    def __init__(self, browser, address, tab, width=1280, scheme="light"):
        super().__init__(browser, width, scheme)
        self.page.goto(f"{address}?tab={tab}&__theme={scheme}")
        self.page.locator(f"#{tab}-share").get_by_role("button", name="Copy link").wait_for()

    def violations(self):
        """What axe-core finds severe: rule, and the elements."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in SEVERE
        ]


@pytest.fixture
def visit(address, browser):
    with open_pages(Visitor, browser, address) as come:
        yield come


@pytest.mark.parametrize("tab", USES)
@pytest.mark.parametrize("name", VIEWS)
def test_no_severe_finding_on_any_tab(visit, tab, name):
    width, scheme = VIEWS[name]
    visitor = visit(tab=tab, width=width, scheme=scheme)
    visitor.until_still()
    assert visitor.violations() == []
    USES[tab](visitor.page)
    visitor.until_still()
    assert visitor.violations() == []
