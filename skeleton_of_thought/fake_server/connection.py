"""Connections the server can watch and break: a client that leaves is noticed, and a reset is a real one."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio


@dataclass(slots=True)
class Connection:
    """One TCP connection.

    Attributes:
        transport: asyncio's end of it.
        task: What answers its current request; cancelled when the client leaves.
        requests: Chat requests it carried so far.
    """

    transport: asyncio.Transport
    task: asyncio.Task[None] | None = None
    requests: int = 0

    def reset(self) -> None:
        """Break the connection: the client gets ECONNRESET instead of a proper end."""
        self.task = None
        linger = struct.pack("ii", 1, 0)  # on, zero seconds: the kernel sends RST
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()


class WatchedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with the `Connection` in `scope["state"]["connection"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection for the requests that come over it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connection": Connection(transport)}

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what is still being answered."""
        super().connection_lost(exc)
        task = self.app_state["connection"].task
        if task is not None:
            task.cancel()
