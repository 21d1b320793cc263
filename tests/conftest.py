"""Fixtures of all tests: a browser, the app with fake models, a fake Hub, two checkpoints.

Nothing of ours is imported before a test runs: pytest puts its checks of shapes in place first.
"""

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


@pytest.fixture(scope="module")
def address():
    """The URL of the complete app with fake models."""
    from tests.helpers.fake_models import serving

    with pytest.MonkeyPatch.context() as patch, serving(patch) as url:
        yield url


@pytest.fixture
def hub_server(monkeypatch, tmp_path):
    """An empty Hub."""
    from tests.helpers.hub_fixtures import empty_hub

    with empty_hub(monkeypatch, tmp_path / "cache") as served:
        yield served


@pytest.fixture
def root(tmp_path):
    """A folder with two checkpoints."""
    from tests.helpers.hub_fixtures import two_checkpoints

    return two_checkpoints(tmp_path / "root")
