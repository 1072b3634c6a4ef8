"""Asks whatever was given as a router, once per question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from langchain_sot.messages import text_of, to_langchain, usage_of
from langchain_sot.models import is_chat_model
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.request import Reply, Request
from skeleton_of_thought.routing import FallbackRouter, get_router
from skeleton_of_thought.routing.decision import Decision, Route, Router
from skeleton_of_thought.routing.prompting import ANSWER_TOKENS, PromptingRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.runnables import RunnableConfig

    from langchain_sot.reporting import ModelRuns, Steps
    from skeleton_of_thought.speeds import Speeds

RouterLike = Any
"""A name such as `"lexical"`, a `Router`, a chat model, or a runnable from messages to "sot" or "direct"."""

CONFIG_KEY = "sot_route"
"""`config={"configurable": {"sot_route": "direct"}}` decides for one call."""

QUESTION_KEY = "sot_question"
"""`config={"configurable": {"sot_question": "..."}}` names the question in the messages of one call."""

_ROUTES = get_args(Route)

SELF = "self"
"""The name for no router: the model decides in the request that opens and plans its answer."""


def check_router(router: RouterLike | None) -> None:
    """Refuse what cannot route.

    Raises:
        ConfigurationError: An unknown name, or an object that is no router.
    """
    if isinstance(router, str):
        if router != SELF:
            get_router(router)
    elif router is not None and not isinstance(router, (Router, Runnable)):
        raise ConfigurationError(
            f"router is {router!r}; use a name, an object with route and aroute, or a runnable that returns "
            f"{' or '.join(map(repr, _ROUTES))}."
        )


def as_router(
    router: RouterLike,
    reports: ModelRuns | Steps,
    *,
    speeds: Speeds,
    load: Callable[[], float],
    timeout: float | None = None,
) -> Router:
    """What was given as a router as one that answers even where it fails, in a run of its own.

    Args:
        router: A chat model, a runnable, a name or a router; `decided` knows where none has to be asked.
        reports: Tells callbacks of the router as of a request.
        speeds: What is known of the model that writes the points.
        load: Share of what the points may use that is in use.
        timeout: Seconds the answer may take.
    """
    if not isinstance(router, Runnable):
        asked = get_router(router, speeds=speeds, load=load)
    elif is_chat_model(router):
        asked = _prompting(router, reports)
    else:
        asked = _RunnableRouter(_Asked(router, reports))
    return FallbackRouter(asked, timeout=timeout)


class _Asked:
    """A runnable that is asked for the route: callbacks hear of it as of any request, and nobody sees its tokens."""

    def __init__(self, runnable: Runnable[Any, Any], reports: ModelRuns | Steps, **kwargs: Any) -> None:
        self._runnable = runnable
        self._reports = reports
        self._kwargs = kwargs

    def ask(self, messages: Sequence[Message]) -> Any:
        asked = to_langchain(messages)
        with self._reports.report(Request("route", "route", tuple(messages)), asked) as told:
            with self._reports.around():
                output = self._runnable.invoke(asked, told.config, **self._kwargs)
            told.ended(output)
        return output

    async def aask(self, messages: Sequence[Message]) -> Any:
        asked = to_langchain(messages)
        async with self._reports.report(Request("route", "route", tuple(messages)), asked) as told:
            with self._reports.around():
                output = await told.answered(self._runnable.ainvoke(asked, told.config, **self._kwargs))
            told.ended(output)
        return output


class _RunnableRouter:
    """A runnable that is given the conversation, and returns a route."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked

    def route(self, messages: Sequence[Message]) -> Decision:
        return _read(self._asked.ask(messages))

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        return _read(await self._asked.aask(messages))


def _prompting(model: Runnable[Any, Any], reports: ModelRuns | Steps) -> PromptingRouter:
    """The router that asks a chat model for a letter; a bound model keeps the length limit it was given."""
    limited = "max_tokens" in getattr(type(model), "model_fields", {})
    asked = _Asked(model, reports, **({"max_tokens": ANSWER_TOKENS} if limited else {}))

    def complete(messages: Sequence[Message]) -> Reply:
        reply = asked.ask(messages)
        return Reply(text_of(reply), usage_of(reply))

    async def acomplete(messages: Sequence[Message]) -> Reply:
        reply = await asked.aask(messages)
        return Reply(text_of(reply), usage_of(reply))

    return PromptingRouter(complete, acomplete=acomplete)


def for_router(
    messages: Sequence[Message],
    finder: Callable[[Sequence[BaseMessage]], str] | None,
    config: RunnableConfig,
) -> Sequence[Message]:
    """The conversation as the router reads it: where the caller named the question, it is the last message's text.

    Raises:
        ConfigurationError: What was named is no text.
    """
    named = config.get("configurable", {}).get(QUESTION_KEY)
    if named is None and finder is not None:
        named = finder(to_langchain(messages))
    if named is None:
        return messages
    if not isinstance(named, str):
        raise ConfigurationError(
            f"The question is {named!r}; {QUESTION_KEY} in the config, or what question= returns, is text, or None "
            "where the package shall find it."
        )
    asked = next((i for i in reversed(range(len(messages))) if messages[i].role == "user"), None)
    if asked is None:
        return messages
    return [*messages[:asked], Message("user", named), *messages[asked + 1 :]]


def is_chosen(config: RunnableConfig) -> bool:
    """Whether the caller decided for this call."""
    return config.get("configurable", {}).get(CONFIG_KEY, "auto") not in {"auto", None}


def decided(router: RouterLike | None, config: RunnableConfig) -> Decision | None:
    """The decision for which no router has to be asked, if there is one."""
    chosen = config.get("configurable", {}).get(CONFIG_KEY)
    if chosen == "sot" or chosen == "direct":  # noqa: PLR1714 - narrows the type
        return Decision(chosen, 1.0, "chosen for this call")
    if chosen is not None and chosen != "auto":
        raise ConfigurationError(
            f"The config says {CONFIG_KEY}={chosen!r}; use 'auto', {' or '.join(map(repr, _ROUTES))}."
        )
    return Decision("sot", 1.0, "no router") if router is None else None


def _read(output: Any) -> Decision:
    """What a runnable meant: a decision, a boolean, or text that names a route."""
    if isinstance(output, Decision):
        return output
    if isinstance(output, bool):
        return Decision("sot" if output else "direct", 1.0, "the router runnable's word")
    text = text_of(output).strip().strip(".\"'").lower()
    usage = usage_of(output)
    if isinstance(output, BaseMessage):  # a model wrote it; a function of the caller's own takes no tokens
        usage = usage.of_answered()
    if text not in _ROUTES:
        why = f"the router runnable returned {text[:40]!r}, not a route"
        return Decision("direct", 0.0, why, usage=usage)
    return Decision("sot" if text == "sot" else "direct", 1.0, "the router runnable's word", usage=usage)
