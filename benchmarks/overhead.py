"""What the chain itself costs: wall time over a model of fixed latency, against the same calls made by hand.

    python benchmarks/overhead.py --points 10 --latency 0.2 --runs 15
    python benchmarks/overhead.py --points 7 --latency 1.5 --runs 3 --questions 100
    python benchmarks/overhead.py --latency 0.1 --runs 3 --most 2    # fails where a way takes more than twice the least

Every request of the model takes `--latency` seconds, so an answer cannot take less than twice that: the skeleton,
then all points at the same time. The rest is overhead. "By hand" is one `invoke` and one `batch` of the same
model, which is what LangChain costs without a chain. The ways take turns, and medians are printed. With several
questions at once only the asynchronous ways are measured: the others need a thread per request.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from rich.console import Console
from rich.table import Table

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtChain
from skeleton_of_thought import Prompts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.runnables import Runnable

PROMPTS = Prompts(skeleton="SKELETON {request}", point="POINT {point_outline}")
WORDS = 20


class SteadyChat(BaseChatModel):
    """Answers every request after the same time; a streamed one word by word over that time."""

    points: int
    latency: float

    @property
    def _llm_type(self) -> str:
        return "steady"

    def _text(self, messages: list[Any]) -> str:
        if messages[-1].text.startswith("SKELETON"):
            return "\n".join(f"{number}. Topic {number}" for number in range(1, self.points + 1))
        return " ".join(["word"] * WORDS)

    def _pieces(self, messages: list[Any]) -> Iterator[ChatGenerationChunk]:
        for word in self._text(messages).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))

    def _generate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        time.sleep(self.latency)
        return _result(self._text(messages))

    async def _agenerate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        await asyncio.sleep(self.latency)
        return _result(self._text(messages))

    def _stream(self, messages: list[Any], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        pieces, started = list(self._pieces(messages)), time.perf_counter()
        for place, piece in enumerate(pieces, start=1):
            time.sleep(max(0.0, started + self.latency * place / len(pieces) - time.perf_counter()))
            yield piece

    async def _astream(self, messages: list[Any], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        pieces, started = list(self._pieces(messages)), time.perf_counter()
        for place, piece in enumerate(pieces, start=1):
            await asyncio.sleep(max(0.0, started + self.latency * place / len(pieces) - time.perf_counter()))
            yield piece


def _result(text: str) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


def ways(points: int, latency: float) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What is measured, by name."""
    model = SteadyChat(points=points, latency=latency)
    options: dict[str, Any] = {
        "model": model,
        "prompts": PROMPTS,
        "router": "always",
        "max_points": max(2, points),
    }
    inputs: list[LanguageModelInput] = [f"POINT {number}" for number in range(points)]

    async def by_hand() -> None:
        model.invoke("SKELETON")
        model.batch(inputs, {"max_concurrency": points})

    async def by_hand_async() -> None:
        await model.ainvoke("SKELETON")
        await model.abatch(inputs)

    return {
        "by hand": by_hand,
        "by hand, async": by_hand_async,
        **ways_of(SkeletonOfThoughtChain(**options)),
        **ways_of(ChatSkeletonOfThought(**options), " of the chat model"),
    }


def ways_of(asked: Runnable[Any, Any], ending: str = "") -> dict[str, Callable[[], Awaitable[Any]]]:
    """The four ways to ask a runnable, by name."""

    async def invoke() -> None:
        asked.invoke("Why?")

    async def ainvoke() -> None:
        await asked.ainvoke("Why?")

    async def stream() -> None:
        for _ in asked.stream("Why?"):
            pass

    async def astream() -> None:
        async for _ in asked.astream("Why?"):
            pass

    return {f"{way.__name__}{ending}": way for way in (invoke, stream, ainvoke, astream)}


def measure(*, points: int, latency: float, runs: int, questions: int = 1) -> dict[str, float]:
    """Median wall seconds per way, the ways taking turns; one round before that warms up."""

    async def all_rounds() -> dict[str, list[float]]:
        measured = ways(points, latency)
        if questions > 1:
            measured = {name: measured[name] for name in ("by hand, async", "ainvoke", "astream")}
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(runs + 1):
            for name, run in measured.items():
                started = time.perf_counter()
                await asyncio.gather(*(run() for _ in range(questions)))
                seconds[name].append(time.perf_counter() - started)
        return seconds

    return {name: statistics.median(values[1:]) for name, values in asyncio.run(all_rounds()).items()}


def above(measured: dict[str, float], *, least: float, most: float) -> list[str]:
    """The ways that take more than `most` times the least possible time."""
    return [name for name, seconds in measured.items() if seconds > most * least]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds a request takes")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--questions", type=int, default=1, help="how many are asked at the same time")
    parser.add_argument("--most", type=float, default=float("inf"), help="times the least; more is an error")
    options = parser.parse_args()
    least = 2 * options.latency
    table = Table("way", "seconds", "over skeleton + slowest point", "times the least")
    measured = measure(
        points=options.points, latency=options.latency, runs=options.runs, questions=options.questions
    )
    for name, seconds in measured.items():
        table.add_row(name, f"{seconds:.3f}", f"{1000 * (seconds - least):.1f} ms", f"{seconds / least:.3f}")
    Console().print(table)
    if slow := above(measured, least=least, most=options.most):
        raise SystemExit(f"More than {options.most:g} times the least possible time: {', '.join(slow)}")


if __name__ == "__main__":
    main()
