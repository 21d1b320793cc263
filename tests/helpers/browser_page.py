"""Pages of the browser tests, and the errors in their consoles."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
        self.page.set_default_timeout(60_000)
        self.console_errors = []
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on(
            "console", lambda line: line.type == "error" and self.console_errors.append(line.text)
        )


@contextmanager
def open_pages(
    kind: Callable[..., BrowserPage], *who: object
) -> Iterator[Callable[..., BrowserPage]]:
    """Opens pages; each must end without a complaint in its console."""
    opened = []

    def open_page(**how):
        opened.append(kind(*who, **how))
        return opened[-1]

    yield open_page
    for page in opened:
        page.context.close()
        assert page.console_errors == []
