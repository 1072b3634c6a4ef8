"""Asks a server a dozen small things, and times them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.engines import CONTINUE_FIELDS, ENGINES
from skeleton_of_thought.messages import Message
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.options import RunSettings
from skeleton_of_thought.probing.report import Batch, Report, Works
from skeleton_of_thought.prompts import OpeningPrompts
from skeleton_of_thought.provider_errors import describe, status_of
from skeleton_of_thought.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skeleton_of_thought.clients import Client

_TOKENS = 40
"""Of each timed answer: long enough to tell writing from reading, short enough for a slow machine."""
_PLAIN_TOKENS = 120
"""Of a plain one, which is one long text: the longer a text, the longer its next token takes."""


class _SilentError(Exception):
    """The model wrote no text that could be timed."""


_TITLES = (
    "Better sleep at night",
    "A stronger heart",
    "Clearer thinking",
    "More energy",
    "Less stress",
    "Longer life",
    "Stronger bones",
    "Good company",
)
_NOTES = "what changes after some weeks, for whom most, and how to begin"
_COUNT = Message("user", "Count from 1 to 9, separated by commas.")
_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


def probe(
    client: Client,
    *,
    sizes: Sequence[int] = (1, 4, 8),
    engine: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
    only_times: bool = False,
) -> Report:
    """Find out what a server does with the requests of Skeleton-of-Thought.

    The timed requests are those of a real answer, by the prompts that suit the client, so that what the server keeps
    of a shared prefix counts as it would. About thirty short requests; nothing else should run on the server.

    Args:
        client: The model.
        sizes: How many points are asked for at the same time; 1 must come first.
        engine: The engine's name, if known.
        progress: Told what is being tried.
        only_times: Leave out what takes no part in the gain.

    Returns:
        The report; one of a server that cannot be reached says why.
    """
    report = Report(model=client.name, engine=engine)
    progress("saying hello")
    try:
        _send(client, Request("direct", "direct", (Message("user", "Hello"),), max_tokens=4))
    except Exception as error:  # noqa: BLE001 - whatever it is, the report says it
        return dataclasses.replace(report, reachable=False, problem=describe(error))
    try:
        progress("timing one request")
        report = dataclasses.replace(
            report, plain=_best(client, [_plain(1)], [_plain(2)]), skeleton=_best(client, [_skeleton(client)])
        )
        batches = []
        for size in sizes:
            progress(f"timing {size} at once")
            batches.append(_best(client, _points(client, size), _points(client, size)))
        report = dataclasses.replace(report, batches=tuple(batches))
        if only_times:
            return report
        progress("a shared prefix")
        in_a_row, at_once = _prefix(client)
        report = dataclasses.replace(report, shared_prefix=in_a_row, shared_at_once=at_once)
        progress("partial answers, stop sequences, schemas, cancellation")
        return dataclasses.replace(
            report,
            **_partial_answers(client, engine),
            stops=_stops(client),
            schemas=_schema(client),
            cancellation=_cancellation(client, report),
        )
    except _SilentError as error:
        return dataclasses.replace(report, problem=str(error))
    except Exception as error:  # noqa: BLE001 - what was found until then is worth having
        return dataclasses.replace(report, problem=describe(error))


def _plain(number: int) -> Request:
    question = Message("user", f"Why is it good to walk {number + 1} miles every day?")
    return Request("direct", "direct", (question,), max_tokens=_PLAIN_TOKENS)


def _run(client: Client) -> tuple[SkeletonOfThought, Request]:
    """A run about something nobody asked before, so that no prefix is known already."""
    question = Message("user", f"What are the benefits of walking? (Note {uuid.uuid4().hex[:8]})")
    run = SkeletonOfThought([question], client.prompts, RunSettings(max_points=len(_TITLES), early_points=0))
    return run, run.start()[0]


def _skeleton(client: Client) -> Request:
    return dataclasses.replace(_run(client)[1], max_tokens=_TOKENS, stop=())


def _points(client: Client, count: int) -> list[Request]:
    """The requests of so many points of one answer, whose skeleton the server has already seen asked for."""
    run, skeleton = _run(client)
    _send(client, dataclasses.replace(skeleton, max_tokens=2, stop=()))
    begun = skeleton.messages[-1].text if skeleton.messages[-1].role == "assistant" else ""
    lines = "\n".join(f"{place}. {title}" for place, title in enumerate(_TITLES, 1)).removeprefix(
        begun.strip()
    )
    if isinstance(client.prompts, OpeningPrompts):
        plan = "\n".join(f"{n}. {title} | {_NOTES} | 3 sentences" for n, title in enumerate(_TITLES, 1))
        lines = f"Walking is good for body and mind.\nOUTLINE\n{plan}\n"
    requests = run.done(skeleton.id, lines)
    return [dataclasses.replace(request, max_tokens=_TOKENS, stop=()) for request in requests[:count]]


class _Timed:
    """One request's text, times and tokens."""

    def __init__(self) -> None:
        self.text = ""
        self.first: float | None = None
        self.ended = 0.0
        self.tokens = 0
        self.cached = 0
        self.error: Exception | None = None


def _send(client: Client, request: Request, started: float | None = None, **fields: Any) -> _Timed:
    """Send one request and wait for its end."""
    started = time.perf_counter() if started is None else started
    seen, pieces = _Timed(), 0
    for delta in client.stream(request, **fields):
        if delta.text:
            pieces += 1
            if seen.first is None:
                seen.first = time.perf_counter() - started
        seen.text += delta.text
        seen.tokens += delta.usage.output_tokens or 0
        seen.cached += delta.usage.cache_read_tokens or 0
    seen.ended = time.perf_counter() - started
    seen.tokens = seen.tokens or pieces
    return seen


def _send_all(client: Client, requests: Sequence[Request]) -> list[_Timed]:
    """Send requests at the same time and wait for all.

    Raises:
        Exception: The first one's that failed.
    """
    seen = [_Timed() for _ in requests]
    started = time.perf_counter()

    def work(place: int) -> None:
        try:
            seen[place] = _send(client, requests[place], started)
        except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
            seen[place].error = error

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in seen:
        if each.error is not None:
            raise each.error
    return seen


def _best(client: Client, *attempts: Sequence[Request]) -> Batch:
    """The fastest of some attempts: what disturbs a measurement only ever makes it slower."""
    return min((_batch(client, requests) for requests in attempts), key=lambda batch: batch.seconds)


def _batch(client: Client, requests: Sequence[Request]) -> Batch:
    """What so many requests at the same time took.

    Raises:
        _SilentError: None of them was answered with text.
    """
    seen = _send_all(client, requests)
    if all(each.first is None for each in seen):
        raise _SilentError(
            f"it wrote no text within {requests[0].max_tokens} tokens, so nothing can be timed. If it thinks before "
            "it answers, turn that off for the probe"
        )
    firsts = [each.ended if each.first is None else each.first for each in seen]
    return Batch(
        requests=len(requests),
        seconds=max(each.ended for each in seen),
        first_token=min(firsts),
        last_first_token=max(firsts),
        tokens=sum(each.tokens for each in seen),
        longest=max(each.tokens for each in seen),
        ended_before_last=sum(each.ended <= max(firsts) for each in seen),
    )


def _prefix(client: Client) -> tuple[Works, Works]:
    """Whether a prefix of some hundred tokens is read again by the next request, and by two at the same time."""
    story = " ".join(f"Note {uuid.uuid4().hex[:6]}: walking number {place}." for place in range(24))

    def asking(end: str) -> Request:
        return Request("direct", "direct", (Message("user", f"{story}\n{end}"),), max_tokens=2)

    cold = _send(client, asking("What is this about?"))
    warm = _send(client, asking("Who wrote this?"))
    both = _send_all(client, [asking("Is this long?"), asking("Are these notes?")])
    return _read_once(cold, [warm]), _read_once(cold, both)


def _read_once(cold: _Timed, later: Sequence[_Timed]) -> Works:
    """What a second reading says: reported as cached, or much faster; a fast first reading leaves it open."""
    if all(each.cached >= 64 for each in later):  # noqa: PLR2004 - tokens, more than a chat template has
        return "yes"
    if cold.first is None or cold.first < 0.05:  # noqa: PLR2004 - seconds in which a network's delay hides all
        return "unknown"
    return "yes" if all((each.first or each.ended) < 0.5 * cold.first for each in later) else "no"


def _partial_answers(client: Client, engine: str | None) -> dict[str, Any]:
    """Whether partial answers are continued, and with which fields where it takes some."""
    works = _partial(client)
    known = ENGINES[engine].continue_fields if engine in ENGINES else ()
    if works != "yes" and getattr(client, "takes_fields", False):
        for fields in (dict(known), dict(CONTINUE_FIELDS)):
            if fields and _partial(client, fields) == "yes":
                return {"partial_answers": "yes", "continue_fields": fields}
    return {"partial_answers": works}


def _partial(client: Client, fields: Mapping[str, Any] = MappingProxyType({})) -> Works:
    request = Request(
        "point:1",
        "point",
        (_COUNT, Message("assistant", "1, 2, 3, 4,")),
        max_tokens=12,
        fields=tuple(fields.items()),
    )
    try:
        text = _send(client, request).text.strip()  # a new turn begins with 1 again
    except Exception as error:
        if isinstance(status_of(error), int):
            return "refused"
        raise
    return "yes" if text.startswith("5") else "no"


def _stops(client: Client) -> Works:
    text = _send(client, Request("direct", "direct", (_COUNT,), stop=("4",), max_tokens=24)).text
    if "4" in text:
        return "no"
    return "yes" if "3" in text else "unknown"


def _schema(client: Client) -> Works:
    if not getattr(client, "takes_fields", False):
        return "not tried"
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": _SCHEMA}}
    request = Request("direct", "direct", (Message("user", "Name a colour and a number."),), max_tokens=60)
    try:
        text = _send(client, request, fields={"response_format": form}).text
    except Exception as error:
        if isinstance(status_of(error), int):
            return "refused"
        raise
    try:
        return "yes" if set(json.loads(text)) == {"colour", "count"} else "no"
    except (ValueError, TypeError):
        return "no"


def _cancellation(client: Client, report: Report) -> Works:
    """Whether long answers that nobody reads any more leave the server free for the next request."""
    before = _send(client, _fresh()).ended
    story = Request("direct", "direct", (Message("user", "Write a very long story."),), max_tokens=800)
    opened = [client.stream(story) for _ in range(1 if report.in_turn else 8)]

    def begin(stream: Any) -> None:
        with contextlib.suppress(Exception), contextlib.closing(stream):
            next(stream, None)

    threads = [threading.Thread(target=begin, args=(stream,), daemon=True) for stream in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(0.1)  # a server notices between two tokens
    after = _send(client, _fresh()).ended
    return "yes" if after < 2 * before + 0.1 else "no"


def _fresh() -> Request:
    """A short question that begins as no other did, so that no answer comes sooner for what the server remembers."""
    question = Message("user", f"{uuid.uuid4().hex[:6]}: what is this?")
    return Request("direct", "direct", (question,), max_tokens=8)
