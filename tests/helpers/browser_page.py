"""Pages of the browser tests, the errors in their consoles, and one use of each tab."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 60  # for any state to be reached, also on a busy machine
VIEWS = {
    "desktop, light": (1280, "light"),
    "desktop, dark": (1280, "dark"),
    "phone, light": (390, "light"),
    "phone, dark": (390, "dark"),
}


class BrowserPage:
    """A page of some width, with fingers on narrow ones, that keeps errors of its console."""

    def __init__(self, browser, width=1280, scheme="light"):
        self.touch = width < 500
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            has_touch=self.touch,
            device_scale_factor=2 if self.touch else 1,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self.console_errors = []
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on(
            "console", lambda line: line.type == "error" and self.console_errors.append(line.text)
        )

    def until(self, happened: Callable[[], object], expected: str = "it") -> None:
        """Wait for a state that is not in the page."""
        end = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < end, f"{expected} did not happen"
            self.page.wait_for_timeout(20)

    def until_still(self) -> None:
        """Wait until nothing fades or moves any more."""
        self.page.wait_for_function(
            """document.getAnimations().every((one) =>
                one.playState !== "running" || one.effect.getTiming().iterations === Infinity)"""
        )


def use_sketch(page) -> None:
    """Make completions."""
    page.locator("#sketch-pad canvas").click()
    page.locator("#sketch-results .tiles button").first.wait_for()


def use_inpaint(page) -> None:
    """Make fills."""
    page.get_by_label("Face 1, made by our model").click()
    page.locator('[data-preset="mouth"]').click()
    page.locator("#inpaint-results .fill-rows button").first.wait_for()


def use_codes(page) -> None:
    """Edit a grid of codes, and copy what was done."""
    page.get_by_title("Shift right").click()
    page.wait_for_function(
        "document.querySelector('#codes-chain textarea').value.endsWith('shift 1 0 wrap')"
    )
    page.get_by_role("button", name="Copy as Python").last.click()


USES = {"sketch": use_sketch, "inpaint": use_inpaint, "codes": use_codes}


@contextmanager
def open_pages(
    kind: Callable[..., BrowserPage], *who: object
) -> Iterator[Callable[..., BrowserPage]]:
    """Opens pages; none may end with an error in its console."""
    opened = []

    def open_page(**how):
        opened.append(kind(*who, **how))
        return opened[-1]

    yield open_page
    for page in opened:
        page.context.close()
        assert page.console_errors == []
