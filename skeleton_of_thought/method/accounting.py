"""Keeps a run's bill while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.bill import Bill, BillLine, total
from skeleton_of_thought.request import is_hedge
from skeleton_of_thought.usage import CHARACTERS_PER_TOKEN, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.request import Request


class Accounting:
    """The requests of one run, one line per stage and point."""

    def __init__(self, messages: Sequence[Message], *, route: Usage) -> None:
        self._messages = messages
        self._route = BillLine(usage=route)
        self._lines: dict[str, BillLine] = {}
        self._plain_prompt: int | None = 0
        self.usage = route

    def add(self, request: Request, usage: Usage, parts: Sequence[Usage] = ()) -> None:
        """A request has ended.

        Args:
            request: The request.
            usage: The tokens it reported; None in it are not known.
            parts: The same, divided among its points, if it has any; the call itself is the first one's.
        """
        self.usage += usage
        lines = [f"point:{index}" for index in request.points] or [request.id]
        for line, part in zip(lines, parts or (usage,), strict=True):
            before = self._line(line)
            if line != lines[0]:
                self._lines[line] = before + BillLine(usage=part)
            else:
                self._lines[line] = before.again(part, hedge=is_hedge(request.id), attempt=request.attempt)
        if request.stage in {"skeleton", "opening"} and usage != Usage():
            added = (_characters(request.messages) - _characters(self._messages)) // CHARACTERS_PER_TOKEN
            whole = usage.input_tokens
            self._plain_prompt = None if whole is None else max(0, whole - added)

    def add_route(self, usage: Usage) -> None:
        """The router has decided, and used these tokens."""
        self.usage += usage
        self._route += BillLine(usage=usage)

    def bill(self, points: int, *, direct: bool) -> Bill:
        """The bill of a run with so many points; the opening request is the direct answer's, if it was that."""
        lines = {index: self._line(f"point:{index}") for index in range(1, points + 1)}
        plain = Usage(self._plain_prompt, total(lines.values()).usage.output_tokens)
        opening, answered = self._line("opening"), self._line("direct")
        if "direct" in self._lines:
            plain = answered.usage
        elif direct and "opening" in self._lines:
            plain = Usage(self._plain_prompt, opening.usage.output_tokens)
        skeleton = self._line("skeleton")
        if direct and "direct" not in self._lines:
            answered += opening
        else:
            skeleton += opening
        return Bill(self._route, skeleton, lines, answered, plain)

    def _line(self, request_id: str) -> BillLine:
        return self._lines.get(request_id, BillLine())


def _characters(messages: Sequence[Message]) -> int:
    return sum(len(message.text) for message in messages)
