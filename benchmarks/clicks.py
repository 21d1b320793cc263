"""Clicks that overlap, on a slow network: `python benchmarks/clicks.py` counts those that are lost.

Each try makes changes up to a second apart and waits for the state that the last one leads to. The
network of Chromium is slowed down; `--url` takes a running app instead of starting one.
"""

import json
import random
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace

import tyro
from playwright.sync_api import Error, Page, sync_playwright
from serving import serving

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 30_000
FACES = 8


@dataclass(frozen=True)
class Config:
    """What is measured."""

    tries: int = 20
    """For each case and latency."""
    latencies: tuple[int, ...] = (40, 100, 200, 400)
    """ms, added to each request."""
    kilobytes: int = 50
    """KB/s, down and up."""
    url: str = ""
    seed: int = 0


def pause(page: Page, dice: random.Random) -> None:
    """Up to a second, as between two clicks."""
    page.wait_for_timeout(1000 * dice.random())


def open_tab(page: Page, name: str) -> None:
    """Choose a tab."""
    page.get_by_role("tab", name=name, exact=True).click()


def stroke(page: Page, dice: random.Random) -> None:
    """Draw a line on the Sketch tab."""
    open_tab(page, "Sketch")
    box = page.locator("#sketch-pad canvas").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    for _ in range(4):
        page.mouse.move(box["x"] + dice.uniform(40, 300), box["y"] + dice.uniform(40, 300), steps=4)
    page.mouse.up()


def take_face(page: Page, i: int) -> None:
    """Click one of our own faces."""
    page.locator(f'.starts [data-label="{i}"]').click()


def preset_then_smile(page: Page, dice: random.Random) -> Callable[[], bool]:
    """A preset, then another smile: the fills must have that smile."""
    open_tab(page, "Inpaint")
    if page.locator("#inpaint-pad [data-do='clear']:enabled").count():
        page.locator("#inpaint-pad [data-do='clear']").click()
    if not page.locator('[data-preset="mouth"]').is_visible():
        take_face(page, 0)
        page.locator('[data-preset="mouth"]').wait_for()
    page.locator('[data-preset="mouth"]').click()
    pause(page, dice)
    before = page.locator("#inpaint-smile input:checked").get_attribute("value")
    title = dice.choice([t for t in ("as it comes", "smile", "no smile") if t != before])
    page.locator(f'#inpaint-smile input[value="{title}"]').click()
    return lambda: page.locator(".fill-rows b").all_inner_texts() == [title]


def preset_then_face(page: Page, dice: random.Random) -> Callable[[], bool]:
    """A preset, then another face: it must be there, without fills."""
    open_tab(page, "Inpaint")
    first, second = dice.sample(range(FACES), 2)
    take_face(page, first)
    page.locator('[data-preset="mouth"]').click()
    pause(page, dice)
    take_face(page, second)
    return lambda: (
        f"face={second}" in page.url
        and page.locator('[data-preset="mouth"]').is_visible()
        and page.locator("#inpaint-results .tile:visible").count() == 0
    )


def stroke_then_face(page: Page, dice: random.Random) -> Callable[[], bool]:
    """A stroke on Sketch, then a face on Inpaint: it must be there."""
    stroke(page, dice)
    pause(page, dice)
    open_tab(page, "Inpaint")
    face = dice.randrange(FACES)
    take_face(page, face)
    return lambda: f"face={face}" in page.url and page.locator('[data-preset="mouth"]').is_visible()


def stroke_then_setting(page: Page, dice: random.Random) -> Callable[[], bool]:
    """A stroke, then "Reroll": the completions must have the new seed."""
    stroke(page, dice)
    pause(page, dice)
    page.locator("#sketch-reroll").click()
    made = page.locator("#sketch-results .tiles")
    seed = page.locator("#sketch-seed input")
    return lambda: str(made.get_attribute("data-name")).endswith(f"seed{seed.input_value()}")


def edits(page: Page, dice: random.Random) -> Callable[[], bool]:
    """Four edits of codes: all of them must be done, in their order."""
    open_tab(page, "Codes")
    chain = page.locator("#codes-chain textarea")
    if page.locator("[data-line='reset']:enabled").count():
        page.locator("[data-line='reset']").click()
        page.wait_for_function("document.querySelector('#codes-chain textarea').value === ''")
    steps = {
        "Shift right": "shift 1 0 wrap",
        "Shift up": "shift 0 -1 wrap",
        "Turn left": "rotate 1",
    }
    chosen = [dice.choice(list(steps)) for _ in range(4)]
    for title in chosen:
        page.get_by_title(title, exact=True).click()
        page.wait_for_timeout(300 * dice.random())
    return lambda: chain.input_value() == "\n".join(steps[title] for title in chosen)


CASES = (preset_then_smile, preset_then_face, stroke_then_face, stroke_then_setting, edits)
ANSWERED = """[...document.querySelectorAll("[data-wanted]")].every(
    ({dataset}) => dataset.wanted === dataset.answered)"""


def attempt(page: Page, case: Callable, dice: random.Random) -> bool:
    """Whether the state that the last change leads to is reached, and stays."""
    try:
        reached = case(page, dice)
        end = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < end:
            if page.evaluate(ANSWERED) and reached():
                return True
            page.wait_for_timeout(50)
    except Error as error:
        print(case.__name__, str(error).splitlines()[0])
    return False


def main(cfg: Config) -> None:
    """Try, count, print."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    dice = random.Random(cfg.seed)
    served = nullcontext(SimpleNamespace(url=cfg.url)) if cfg.url else serving()
    lost: dict[str, dict[int, int]] = {case.__name__: {} for case in CASES}
    with served as app, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for latency in cfg.latencies:
            page = browser.new_context(viewport={"width": 1280, "height": 1400}).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(app.url)
            page.locator("#sketch-go").wait_for()
            wire = page.context.new_cdp_session(page)
            wire.send("Network.enable")
            rate = 1000 * cfg.kilobytes
            slow = {"downloadThroughput": rate, "uploadThroughput": rate, "offline": False}
            wire.send("Network.emulateNetworkConditions", {"latency": latency, **slow})
            for case in CASES:
                tries = [attempt(page, case, dice) for _ in range(cfg.tries)]
                lost[case.__name__][latency] = tries.count(False)
                print(latency, case.__name__, tries.count(False), "of", cfg.tries, flush=True)
            page.context.close()
        browser.close()
    total = sum(sum(row.values()) for row in lost.values())
    tries = cfg.tries * len(cfg.latencies) * len(CASES)
    print(json.dumps({"lost": total, "tries": tries, "by_case_and_latency": lost}, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Config))
