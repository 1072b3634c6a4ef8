"""LLMs whose async methods block the event loop, and threads that stand in for them."""

from __future__ import annotations

import asyncio
import contextvars
import dis
import inspect
import threading
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

Item = TypeVar("Item")
_AWAITS = {"GET_AWAITABLE", "GET_ANEXT", "GET_AITER", "BEFORE_ASYNC_WITH"}


def blocks_event_loop(method: Any) -> bool:
    """Whether an async method only calls a sync one.

    Many LLM classes, all that extend `CustomLLM` among them, write `async def achat(…): return self.chat(…)`.
    Such a method has no `await` anywhere, so the event loop stands still while it runs.
    """
    code = getattr(_innermost(method), "__code__", None)
    return isinstance(code, CodeType) and not _awaits(code)


def _innermost(method: Any) -> Any:
    """The function the class author wrote, inside LlamaIndex's span and callback decorators."""
    function = inspect.unwrap(method, stop=lambda outer: not callable(getattr(outer, "__wrapped__", None)))
    function = getattr(function, "__func__", function)
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells:
        return function
    inner = dict(zip(code.co_freevars, (cell.cell_contents for cell in cells), strict=True)).get("f")
    return _innermost(inner) if callable(inner) else function


def _awaits(code: CodeType) -> bool:
    if any(instruction.opname in _AWAITS for instruction in dis.get_instructions(code)):
        return True
    return any(_awaits(constant) for constant in code.co_consts if isinstance(constant, CodeType))


async def in_thread(items: Callable[[], Iterator[Item]]) -> AsyncGenerator[Item]:
    """Iterate in a thread of its own, with the caller's context variables.

    `asyncio.to_thread` would share the default executor, which runs only a few threads at once. Closing the
    iterator lets the thread end at its next item.
    """
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[tuple[Item] | BaseException | None] = asyncio.Queue()
    closed = threading.Event()

    def put(news: tuple[Item] | BaseException | None) -> None:
        if not closed.is_set() and not loop.is_closed():
            loop.call_soon_threadsafe(inbox.put_nowait, news)

    def work() -> None:
        try:
            for item in items():
                if closed.is_set():
                    return
                put((item,))
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are read
            put(error)

    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    try:
        while True:
            news = await inbox.get()
            if news is None:
                return
            if isinstance(news, BaseException):
                raise news
            yield news[0]
    finally:
        closed.set()
