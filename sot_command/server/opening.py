"""From options to a service."""

from __future__ import annotations

from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.options import OnPointError, RunSettings
from skeleton_of_thought.routing.registry import get_router, weighs_gain
from skeleton_of_thought.speeds import speeds_of
from sot_command.server.answering import Answerer
from sot_command.server.application import Service
from sot_command.server.upstreams import open_upstream


def open_service(
    model: str = "local",
    *,
    base_url: str | None = None,
    dtype: str = "auto",
    router: str = "auto",
    api_key: str | None = None,
    max_points: int | None = None,
    retries: int = 6,
    on_point_error: OnPointError = "mark",
    timeout: float | None = None,
    max_concurrency: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    limits_store: str | None = None,
    prompt_cache: bool = False,
    load_aware: bool = True,
    max_answers: int = 1000,
) -> Service:
    """A service for a model; `Service.application` is what any ASGI server runs, Ray Serve's replicas among them.

    Args:
        model: As `open_client` takes it.
        base_url: Address of an API, for a server that speaks OpenAI's or Anthropic's language.
        dtype: Of a local model's weights.
        router: As `get_router` takes it; asked where the caller forces no route.
        api_key: What callers have to send as a bearer token; None lets everybody in.
        max_points: Most points of an answer.
        retries: How often a failed request is sent again.
        on_point_error: What becomes of a point that failed for good.
        timeout: Seconds an answer may take.
        max_concurrency: Most requests to the model at once, of all answers together.
        requests_per_minute: Most requests in a minute.
        tokens_per_minute: Most tokens in a minute.
        limits_store: URL of a store in which servers share requests and tokens per minute.
        prompt_cache: Tell the provider's prompt cache what an answer's requests share.
        load_aware: Answer plainly while no gain is to be expected of a skeleton.
        max_answers: Answers at once beyond which callers are told to come back.

    Raises:
        ConfigurationError: An option is wrong.
        MissingExtraError: A package it needs is not installed.
    """
    limited = any(
        limit is not None for limit in (max_concurrency, requests_per_minute, tokens_per_minute, limits_store)
    )
    limiter = (
        Limiter(
            max_concurrency=max_concurrency,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            store=limits_store,
            name=f"sot serve {model}",
        )
        if limited
        else None
    )
    upstream = open_upstream(model, base_url=base_url, dtype=dtype, prompt_cache=prompt_cache)
    settings = RunSettings(
        max_points=max_points,
        retries=retries,
        on_point_error=on_point_error,
        timeout=timeout,
        max_stops=upstream.max_stops,
    )
    answerer = Answerer(
        upstream=upstream,
        router=get_router(
            router,
            speeds=speeds_of(upstream.identity),
            load=lambda: 0.0 if limiter is None else limiter.load,
        ),
        settings=settings,
        limiter=limiter,
        load_aware=load_aware and not weighs_gain(router),
    )
    return Service(answerer=answerer, api_key=api_key, most_answers=max_answers)
