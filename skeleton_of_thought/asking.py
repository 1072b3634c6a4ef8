"""One run from the shell: the route, the model, the events."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from skeleton_of_thought.drivers import stream
from skeleton_of_thought.messages import Message
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.options import RunSettings
from skeleton_of_thought.prompts import AnyPrompts, get_prompts
from skeleton_of_thought.provider_errors import quirks_of
from skeleton_of_thought.request import Request
from skeleton_of_thought.routing import Decision, get_router

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.clients import Client
    from skeleton_of_thought.events import Event
    from skeleton_of_thought.prompts import AnyPrompts


class RouteChoice(StrEnum):
    """Who decides: the router, or the user."""

    auto = "auto"
    sot = "sot"
    direct = "direct"


def choose_prompts(file: Path | None) -> AnyPrompts | None:
    """The prompts of `--prompts`; None leaves the choice to the model."""
    return None if file is None else get_prompts(file)


def answer(
    question: str,
    client: Client,
    *,
    route: RouteChoice,
    prompts: AnyPrompts | None = None,
    max_points: int | None = None,
    watch: Callable[[Event], None] = lambda _: None,
) -> Answer:
    """Answer one question, telling `watch` what happens."""
    messages = [Message("user", question)]
    if route is RouteChoice.auto:
        decision = get_router("auto").route(messages)
        reason = f"confidence {decision.confidence:.2f}: {decision.reason}"
        decision = replace(decision, reason=reason)
    else:
        decision = Decision("sot" if route is RouteChoice.sot else "direct", 1.0, "chosen by --route")
    options = RunSettings(max_points=max_points, max_stops=client.max_stops)
    run = new_run(messages, client, options, decision, prompts)
    for event in stream(run, client.stream):
        if not isinstance(event, tuple):
            watch(event)
    return run.answer


def new_run(
    messages: Sequence[Message],
    client: Client,
    options: RunSettings,
    decision: Decision,
    prompts: AnyPrompts | None = None,
) -> SkeletonOfThought:
    """A run with the prompts that suit a client, unless others are given, and what is known of its model."""
    quirks = quirks_of(client.name)
    return SkeletonOfThought(
        messages,
        prompts or client.prompts,
        options,
        decision=decision,
        quirks={"skeleton": quirks, "point": quirks, "direct": quirks},
    )


def warm_up(client: Client) -> None:
    """A first short answer, so that nothing that is timed pays for what only the first request pays."""
    for _ in client.stream(Request("direct", "direct", (Message("user", "Hello"),), max_tokens=4)):
        pass
