"""Draws the picture of the README from a real run: points filling in at the same time.

Run it with `python docs/picture.py`; it asks the packaged model and writes docs/ask.svg.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from skeleton_of_thought.asking import Asker
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.events import PointText
from sot_command.live import LiveView

if TYPE_CHECKING:
    from skeleton_of_thought.events import Event

QUESTION = "How can I improve my time management skills?"
FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)
"""Rich links fonts from the web; the viewer's own monospace font does."""
MOMENT = 0.6
"""The part of the pieces of the points' texts after which the picture is taken."""


def main() -> None:
    """Answer once to learn how many pieces come, once more to take the picture on the way."""
    asker = Asker(open_client("local"), router="always")
    pieces: list[PointText] = []

    def count(event: Event) -> None:
        if isinstance(event, PointText):
            pieces.append(event)

    asker.ask(QUESTION, watch=count)
    due = MOMENT * len(pieces)
    pieces.clear()
    console = Console(record=True, width=100, height=40, force_terminal=True, file=io.StringIO())
    view = LiveView(console)

    def watch(event: Event) -> None:
        view.watch(event)
        before = len(pieces)
        count(event)
        if before < due <= len(pieces):
            console.print(f'[bold green]$[/] sot ask "{QUESTION}"')
            console.print(view.picture())

    asker.ask(QUESTION, watch=watch)
    if len(pieces) < due:
        raise SystemExit(
            f"The second answer ended after {len(pieces)} pieces, before its picture at {due:.0f}."
        )
    target = Path(__file__).with_name("ask.svg")
    target.write_text(FONT_FACE.sub("", console.export_svg(title="sot ask")), encoding="utf-8")
    Console().print(f"Wrote {target.name}")


if __name__ == "__main__":
    main()
