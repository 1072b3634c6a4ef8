"""One numbered list out of several with the same markers: a draft and its revision, a list and a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.parsing.talk import announces_final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skeleton_of_thought.parsing.item import Item
    from skeleton_of_thought.parsing.lines import Line


def chosen_run(items: list[Item], lines: Sequence[Line]) -> list[Item]:
    """The items a reader takes for the skeleton, where a list starts again.

    Numbers that just start again (`1. 1. 1.`) go on with the list. A restart after a lead-in is another list:
    the one announced as final wins, else the first. A repetition of the whole list is dropped.
    """
    runs: list[list[Item]] = []
    leads: list[str] = []
    for item in items:
        before = runs[-1][-1] if runs else None
        lead = _lead_in(before, item, lines) if before else ""
        if before is None or lead:
            runs.append([])
            leads.append(lead)
        runs[-1].append(item)
    final = [run for run, lead in zip(runs, leads, strict=True) if announces_final(lead)]
    long = [run for run in runs if len(run) > 1]
    if not long or (items[0].value is None and len(runs[0]) == 1):
        return items
    return _without_repetition(final[-1] if final else long[0])


def _lead_in(before: Item, item: Item, lines: Sequence[Line]) -> str:
    """The text that sets an item apart from the one before as the first of another list; empty if none does.

    A heading or a line with a colon does; for numbers that start again any paragraph of its own does.
    """
    is_numbered = item.value is not None
    if item.value is not None and not item.value <= 1 <= (before.value or 0):
        return ""
    for place in range(item.line - 1, before.line, -1):
        line = lines[place]
        if line.frame == "blank":
            continue
        is_heading = line.frame in {"heading", "bold"}
        is_paragraph = is_numbered and lines[place - 1].frame == "blank"
        is_lead = line.frame == "plain" and (is_paragraph or line.text.endswith((":", "：")))
        return line.text if is_heading or (is_lead and line.indent <= item.indent) else ""
    return ""


def _without_repetition(items: Iterable[Item]) -> list[Item]:
    """Drop a restarted block that only repeats what was said before."""
    blocks: list[list[Item]] = []
    for item in items:
        if not blocks or _restarts(blocks[-1][-1], item):
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


def _restarts(before: Item, item: Item) -> bool:
    return item.value is not None and item.value <= (before.value or 0)
