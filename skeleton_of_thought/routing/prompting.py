"""The router that asks a chat model: one short multiple-choice question, one letter back."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Final, Protocol

from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing.combining import FixedRouter
from skeleton_of_thought.routing.decision import Decision, Question, Route
from skeleton_of_thought.routing.lexical import NOTHING_ASKED
from skeleton_of_thought.routing.linear import checked_threshold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from skeleton_of_thought.usage import Usage

ROUTER_PROMPT: Final = """\
Somebody asked the question between the lines. Do not answer it. Tell only what shape a good answer has:

A. A list of several points. Each deserves a paragraph of its own, and each can be written without having \
read the others, in any order.
B. Several steps or parts where later ones build on earlier ones: a calculation, a proof, code, a plot.
C. No list at all: one fact, a short reply, one continuous text, a given text changed, or a prescribed format.

-----
{question}
-----

Reply with one letter, A, B or C. If in doubt, do not choose A."""
"""The question put to the model; `{question}` is replaced by the user's."""

ANSWER_TOKENS: Final = 16
"""Longest reply to ask for: a letter, and the words around it some models cannot do without."""

_LONGEST_QUESTION: Final = 2400
_MEANINGS: Final = {
    "A": "independent points",
    "B": "points that build on each other",
    "C": "not a list",
}
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_LOOK_ALIKES = str.maketrans("АВСａｂｃＡＢＣ", "ABCabcABC")
_MARKUP = re.compile(r"[*_`#>\"'“”]|\\boxed|\\text")
_ANNOUNCED = re.compile(
    r"\b(?:answer|choice|option|choose|pick|letter|select|shape|category)\b"
    r"(?:\s+(?:is|would\s+be|should\s+be|for\s+this))*\s*[:=\-]?\s*[({\[]?([ABC])\b(?![-'’])",
    re.IGNORECASE,
)
_LEADING = re.compile(r"\A\W*([ABC])(?:\s*[.):,\]}\-–—]|\s*\Z|\s*\n)", re.IGNORECASE)
_IN_A_WORD: Final = r"[A-Za-z0-9\u00c0-\u024f\u0400-\u04ff'’]"
_NOT_AN_ARTICLE: Final = r"(?!\s+(?!(?:or|and|not|but|because|since|as|is|fits)\b)[a-z])"
_ALONE = re.compile(rf"(?<!{_IN_A_WORD})(A{_NOT_AN_ARTICLE}|B|C)(?!{_IN_A_WORD})")


class ModelReply(Protocol):
    """What a chat model sent back."""

    @property
    def text(self) -> str:
        """What it wrote."""
        ...

    @property
    def usage(self) -> Usage:
        """What it cost; nothing if its provider does not tell."""
        ...


class PromptingRouter:
    """Asks a chat model; better than words alone on unusual questions, at the price of a request.

    Example:
        >>> from types import SimpleNamespace
        >>> from skeleton_of_thought.usage import Usage
        >>> def complete(messages):
        ...     return SimpleNamespace(text="A", usage=Usage(210, 1))
        >>> router = PromptingRouter(complete)
        >>> decision = router.route([Message("user", "What are the risks of keeping bees?")])
        >>> decision.route, decision.usage.output_tokens
        ('sot', 1)
    """

    def __init__(
        self,
        complete: Callable[[Sequence[Message]], ModelReply],
        *,
        acomplete: Callable[[Sequence[Message]], Awaitable[ModelReply]] | None = None,
        default: Route = "direct",
        trust: float = 0.7,
        prompt: str = ROUTER_PROMPT,
    ) -> None:
        """Keep the model.

        Args:
            complete: Sends messages to the model and waits for the reply; let it allow a handful of tokens
                only (more for a model that thinks aloud) and no sampling.
            acomplete: The same, awaited; default: `complete` in a thread.
            default: The route if the reply names no letter.
            trust: Confidence of a decision. A letter carries none, so this is how often the model was right
                on questions like yours, as `sot router evaluate` measures it.
            prompt: The question to the model, with `{question}` in it.

        Raises:
            ConfigurationError: The default is no route, or the trust no probability.
        """
        self._complete = complete
        self._acomplete = acomplete
        self._default = FixedRouter(default).route([]).route
        self._trust = checked_threshold(trust)
        self._prompt = prompt

    def route(self, messages: Sequence[Message]) -> Decision:
        """Ask the model."""
        started = time.perf_counter()
        question = Question.of(messages)
        if not question.text:
            return Decision("direct", 1.0, NOTHING_ASKED)
        return self._decide(self._complete(self._request(question)), started)

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        if self._acomplete is None:
            return await asyncio.to_thread(self.route, messages)
        started = time.perf_counter()
        question = Question.of(messages)
        if not question.text:
            return Decision("direct", 1.0, NOTHING_ASKED)
        return self._decide(await self._acomplete(self._request(question)), started)

    def _request(self, question: Question) -> list[Message]:
        text = question.text
        if len(text) > _LONGEST_QUESTION:
            half = _LONGEST_QUESTION // 2
            text = f"{text[:half]}\n[...]\n{text[-half:]}"
        if question.follows:
            text = f"(It follows an earlier answer, which is not shown.)\n{text}"
        return [Message("user", self._prompt.replace("{question}", text))]

    def _decide(self, reply: ModelReply, started: float) -> Decision:
        seconds, usage = time.perf_counter() - started, reply.usage.of_answered()
        letter = parse_letter(reply.text)
        if letter is None:
            said = " ".join(reply.text.split())[:40]
            return Decision(self._default, 0.5, f"the model named none of A, B, C: {said!r}", seconds, usage)
        route: Route = "sot" if letter == "A" else "direct"
        return Decision(route, self._trust, f"the model says: {_MEANINGS[letter]}", seconds, usage)


def parse_letter(text: str) -> str | None:
    """The letter A, B or C in whatever a model wrote; None if none is named, or several without a verdict.

    Thinking in tags is skipped, as are markup and letters of other alphabets that look the same. An announced
    answer ("the answer is B") beats a letter at the start ("A) because ..."), which beats a letter alone.
    """
    plain = _MARKUP.sub("", _THINKING.sub("", text).translate(_LOOK_ALIKES)).strip()
    if announced := _ANNOUNCED.findall(plain):
        return str(announced[-1]).upper()
    if leading := _LEADING.match(plain):
        return leading.group(1).upper()
    alone = {*_ALONE.findall(plain)}
    return alone.pop() if len(alone) == 1 else None
