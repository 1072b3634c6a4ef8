"""An answer as Jupyter shows it: what happened when, and the text.

Self-contained HTML without scripts or style sheets, readable on light and dark pages; and Markdown for where
HTML is not shown. Everything a model wrote is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.usage import told_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLOURS = {"ok": "#3b82f6", "failed": "#ef4444", "skipped": "#f59e0b", "before": "#8b8b95"}
_FRAME = (
    "border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:12px 16px;margin:4px 0;"
    "max-width:860px;color:inherit;background:transparent;line-height:1.45"
)
_ROW = "display:flex;align-items:center;gap:10px;margin:2px 0;font-size:.9em"
_LABEL = "flex:0 0 38%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
_TRACK = "flex:1;position:relative;height:12px;border-radius:3px;background:rgba(128,128,128,.18)"
_TIME = "flex:0 0 9.5em;text-align:right;font-variant-numeric:tabular-nums;opacity:.75"
_TEXT = "white-space:pre-wrap;margin-top:12px;padding-top:10px;border-top:1px solid rgba(128,128,128,.35)"
_BAR_CELLS = 24
"""Characters of a bar in Markdown."""


class _TimelineRow(NamedTuple):
    """One line of the timeline: seconds from the start of the answer."""

    label: str
    start: float
    end: float
    colour: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class AnswerView:
    """What `view` returns; Jupyter shows it when it ends a cell.

    Attributes:
        text: The answer.
        sot: The contract: route, reason, points, seconds, usage.
    """

    text: str
    sot: Mapping[str, Any]

    def _repr_html_(self) -> str:
        spans = list(_spans(self.sot))
        longest = max((span.end for span in spans), default=0.0) or 1.0
        rows = "".join(_html_row(span, longest) for span in spans)
        return (
            f'<div style="{_FRAME}"><div style="margin-bottom:8px"><b>{escape(_title(self.sot))}</b>'
            f'<span style="opacity:.75"> · {escape(_summary(self.sot))}</span></div>'
            f'{rows}<div style="{_TEXT}">{escape(self.text)}</div></div>'
        )

    def _repr_markdown_(self) -> str:
        spans = list(_spans(self.sot))
        longest = max((span.end for span in spans), default=0.0) or 1.0
        rows = [
            f"| {_cell(span.label + span.note)} | `{_bar(span, longest)}` | {span.start:.2f} | {span.end:.2f} |"
            for span in spans
        ]
        head = ["| | when | from s | to s |", "|---|---|---:|---:|"]
        title = f"**{_title(self.sot)}** · {_cell(_summary(self.sot))}"
        return "\n".join([title, "", *head, *rows, "", escape(self.text, quote=False)])


def view(answered: Any) -> AnswerView:
    """An answer as text with its skeleton and a timeline of its points.

    Args:
        answered: An `Answer`; the message a chain returned, or its chunks added up; the response of a query
            engine; or the object `sot ask --json` prints.

    Raises:
        ConfigurationError: It does not come from Skeleton-of-Thought.

    Example:
        >>> from skeleton_of_thought import Answer, view
        >>> print(view(Answer("It is 4.", "direct", "a sum"))._repr_markdown_().splitlines()[0])
        **Plain answer** · a sum · 0.0 s, first text after 0.0 s · 0 tokens in, 0 out
    """
    if hasattr(answered, "bill"):  # an Answer, which shows itself through this module
        return AnswerView(answered.text, answered.to_dict())
    if isinstance(answered, Mapping):
        text, sot = answered.get("answer"), answered
    else:
        metadata = getattr(answered, "response_metadata", None) or getattr(answered, "metadata", None)
        text, sot = getattr(answered, "text", None), (metadata or {}).get("sot", {})
        text = text if isinstance(text, str) else str(answered)
    if not isinstance(text, str) or "route" not in sot or "seconds" not in sot:
        raise ConfigurationError(
            f"There is no Skeleton-of-Thought answer in this {type(answered).__name__}. Pass an Answer, the "
            "message of a SkeletonOfThoughtChain (all chunks added up), the response of a query engine, or "
            "the object of `sot ask --json`."
        )
    return AnswerView(str(text), sot)


def _title(sot: Mapping[str, Any]) -> str:
    if sot["route"] == "direct":
        return "Plain answer"
    done = sum(point["status"] == "ok" for point in sot["points"])
    return f"Skeleton-of-Thought, {done} of {len(sot['points'])} points"


def _summary(sot: Mapping[str, Any]) -> str:
    seconds, usage = sot["seconds"], sot["usage"]
    return (
        f"{sot['reason']} · {seconds['total']:.1f} s, first text after {seconds['first_token']:.1f} s · "
        f"{told_tokens(usage['input_tokens'], usage['output_tokens'])}"
    )


def _spans(sot: Mapping[str, Any]) -> Iterator[_TimelineRow]:
    """The timeline, in the order of the answer."""
    seconds = sot["seconds"]
    written = seconds["route"]
    if seconds["skeleton"]:
        written += seconds["skeleton"]
        yield _TimelineRow("skeleton", seconds["route"], written, _COLOURS["before"])
    for point in sot["points"]:
        note = f" ({point['status']}: {point['error']})" if point["error"] else ""
        label = f"{point['index']}. {point['title']}"
        end = point["start"] + point["seconds"]
        yield _TimelineRow(label, point["start"], end, _COLOURS[point["status"]], note)
    if sot["route"] == "direct":
        yield _TimelineRow("answer", max([written, *_ends(sot)]), seconds["total"], _COLOURS["ok"])


def _ends(sot: Mapping[str, Any]) -> list[float]:
    return [point["start"] + point["seconds"] for point in sot["points"]]


def _html_row(span: _TimelineRow, longest: float) -> str:
    left, width = 100 * span.start / longest, max(0.5, 100 * (span.end - span.start) / longest)
    bar = (
        f"position:absolute;top:0;bottom:0;left:{left:.2f}%;width:{width:.2f}%;border-radius:3px;"
        f"background:{span.colour}"
    )
    return (
        f'<div style="{_ROW}"><span style="{_LABEL}" title="{escape(span.label + span.note)}">'
        f"{escape(span.label)}{escape(span.note)}</span>"
        f'<span style="{_TRACK}"><span style="{bar}"></span></span>'
        f'<span style="{_TIME}">{span.start:.2f} – {span.end:.2f} s</span></div>'
    )


def _bar(span: _TimelineRow, longest: float) -> str:
    first = min(_BAR_CELLS - 1, int(_BAR_CELLS * span.start / longest))
    cells = max(1, round(_BAR_CELLS * span.end / longest) - first)
    return ("·" * first + "█" * cells).ljust(_BAR_CELLS, "·")


def _cell(text: str) -> str:
    """A text that stays in its cell of a Markdown table."""
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", escape(" ".join(text.split()), quote=False))
