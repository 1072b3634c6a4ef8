"""The server in a thread, for tests, notebooks and `sot serve-fake`."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from skeleton_of_thought.errors import ConfigurationError, SkeletonOfThoughtError
from skeleton_of_thought.fake_server.application import Provider
from skeleton_of_thought.fake_server.connection import WatchedProtocol

if TYPE_CHECKING:
    from skeleton_of_thought.fake_server.faults import Faults
    from skeleton_of_thought.fake_server.ledger import Ledger

_START_SECONDS = 30.0


class FakeServer:
    """OpenAI's chat completions and Anthropic's messages on localhost, answered without a model.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        **provider: The fields of `Provider`: `answer`, `pace`, `quota`, `models`, `slots`.

    Attributes:
        provider: What it is made of; replace its `answer`, `pace` or `quota` while it runs.
        url: Where it listens: the base URL for Anthropic's clients; OpenAI's take `f"{url}/v1"`.

    Raises:
        SkeletonOfThoughtError: The server does not start.

    Example:
        >>> import urllib.request
        >>> from skeleton_of_thought.fake_server import FakeServer, Pace
        >>> with FakeServer(pace=Pace(first_token=0.2, per_token=0.01)) as server:
        ...     urllib.request.urlopen(f"{server.url}/v1/models").status
        200
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, **provider: Any) -> None:
        self.provider = Provider(**provider)
        self._socket = _listen(host, port)
        shown_host, shown_port = self._socket.getsockname()[:2]
        self.url = f"http://{shown_host}:{shown_port}"
        config = uvicorn.Config(
            self.provider.application(),
            http=WatchedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=3600,
            server_header=False,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="sot-fake-server", daemon=True)

    @property
    def ledger(self) -> Ledger:
        """Every request it saw."""
        return self.provider.ledger

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.provider.faults

    def start(self) -> Self:
        """Begin to answer; returns once requests are accepted."""
        self._thread.start()
        if not self._server.ready.wait(_START_SECONDS):
            raise SkeletonOfThoughtError(
                f"The fake server at {self.url} did not start in {_START_SECONDS:.0f} s."
            )
        return self

    def close(self) -> None:
        """Break all connections and stop."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket that names its protocol: else asyncio leaves Nagle on, 40 ms a request."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Use another port, or 0 for a free one."
        ) from error
    listening.listen(2048)
    return listening


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready and leaves no connection open behind it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)
