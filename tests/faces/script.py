"""What a model writes in the tests of all faces: the same for LangChain and for LlamaIndex."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from skeleton_of_thought import Prompts

QUESTION = "How do I make good compost?"
PROMPTS = Prompts(skeleton="SKELETON of {request}", point="POINT {point} is {point_outline}")
"""Prompts that make the stage of a request plain, whatever the product's own say."""

TITLES = ("Air", "Water", "Browns")


@dataclass(frozen=True)
class Reply:
    """One answer of the model.

    Attributes:
        text: Its text.
        finish: `"stop"`, `"length"` or `"content_filter"`.
        tool: Whether it calls a tool besides.
        late: Whether it writes nothing before the test is over.
        after: A stage that must have been asked for before it writes.
        breaks: After so many words the connection breaks; None for never.
    """

    text: str
    finish: str = "stop"
    tool: bool = False
    late: bool = False
    after: str | None = None
    breaks: int | None = None


@dataclass
class Script:
    """Answers requests by their stage, and keeps them.

    Attributes:
        replies: What it writes instead of the usual, by stage (`"skeleton"`, `"point:2"`, `"direct"`, `"rest"`): one
            reply or error, or a list of which each serves one request.
        asked: The stages asked for, in order.
        over: Set when the test is over.
    """

    replies: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, reply: Reply) -> None:
        """Think about a reply, in a thread."""
        while reply.after and reply.after not in self.asked:
            time.sleep(0.001)
        if reply.late:
            self.over.wait(60)

    async def await_(self, reply: Reply) -> None:
        """Think about a reply, in a task: until it is cancelled."""
        while reply.after and reply.after not in self.asked:  # noqa: ASYNC110 - the script is asked from threads as well
            await asyncio.sleep(0.001)
        if reply.late:
            await asyncio.Event().wait()

    def answer(self, text: str) -> Reply:
        """The reply to a request whose last message is `text`."""
        point = re.match(r"POINT (\d+)", text.rpartition("\n\n")[2])
        stage = (
            f"point:{point[1]}"
            if point
            else "skeleton"
            if text.rpartition("\n\n")[2].startswith("SKELETON")
            else "rest"
            if text.startswith("The connection broke")
            else "direct"
        )
        with self.lock:
            self.asked.append(stage)
            reply = self.replies.get(stage)
            if isinstance(reply, list):
                reply = reply.pop(0) if reply else None
        if isinstance(reply, Exception):
            raise reply
        if reply is not None:
            return reply if isinstance(reply, Reply) else Reply(reply)
        if stage == "skeleton":
            return Reply("\n".join(f"{n}. {title}" for n, title in enumerate(TITLES, start=1)))
        return Reply(f"Text {point[1]}, word by word." if point else "A plain answer.")
