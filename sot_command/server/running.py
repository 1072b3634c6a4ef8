"""Listening, and stopping without breaking off an answer."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import ConfigurationError, require
from sot_command.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Callable


_IDLE_SECONDS = 120
"""Clients keep connections for a while, too; who closes first, breaks a request that is just being sent."""


def serve(
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    grace: float = 60.0,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve an application until Ctrl+C or SIGTERM.

    Args:
        app: What `Service.application` made.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        grace: Seconds answers may take to end after the stop; new ones are not taken meanwhile.
        ready: Told the server's address once it listens.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    uvicorn = require("uvicorn", extra="serve", needed_for="sot serve")
    try:
        listening = socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"The server cannot listen on {host}:{port} ({error}). Use --port 0 for a free port."
        ) from error
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace)),
    )
    ready(f"http://{host}:{listening.getsockname()[1]}")
    uvicorn.Server(config).run(sockets=[listening])


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


def log_to_stderr(level: str) -> None:
    """One JSON line per answer on stderr, and warnings of everything else."""
    others = logging.StreamHandler()
    others.setFormatter(_PlainFormatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[others])
    ours = logging.getLogger("sot_command.server")
    ours.setLevel(level.upper())
    ours.propagate = False
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    ours.addHandler(handler)
