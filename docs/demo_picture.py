"""Takes the picture of `sot demo` for the README from a real race in a headless browser.

Run it with `python docs/demo_picture.py`; it asks the packaged model, needs Chromium (on the PATH, or named by
the environment variable CHROMIUM), and writes docs/demo.png.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import uvicorn
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from skeleton_of_thought.clients import open_client
from sot_command.demo import application, listen

WIDTH, HEIGHT = 1120, 700
PATIENCE = 120_000  # milliseconds


def main() -> None:
    """Race once, photograph it when the first point is complete."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(application(open_client("local"), max_points=5), log_level="warning")
    )
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}")
        target = Path(__file__).with_name("demo.png")
        _photograph(page, target)
        browser.close()
    server.should_exit = True
    Console().print(f"Wrote {target.name}")


def _photograph(page: Page, target: Path) -> None:
    page.locator("#race").click()
    page.locator("#sot li.ok").first.wait_for(timeout=PATIENCE)
    page.screenshot(path=target)


if __name__ == "__main__":
    main()
