"""What a person watches while the points fill in at the same time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from skeleton_of_thought.events import (
    AnswerText,
    Event,
    PointEnded,
    PointStarted,
    PointText,
    RouteChosen,
    SkeletonText,
)
from sot_command.notices import NOTICES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_MARKS = {"ok": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("✗", "yellow")}


class LiveView:
    """Shows the opening and the skeleton as they come, then every point growing, a title and a line each.

    In the opening protocol the answer's first words come before anybody knows its route, and points may start before
    the skeleton is complete. The picture is gone when it is closed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = ""
        self._skeleton = ""
        self._written = ""
        self._split = False
        self._titles: dict[int, str] = {}
        self._texts: dict[int, str] = {}
        self._ended: dict[int, str] = {}
        self._pause = ("", 0.0)
        self._live = Live(console=console, refresh_per_second=12, transient=True, get_renderable=self.picture)

    def __enter__(self) -> Self:
        self._live.__enter__()
        NOTICES.watcher = self
        return self

    def __exit__(self, *exc: object) -> None:
        NOTICES.watcher = None
        self._live.__exit__(None, None, None)

    def watch(self, event: Event) -> None:
        """Take note of what happened."""
        match event:
            case RouteChosen(route, reason):
                self._status = f"{route}: {reason}"
                self._split = route == "sot"
            case SkeletonText(text):
                self._skeleton += text
            case PointStarted(index, title, _):
                self._texts[index], self._titles[index] = "", title  # drawn by another thread: title last
            case PointText(index, text):
                self._texts[index] += text
            case PointEnded(result):
                self._titles.setdefault(result.index, result.title)
                self._ended[result.index] = result.status
            case AnswerText(text) if not self._split:
                self._written += text
            case _:
                pass

    def pause(self, line: str, until: float) -> None:
        """Nothing is sent until a moment of `time.monotonic`; one line says so while it lasts."""
        self._pause = (line, until)

    def picture(self) -> RenderableType:
        """How things stand."""
        head = Text(self._status, style="dim", no_wrap=True, overflow="ellipsis")
        titles = sorted(self._titles) if self._split else []
        points = [line for index in titles for line in self._point(index)]
        if self._split and not points:
            points = self._last_lines(self._skeleton, self._console.height - 2)
        waits = self._waits()
        room = max(self._console.height - 2 - len(points) - len(waits), 0)
        return Group(head, *self._last_lines(self._written, room), *points, *waits)

    def _waits(self) -> list[Text]:
        """What is waited for, while it is."""
        line, until = self._pause
        left = until - time.monotonic()
        if left <= 0:
            return []
        return [Text(f"{left:.0f} s: {line}", style="yellow", no_wrap=True, overflow="ellipsis")]

    def _last_lines(self, text: str, most: int) -> list[Text]:
        """The end of a text, wrapped as the terminal would."""
        if not text.strip() or not most:
            return []
        return list(Text(text.rstrip()).wrap(self._console, self._console.width))[-most:]

    def _point(self, index: int) -> list[Text]:
        """A point's title and the end of its text."""
        mark, style = _MARKS.get(self._ended.get(index, ""), ("…", "cyan"))
        text = " ".join(self._texts.get(index, "").split())
        room = self._console.width - 6
        tail = text if len(text) <= room else "…" + text[1 - room :]
        return [
            Text.assemble(
                (f"{mark} {index}. ", style), (self._titles[index], "bold"), no_wrap=True, overflow="ellipsis"
            ),
            Text(
                f"     {tail}", style="dim" if index in self._ended else "", no_wrap=True, overflow="ellipsis"
            ),
        ]
