"""`sot serve-fake`: try the chain, or any client, without a key."""

from __future__ import annotations

import threading
from typing import Annotated

import typer


def serve_fake(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8765,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    first_token: Annotated[float, typer.Option(help="Seconds from a request to its first token.")] = 0.3,
    per_token: Annotated[float, typer.Option(help="Seconds from token to token.")] = 0.02,
    spread: Annotated[
        float, typer.Option(help="How much both differ between requests: deviation of their logarithm.")
    ] = 0.0,
    points: Annotated[
        int | None, typer.Option(help="Points of every skeleton; by the prompt if absent.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="Answer 429 beyond so many requests.")
    ] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(help="Answer 429 beyond so many tokens.")] = None,
    max_concurrent: Annotated[int | None, typer.Option(help="Answer 429 beyond so many at once.")] = None,
) -> None:
    """Serve OpenAI's and Anthropic's wire formats on localhost, answered without a model, until Ctrl+C."""
    from skeleton_of_thought.fake_server import FakeServer, Pace, PlausibleAnswers, Quota

    quota = Quota(
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        max_concurrent=max_concurrent,
    )
    with FakeServer(
        host=host,
        port=port,
        answer=PlausibleAnswers(points=points),
        pace=Pace(first_token=first_token, per_token=per_token, spread=spread),
        quota=quota,
    ) as server:
        typer.echo(server.url)
        typer.echo(f"OpenAI:     OPENAI_BASE_URL={server.url}/v1 OPENAI_API_KEY=fake")
        typer.echo(f"Anthropic:  ANTHROPIC_BASE_URL={server.url} ANTHROPIC_API_KEY=fake")
        typer.echo(f"Ledger:     {server.url}/ledger (?texts=true adds prompts and answers)")
        typer.echo(f"Faults:     {server.url}/faults (GET, POST, DELETE)")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("Stopped.")
