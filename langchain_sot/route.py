"""Asks whatever was given as a router, once per question."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, get_args

from langchain_core.runnables import Runnable
from langchain_core.runnables.config import patch_config

from langchain_sot.messages import text_of, to_langchain, usage_of
from langchain_sot.models import is_chat_model
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.request import Reply
from skeleton_of_thought.routing import get_router
from skeleton_of_thought.routing.decision import Decision, Route, Router
from skeleton_of_thought.routing.prompting import ANSWER_TOKENS, PromptingRouter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
    from langchain_core.runnables import RunnableConfig

    from skeleton_of_thought.messages import Message

RouterLike = Any
"""A name such as `"lexical"`, a `Router`, a chat model, or a runnable from messages to "sot" or "direct"."""

CONFIG_KEY = "sot_route"
"""`config={"configurable": {"sot_route": "direct"}}` decides for one call."""

_ROUTES = get_args(Route)


def check_router(router: RouterLike | None) -> None:
    """Refuse what cannot route.

    Raises:
        ConfigurationError: An unknown name, or an object that is no router.
    """
    if isinstance(router, str):
        get_router(router)
    elif router is not None and not isinstance(router, (Router, Runnable)):
        raise ConfigurationError(
            f"router is {router!r}; use a name, an object with route and aroute, or a runnable that returns "
            f"{' or '.join(map(repr, _ROUTES))}."
        )


def decide(router: RouterLike | None, messages: Sequence[Message], config: RunnableConfig) -> Decision:
    """What the router says; `decided` knows where none has to be asked."""
    if is_chat_model(router):
        return _prompting(router, config).route(messages)
    if isinstance(router, Runnable):
        started = time.perf_counter()
        return _read(router.invoke(to_langchain(messages), config), started)
    return _named(router).route(messages)


async def adecide(router: RouterLike | None, messages: Sequence[Message], config: RunnableConfig) -> Decision:
    """Like `decide`, with asyncio."""
    if is_chat_model(router):
        return await _prompting(router, config).aroute(messages)
    if isinstance(router, Runnable):
        started = time.perf_counter()
        return _read(await router.ainvoke(to_langchain(messages), config), started)
    return await _named(router).aroute(messages)


def _prompting(model: Runnable[Any, Any], config: RunnableConfig) -> PromptingRouter:
    """The router that asks a chat model for a letter; a bound model keeps the length limit it was given."""
    limited = "max_tokens" in getattr(type(model), "model_fields", {})
    kwargs = {"max_tokens": ANSWER_TOKENS} if limited else {}

    def complete(messages: Sequence[Message]) -> Reply:
        reply = model.invoke(to_langchain(messages), config, **kwargs)
        return Reply(text_of(reply), usage_of(reply))

    async def acomplete(messages: Sequence[Message]) -> Reply:
        reply = await model.ainvoke(to_langchain(messages), config, **kwargs)
        return Reply(text_of(reply), usage_of(reply))

    return PromptingRouter(complete, acomplete=acomplete)


def _named(router: RouterLike) -> Router:
    return get_router(router)


def child_config(
    config: RunnableConfig, run_manager: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun
) -> RunnableConfig:
    """The config of a router that is a runnable: a child run named `route`."""
    return patch_config(config, callbacks=run_manager.get_child("sot:route"), run_name="route")


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


def _read(output: Any, started: float) -> Decision:
    """What a runnable meant: a decision, a boolean, or text that names a route."""
    seconds = time.perf_counter() - started
    if isinstance(output, Decision):
        return output
    if isinstance(output, bool):
        return Decision("sot" if output else "direct", 1.0, "the router runnable's word", seconds)
    text = text_of(output).strip().strip(".\"'").lower()
    if text not in _ROUTES:
        return Decision(
            "direct",
            0.0,
            f"the router runnable returned {text[:40]!r}, not a route",
            seconds,
            usage_of(output),
        )
    return Decision(
        "sot" if text == "sot" else "direct", 1.0, "the router runnable's word", seconds, usage_of(output)
    )
