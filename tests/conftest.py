"""The browser that the tests of the pages share."""

import shutil

import pytest
from playwright import sync_api

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=QUIET)
        yield chromium
        chromium.close()
