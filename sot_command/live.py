"""What a person watches while the points fill in at the same time."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_MARKS = {"ok": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("✗", "yellow")}


class LiveView:
    """Shows the skeleton as it comes, then every point growing, one line each; gone when closed."""

    def __init__(self, console: Console) -> None:
        self._width = console.width
        self._height = console.height
        self._status = ""
        self._skeleton = ""
        self._direct = ""
        self._titles: dict[int, str] = {}
        self._texts: dict[int, str] = {}
        self._ended: dict[int, str] = {}
        self._live = Live(console=console, refresh_per_second=12, transient=True, get_renderable=self.picture)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.__exit__(None, None, None)

    def watch(self, event: Event) -> None:
        """Take note of what happened."""
        match event:
            case RouteChosen(route, reason):
                self._status = f"{route}: {reason}"
            case SkeletonText(text):
                self._skeleton += text
            case PointStarted(index, title, _):
                self._texts[index], self._titles[index] = "", title  # drawn by another thread: title last
            case PointText(index, text):
                self._texts[index] += text
            case PointEnded(result):
                self._ended[result.index] = result.status
            case AnswerText(text) if not self._titles:
                self._direct += text
            case _:
                pass

    def picture(self) -> RenderableType:
        """How things stand."""
        lines = [Text(self._status, style="dim", no_wrap=True, overflow="ellipsis")]
        if self._titles:
            lines += [line for index in list(self._titles) for line in self._point(index)]
        else:
            written = self._direct or self._skeleton
            lines += [Text(line) for line in written.splitlines()[-(self._height - 2) :]]
        return Group(*lines)

    def _point(self, index: int) -> list[Text]:
        """A point's title and the end of its text."""
        mark, style = _MARKS.get(self._ended.get(index, ""), ("…", "cyan"))
        text = " ".join(self._texts[index].split())
        room = self._width - 6
        tail = text if len(text) <= room else "…" + text[1 - room :]
        return [
            Text.assemble(
                (f"{mark} {index}. ", style), (self._titles[index], "bold"), no_wrap=True, overflow="ellipsis"
            ),
            Text(
                f"     {tail}", style="dim" if index in self._ended else "", no_wrap=True, overflow="ellipsis"
            ),
        ]
