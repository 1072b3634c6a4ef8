"""Serves the page, and lets it load nothing from anywhere else."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import ConfigurationError, require
from sot_command.demo.columns import CSS
from sot_command.demo.page import build, gradio

if TYPE_CHECKING:
    from collections.abc import Callable

    from skeleton_of_thought.clients import Client

POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"
"""The browser fetches nothing from outside, whatever a version of Gradio asks for."""


def application(client: Client, *, max_points: int | None = None) -> Any:
    """The demo as an ASGI application.

    Args:
        client: Answers the questions of all visitors.
        max_points: Most points of a skeleton.

    Raises:
        MissingExtraError: The extra `demo` is not installed.
    """
    page = build(client, max_points=max_points)
    fastapi = require("fastapi", extra="demo", needed_for="The demo page")
    app = gradio().mount_gradio_app(
        fastapi.FastAPI(openapi_url=None), page, path="/", footer_links=[], run_history=False, css=CSS
    )
    return _from_here_only(app)


def serve(
    app: Any, *, host: str = "127.0.0.1", port: int = 7860, ready: Callable[[str], None] = lambda _: None
) -> None:
    """Serve an application until Ctrl+C.

    Args:
        app: What `application` made.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        ready: Told the page's address before the first visitor can come.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    uvicorn = require("uvicorn", extra="demo", needed_for="The demo page")
    listening = listen(host, port)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    ready(f"http://{host}:{listening.getsockname()[1]}")
    uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"The demo cannot listen on {host}:{port} ({error}). Use --port 0 for a free port."
        ) from error


def _from_here_only(app: Any) -> Any:
    """The application, with a policy on every response that browsers hold it to."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"content-security-policy", POLICY)]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, sending if scope["type"] == "http" else send)

    return guarded
