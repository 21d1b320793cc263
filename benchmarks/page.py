"""The page in a real browser: `python benchmarks/page.py` prints its weight and when it is usable.

Starts the real app. A cold visit of each tab: bytes over the wire, requests, and seconds until its
first control can be used; medians. `--pictures docs` also keeps a picture of each tab at work.
"""

import json
import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from serving import serving

SIDE = 1280  # px, the width of the window
NAMES = ("chromium", "chromium-browser", "google-chrome")


def sketch(page: Page) -> None:
    """A drawing of the page's own, finished."""
    page.locator("[data-label='ice cream']").click()
    page.locator("#sketch-results .tiles button").first.wait_for()


def inpaint(page: Page) -> None:
    """A face of our model's, its mouth with a smile and without."""
    page.get_by_label("Face 4, made by our model").click()
    page.locator('[data-preset="mouth"]').click()
    page.locator("#inpaint-smile").get_by_label("side by side").click()
    page.get_by_text("no smile", exact=True).nth(1).wait_for()


def codes(page: Page) -> None:
    """A face's codes, moved."""
    page.locator("#codes-kind").get_by_label("faces").click()
    page.get_by_text("16x16 codes out of").wait_for()
    page.get_by_title("Shift right").click()
    page.wait_for_function("document.querySelector('#codes-chain textarea').value !== ''")


@dataclass(frozen=True)
class Tab:
    """What is waited for, and what a picture of it shows."""

    ready: str
    act: Callable[[Page], None]


TABS = {
    "sketch": Tab("#sketch-go:enabled", sketch),
    "inpaint": Tab('[aria-label="Face 1, made by our model"]', inpaint),
    "codes": Tab("#codes-strip [data-tile]", codes),
}


@dataclass(frozen=True)
class Config:
    """What is measured."""

    repeats: int = 5
    pictures: Path | None = None
    """Folder for a picture of each tab."""


def visit(browser: Browser, url: str, tab: str) -> tuple[float, int, int]:
    """Seconds until the tab can be used, bytes over the wire, requests; nothing was cached."""
    context = browser.new_context(viewport={"width": SIDE, "height": 900})
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    sizes: list[float] = []
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(f"{url}/?tab={tab}", wait_until="commit")
    page.locator(TABS[tab].ready).first.wait_for()
    seconds = page.evaluate("performance.now()") / 1000
    page.wait_for_timeout(1000)
    context.close()
    return seconds, int(sum(sizes)), len(sizes)


def picture(browser: Browser, url: str, tab: str, folder: Path) -> None:
    """The tab at work, in few enough colours to be small."""
    context = browser.new_context(viewport={"width": SIDE, "height": 860})
    page = context.new_page()
    page.goto(f"{url}/?tab={tab}")
    page.locator(TABS[tab].ready).first.wait_for()
    TABS[tab].act(page)
    page.wait_for_timeout(2500)
    page.evaluate("scrollTo(0, 0)")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{tab}.png"
    page.screenshot(path=file)
    context.close()
    few = Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    few.save(file, optimize=True)


def main(cfg: Config) -> None:
    """Measure, print, keep pictures."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    said = {}
    with serving() as served, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for tab in TABS:
            visit(browser, served.url, tab)
            times, sizes, counts = zip(
                *(visit(browser, served.url, tab) for _ in range(cfg.repeats)), strict=True
            )
            said[tab] = {
                "usable_s": round(statistics.median(times), 2),
                "kb": round(statistics.median(sizes) / 1000),
                "requests": statistics.median(counts),
            }
            if cfg.pictures:
                picture(browser, served.url, tab, cfg.pictures)
        browser.close()
    print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Config))
