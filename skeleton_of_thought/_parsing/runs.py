"""One numbered list out of several with the same markers: a draft and its revision, a list and a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought._parsing.talk import announces_final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skeleton_of_thought._parsing.item import Item
    from skeleton_of_thought._parsing.lines import Line


def chosen_run(items: list[Item], lines: Sequence[Line]) -> list[Item]:
    """The items a reader takes for the skeleton, where the numbers start again.

    Numbers that just start again (`1. 1. 1.`) go on with the list. A restart after a lead-in is another list:
    the one announced as final wins, else the first. A repetition of the whole list is dropped.
    """
    runs: list[list[Item]] = []
    leads: list[str] = []
    for item in items:
        before = runs[-1][-1] if runs else None
        lead = _lead_in(lines, before.line + 1, item.line) if before else ""
        if before is None or (lead and (item.value or 0) <= 1 <= (before.value or 0)):
            runs.append([])
            leads.append(lead)
        runs[-1].append(item)
    if all(len(run) == 1 for run in runs):
        return items
    final = [run for run, lead in zip(runs, leads, strict=True) if announces_final(lead)]
    return _without_repetition(final[-1] if final else next(run for run in runs if len(run) > 1))


def _lead_in(lines: Sequence[Line], start: int, end: int) -> str:
    """The text between two items that sets them apart: a heading, a line with a colon, an own paragraph."""
    for place in range(end - 1, start - 1, -1):
        line = lines[place]
        if line.frame == "blank":
            continue
        own_paragraph = place > start and lines[place - 1].frame == "blank"
        apart = line.frame in {"heading", "bold"} or (
            line.frame == "plain" and (own_paragraph or line.text.endswith((":", "：")))
        )
        return line.text if apart else ""
    return ""


def _without_repetition(items: Iterable[Item]) -> list[Item]:
    """Drop a restarted block that only repeats what was said before."""
    blocks: list[list[Item]] = []
    for item in items:
        if not blocks or (item.value or 0) <= (blocks[-1][-1].value or 0):
            blocks.append([])
        blocks[-1].append(item)
    kept: list[Item] = []
    seen: set[str] = set()
    for block in blocks:
        bodies = {item.body for item in block}
        if len(block) == 1 or not bodies <= seen:
            kept += block
        seen |= bodies
    return kept
