"""The connections of asynchronous requests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


class Connections:
    """One SDK client per event loop, to which its connections belong: made for the first request, closed after all.

    So the requests of an answer share connections, and nothing stays open that nobody could close.

    Args:
        make: Makes the SDK's asynchronous client.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        self._users: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Any]:
        """The SDK's client, for one request."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = self._make()
        client = self._clients[loop]
        self._users[loop] = self._users.get(loop, 0) + 1
        try:
            yield client
        finally:
            self._users[loop] -= 1
            if not self._users[loop]:
                del self._clients[loop]
                await client.close()
