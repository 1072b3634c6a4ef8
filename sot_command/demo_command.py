"""`sot demo`: watch the race in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from skeleton_of_thought.clients import open_client
from sot_command.ask import BaseUrl, Dtype, MaxPoints, Model


def demo(
    *,
    model: Model = "local",
    base_url: BaseUrl = None,
    dtype: Dtype = "auto",
    max_points: MaxPoints = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 7860,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve a page that answers a question plainly and by Skeleton-of-Thought, side by side, until Ctrl+C."""
    from sot_command.demo import application, serve

    app = application(open_client(model, base_url=base_url, dtype=dtype), max_points=max_points)
    serve(app, host=host, port=port, ready=lambda url: typer.echo(f"Open {url} (Ctrl+C stops)"))
