"""A headless browser for tests of pages: the machine's Chromium, driven by Playwright, cut off from the network.

The fixtures `browser` and `page` are there for every test, through `tests/conftest.py`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "google-chrome-stable")
LOCAL = {"127.0.0.1", "localhost", "::1", None}


def find_chromium() -> str | None:
    """The program, by the environment variable `CHROMIUM`, or by its usual names."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser():
    """One browser for the tests of a module; they are skipped, with the reason, where there is none.

    Not for longer: while Playwright is open its event loop counts as running, and no asynchronous test could.
    """
    program = find_chromium()
    if program is None or not Path(program).exists():
        pytest.skip(
            f"no browser: none of {', '.join(NAMES)} is on the PATH; install Chromium (apt-get install chromium) "
            "or set CHROMIUM to the program"
        )
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page in a fresh profile.

    `page.outside` lists what the page asked of other machines (each request is refused), and `page.complaints`
    what it wrote to the console as an error, or threw.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    opened = context.new_page()
    opened.outside, opened.complaints = [], []

    def guard(route):
        address = urlsplit(route.request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.hostname not in LOCAL:
            opened.outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    context.route("**/*", guard)
    opened.on("console", lambda line: opened.complaints.append(line.text) if line.type == "error" else None)
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    yield opened
    context.close()
