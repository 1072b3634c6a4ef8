"""From a drawing of Matplotlib to SVG that can stand in a page beside others."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN, SKELETON, ROUTED, GOOD, BAD = "#94a3b8", "#2563eb", "#0d9488", "#16a34a", "#dc2626"
LIGHT: Final = "#bfdbfe"
INK, FAINT = "#1e293b", "#e2e8f0"
MODELS: Final = ("#2563eb", "#d97706", "#0d9488", "#9333ea", "#dc2626", "#475569")
"""Colours of the models, in their order; used again after the last."""

_STYLE: Final = {
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(url\(|xlink:href="|href=")#')
_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_SIZE = re.compile(r'(<svg[^>]*?) (?:width|height)="[^"]*"')


def draw(name: str, paint: Callable[[Any], None], *, width: float, height: float) -> str:
    """One picture as an `<svg>` element that grows with the page.

    Args:
        name: Begins every id in it, so that no two pictures of a page share one; the page has the picture's
            title under the id `{name}-title`.
        paint: Draws on a Matplotlib axes. Marks get ids of their own with `set_gid`.
        width: In inches of 72 points, as the text is sized for.
        height: Likewise.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="eval", needed_for="The report")
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph Matplotlib's own font lacks; the browser has it
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = _PROLOGUE.sub("", file.getvalue())
    svg = _SIZE.sub(r"\1", _SIZE.sub(r"\1", svg, count=1), count=1)
    svg = _REFERENCE.sub(rf"\1#{name}-", _ID.sub(rf'id="{name}-\1"', svg))
    return svg.replace("<svg ", f'<svg role="img" aria-labelledby="{name}-title" ', 1).strip()
