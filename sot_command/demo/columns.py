"""A race as HTML; everything a model or a visitor wrote is escaped."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from skeleton_of_thought.usage import told_tokens

if TYPE_CHECKING:
    from sot_command.choices import RouteChoice
    from sot_command.demo.lanes import Lane, SideBySide

CSS = """
.lane { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: 14px 18px; min-height: 22em; }
.lane { overflow-wrap: anywhere; box-sizing: border-box; }
.lane header { display: flex; flex-wrap: wrap; gap: 0 12px; justify-content: space-between; align-items: baseline; }
.lane h3 { margin: 0; font-size: 1.05em; }
.clock { white-space: nowrap; font-size: 1.7em; font-variant-numeric: tabular-nums; font-weight: 600; }
.lane.over .clock { color: #16a34a; }
.lane .note, .lane .skeleton, .lane .facts { color: var(--body-text-color-subdued); font-size: .9em; }
.lane .text, .lane .skeleton { white-space: pre-wrap; }
.lane ol { list-style: none; padding: 0; margin: 8px 0; }
.lane li { margin: 0 0 8px; padding-left: 12px; border-left: 3px solid #3b82f6; white-space: pre-wrap; }
.lane li.ok { border-color: #16a34a; }
.lane li.failed, .lane li.skipped { border-color: #ef4444; }
.lane [role=alert] { border-left: 3px solid #ef4444; padding: 6px 12px; margin: 10px 0; }
.lane pre { white-space: pre-wrap; font-size: .8em; }
.lane .route, .advice { color: var(--body-text-color-subdued); font-size: .9em; margin: 4px 0; }
.lane li.cut { border-color: #f59e0b; }
.verdict { text-align: center; font-size: 1.15em; min-height: 1.6em; }
.advice { text-align: center; }
@media (max-width: 44rem) {
  .sides { flex-direction: column !important; }
  .sides > * { width: 100% !important; min-width: 0 !important; }
  .lane { min-height: 9em; padding: 12px 14px; }
  .clock { font-size: 1.4em; }
}
"""
_NAMES = {"direct": "Plain answer", "sot": "Skeleton-of-Thought"}
_TEMPLATE = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;"})


def text(value: str) -> str:
    """A text as HTML that neither a browser nor Gradio's templates take for more than a text."""
    return escape(value).translate(_TEMPLATE)


def column(lane: Lane) -> str:
    """One lane: its clock, what is written, and what it cost once it is over."""
    return (
        f'<section class="lane{" over" if lane.over else ""}" id="{lane.route}"><header>'
        f'<h3>{_NAMES[lane.route]}</h3><span class="clock">{lane.seconds:.1f} s</span></header>'
        f"{_route(lane)}{_body(lane)}{_error(lane)}{_facts(lane)}</section>"
    )


def verdict(race: SideBySide) -> str:
    """Who was faster, once both are over."""
    plain, sot = race.plain.answer, race.sot.answer
    if plain is None or sot is None:
        return '<p class="verdict"></p>'
    ratio = plain.seconds.total / max(sot.seconds.total, 1e-9)
    length = len(sot.text) / max(1, len(plain.text))
    if sot.route == "direct":
        said = f"No skeleton: {text(sot.reason)}. Both are plain answers."
    else:
        said = f"Skeleton-of-Thought took 1/{ratio:.2f} of the time, at {length:.2f} times the length."
    return f'<p class="verdict">{said}</p>'


def advice(race: SideBySide) -> str:
    """What the router that needs no model says of the question."""
    found = race.advice
    way = "with a skeleton" if found.route == "sot" else "plainly"
    return f'<p class="advice">The lexical router would answer this {way} ({text(found.reason)}).</p>'


def waiting(route: RouteChoice, message: str = "") -> str:
    """A column before the first race, or with a message instead of one."""
    alert = f'<p role="alert">{text(message)}</p>' if message else ""
    return (
        f'<section class="lane"><header><h3>{_NAMES[route]}</h3><span class="clock">0.0 s</span></header>'
        f"{alert}</section>"
    )


def _route(lane: Lane) -> str:
    """What was decided, and why, once it is known."""
    return f'<p class="route">Route: {lane.chosen} ({text(lane.reason)})</p>' if lane.chosen else ""


def _body(lane: Lane) -> str:
    titles = dict(lane.titles)
    if lane.fallback:
        return f'<p class="note">No skeleton: {text(lane.fallback)}.</p><div class="text">{text(lane.text)}</div>'
    if not titles and not lane.skeleton:
        return f'<div class="text">{text(lane.text)}</div>'
    opening = f'<div class="text">{text(lane.opening.strip())}</div>' if lane.opening.strip() else ""
    if titles:
        points = "".join(
            f'<li class="{lane.ended.get(index, "")}"><b>{index}. {text(title)}</b> {text(lane.texts[index])}</li>'
            for index, title in sorted(titles.items())
        )
        return f"{opening}<ol>{points}</ol>"
    return (
        f'{opening}<p class="note">Writing the skeleton:</p><div class="skeleton">{text(lane.skeleton)}</div>'
    )


def _error(lane: Lane) -> str:
    return f'<p role="alert">{text(lane.error)}</p>' if lane.error else ""


def _facts(lane: Lane) -> str:
    if lane.answer is None:
        return ""
    seconds, usage = lane.answer.seconds, lane.answer.usage
    told = json.dumps(lane.answer.to_dict(), indent=1)
    return (
        f'<p class="facts">First text after {seconds.first_token:.1f} s · '
        f"{told_tokens(usage.input_tokens, usage.output_tokens)} · {len(lane.answer.text):,} characters</p>"
        f'<details><summary class="facts">Metadata</summary><pre>{text(told)}</pre></details>'
    )
