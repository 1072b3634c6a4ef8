"""The four ways to ask a chain, as one coroutine each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable

QUESTION = "How can I sleep better?"
WAYS = ("invoke", "ainvoke", "stream", "astream")


async def ask(way: str, chain: Runnable, question: Any = QUESTION, config: Any = None) -> AIMessage:
    match way:
        case "invoke":
            return await asyncio.to_thread(chain.invoke, question, config)
        case "ainvoke":
            return await chain.ainvoke(question, config)
        case "stream":
            chunks = await asyncio.to_thread(lambda: list(chain.stream(question, config)))
        case _:
            chunks = [chunk async for chunk in chain.astream(question, config)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole
