"""`sot serve`: the way in for everything that speaks OpenAI's language."""

from __future__ import annotations

from typing import Annotated

import typer

from skeleton_of_thought.options import OnPointError
from sot_command.ask import BaseUrl, Dtype, MaxPoints, Model
from sot_command.choices import LogLevel


def serve(
    *,
    model: Model = "local",
    base_url: BaseUrl = None,
    dtype: Dtype = "auto",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    router: Annotated[
        str, typer.Option(help="Decides which questions get a skeleton, as for `sot router explain`.")
    ] = "auto",
    api_key: Annotated[
        str | None, typer.Option(envvar="SOT_API_KEY", help="What callers have to send as a bearer token.")
    ] = None,
    max_points: MaxPoints = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a failed request is sent again.")] = 6,
    on_point_error: Annotated[
        OnPointError, typer.Option(help="What becomes of a point that failed for good.")
    ] = "mark",
    timeout: Annotated[
        float | None, typer.Option(help="Seconds an answer may take.", show_default="no limit")
    ] = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Most requests to the model at once, of all answers together.")
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="The provider's limit.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="The provider's limit.")] = None,
    limits_store: Annotated[
        str | None, typer.Option(help="redis:// or another store, to share the limits with other servers.")
    ] = None,
    prompt_cache: Annotated[
        bool, typer.Option(help="Tell the provider's prompt cache what an answer's requests share.")
    ] = False,
    load_aware: Annotated[
        bool, typer.Option(help="Answer plainly while no gain is to be expected of a skeleton.")
    ] = True,
    max_answers: Annotated[
        int, typer.Option(min=1, help="Answers at once beyond which callers are told to come back.")
    ] = 1000,
    grace: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds answers may take to end after a stop.")
    ] = 60.0,
    log_level: Annotated[
        LogLevel,
        typer.Option(case_sensitive=False, help="info logs every answer; warning, only what failed."),
    ] = LogLevel.info,
) -> None:
    """Serve a model over OpenAI's API, with Skeleton-of-Thought where it pays, until Ctrl+C."""
    from sot_command.server import log_to_stderr, open_service
    from sot_command.server import serve as run

    service = open_service(
        model,
        base_url=base_url,
        dtype=dtype,
        router=router,
        api_key=api_key,
        max_points=max_points,
        retries=retries,
        on_point_error=on_point_error,
        timeout=timeout,
        max_concurrency=max_concurrency,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        limits_store=limits_store,
        prompt_cache=prompt_cache,
        load_aware=load_aware,
        max_answers=max_answers,
    )
    log_to_stderr(log_level)

    def told(url: str) -> None:
        typer.echo(f"{url}/v1 serves {service.names[0]} (Ctrl+C stops)")

    run(service.application(), host=host, port=port, grace=grace, ready=told)
