"""One run from the shell: the route, the model, the events."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from skeleton_of_thought.clients.runs import new_run
from skeleton_of_thought.drivers import stream
from skeleton_of_thought.messages import Message
from skeleton_of_thought.options import Options
from skeleton_of_thought.prompts import Prompts, get_prompts
from skeleton_of_thought.routing import Decision, get_router

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.clients import Client
    from skeleton_of_thought.events import Event


class RouteChoice(StrEnum):
    """Who decides: the router, or the user."""

    auto = "auto"
    sot = "sot"
    direct = "direct"


def choose_prompts(file: Path | None) -> Prompts | None:
    """The prompts of `--prompts`; None leaves the choice to the model."""
    return None if file is None else get_prompts(file)


def answer(
    question: str,
    client: Client,
    *,
    route: RouteChoice,
    prompts: Prompts | None = None,
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
    options = Options(max_points=max_points, max_stops=client.max_stops)
    run = new_run(messages, client, options, decision, prompts)
    for event in stream(run, client.stream):
        if not isinstance(event, tuple):
            watch(event)
    return run.answer
