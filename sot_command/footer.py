"""The line under an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.usage import told_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDS: Final = {
    "length": "cut off by its length limit",
    "max_tokens": "cut off by its length limit",
    "content_filter": "broken off by the provider's filter",
    "refusal": "broken off by the provider's filter",
}
"""What a reason to end means for a text that is not whole."""


def footer(sot: Mapping[str, Any], model: str) -> str:
    """Route, points, tokens and seconds on one line; an answer or a point that is not whole is named.

    Args:
        sot: What `--json` says of the answer.
        model: The model's name.
    """
    parts = [f"{sot['route']} ({sot['reason']})"]
    if (end := _ENDS.get(sot.get("finish_reason") or "")) is not None:
        parts.append(f"answer {end}")
    points = sot["points"]
    if points:
        done = sum(point["status"] == "ok" for point in points)
        parts.append(f"{done} of {len(points)} points")
        parts += [told for point in points if (told := _not_whole(point))]
    usage, seconds = sot["usage"], sot["seconds"]
    parts += [
        told_tokens(usage["input_tokens"], usage["output_tokens"], form="d"),
        f"{seconds['total']:.1f} s, first text after {seconds['first_token']:.1f} s",
        model,
    ]
    return " · ".join(parts)


def _not_whole(point: Mapping[str, Any]) -> str:
    """What became of a point that ended before its end; empty for a whole one."""
    end = _ENDS.get(point.get("finish_reason") or "")
    if end is not None:
        return f"point {point['index']} {end}"
    if point["status"] != "ok":
        return f"point {point['index']} {'broken off' if point['text'] else 'missing'}"
    return ""
