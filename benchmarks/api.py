"""Skeleton-of-Thought over an API that paces its tokens: wall time, first text, prompt price, failures.

The server is this project's fake one, in a process of its own; the clients are the real ones. All numbers are
ratios of things measured in this run.

    python benchmarks/api.py                      a small run, about a minute
    python benchmarks/api.py --questions 100 --stress 2000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import multiprocessing
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from llama_index.core.indices.prompt_helper import PromptHelper
from llama_index.core.response_synthesizers import TreeSummarize
from openai import DefaultAioHttpClient
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from langchain_sot import SkeletonOfThoughtChain
from llamaindex_sot import LangChainLLM
from skeleton_of_thought import PROMPTS, Message, Options, parse_skeleton
from skeleton_of_thought.fake_server import Entry, FakeServer, Ledger, Pace, PlausibleAnswers
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.prompts import Prompts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

PLAIN_TOKENS = (650, 850)
"""Lengths of the plain answers the opening protocol is measured against; a strong model's had 800."""
WORDS_PER_TOKEN = 528 / 650
"""Of the fake server."""
UNSUITABLE = "What is the capital of Australia?"
QUESTION = "How can a small team write good documentation?"
PACE = Pace(first_token=0.3, per_token=0.02)
STEADY = Pace(first_token=1.0, per_token=1 / 45)
"""The same pace with every request alike."""
HOSTED = Pace(first_token=1.0, per_token=0.022, spread=0.3)
"""As large hosted models write in 2026: first token after about a second, 45 tokens a second, no two requests alike."""
STRESS_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "rate_limit", "rate": 0.08, "seed": 1, "retry_after": 0.1},
    {"kind": "server_error", "rate": 0.07, "seed": 2},
    {"kind": "reset", "rate": 0.06, "seed": 3},
    {"kind": "invalid_json", "rate": 0.02, "seed": 4},
    {"kind": "empty", "rate": 0.02, "seed": 5},
)


class Server:
    """The fake server in another process, and its ledger."""

    def __init__(self, url: str) -> None:
        self.url = url

    def model(self, **options: Any) -> ChatOpenAI:
        """A client of it."""
        return ChatOpenAI(
            model="gpt-4o-mini",
            base_url=f"{self.url}/v1",
            api_key=SecretStr("fake"),
            max_retries=0,
            stream_usage=True,
            use_responses_api=False,
            **options,
        )

    def ledger(self, *, texts: bool = False) -> Ledger:
        """Everything it saw since the last `clear`."""
        answer = httpx.get(f"{self.url}/ledger", params={"texts": str(texts).lower()}, timeout=60)
        return Ledger.from_json(answer.json()["entries"])

    def anthropic(self) -> ChatAnthropic:
        """A client of its other interface."""
        return ChatAnthropic(
            model="claude-haiku-4-5",
            base_url=self.url,
            api_key=SecretStr("fake"),
            max_retries=0,  # type: ignore[call-arg]
        )

    def forget(self) -> None:
        """Empty its prompt cache."""
        httpx.delete(f"{self.url}/cache").raise_for_status()

    def clear(self) -> None:
        """Forget what it saw."""
        httpx.delete(f"{self.url}/ledger")

    def fail(self, faults: tuple[dict[str, Any], ...]) -> None:
        """Switch on faults."""
        httpx.delete(f"{self.url}/faults")
        for fault in faults:
            httpx.post(f"{self.url}/faults", json=fault).raise_for_status()


@contextlib.contextmanager
def serving(
    *, pace: Pace, points: int | None = None, sentences: int | None = None, words: int | None = None
) -> Iterator[Server]:
    """A server that writes so many points of so many sentences, or answers of so many words, at this pace."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    answers = PlausibleAnswers(points=points, sentences=sentences, words=words)
    process = context.Process(target=_serve, args=(theirs, pace, answers), daemon=True)
    process.start()
    try:
        yield Server(ours.recv())
    finally:
        ours.send("stop")
        process.join()


def _serve(pipe: Any, pace: Pace, answers: PlausibleAnswers) -> None:
    with FakeServer(pace=pace, answer=answers) as server:
        pipe.send(server.url)
        pipe.recv()


def critical_path(entries: Iterable[Entry]) -> float:
    """The shortest an answer can take on what the server did: the skeleton, then the slowest point."""
    seconds = {"skeleton": 0.0, "point": 0.0}
    for entry in entries:
        if entry.ended is not None and entry.stage in seconds:
            seconds[entry.stage] = max(seconds[entry.stage], entry.ended - entry.arrived)
    return seconds["skeleton"] + seconds["point"]


async def timed(way: str, chain: Any, question: Any) -> tuple[float, float]:
    """Seconds to the first text and to the end."""
    started = time.perf_counter()
    first = None
    match way:
        case "invoke":
            await asyncio.to_thread(chain.invoke, question)
        case "ainvoke":
            await chain.ainvoke(question)
        case "stream":
            first = await asyncio.to_thread(_first_text, chain, question, started)
        case _:
            async for chunk in chain.astream(question):
                if first is None and chunk.text:
                    first = time.perf_counter() - started
    whole = time.perf_counter() - started
    return whole if first is None else first, whole


def _first_text(chain: Any, question: Any, started: float) -> float | None:
    first = None
    for chunk in chain.stream(question):
        if first is None and chunk.text:
            first = time.perf_counter() - started
    return first


async def one_answer(server: Server, rounds: int) -> None:
    """Ten points: every way to ask, and what people do without Skeleton-of-Thought."""
    model = server.model()
    chain = SkeletonOfThoughtChain(model=model, prompts="instruction")
    await chain.ainvoke(QUESTION)  # connections are open
    print("\nOne answer of 10 points                  wall / (skeleton + slowest point)")
    whole: list[float] = []
    for way in ("invoke", "ainvoke", "stream", "astream"):
        ratios = []
        for _ in range(rounds):
            server.clear()
            _, seconds = await timed(way, chain, QUESTION)
            ratios.append(seconds / critical_path(server.ledger().entries))
            whole.append(seconds)
        print(f"  {way:38} {statistics.median(ratios):.3f}   (worst {max(ratios):.3f})")
    sot = statistics.median(whole)
    plain = [await timed("astream", model, QUESTION) for _ in range(rounds)]
    first = [(await timed("astream", chain, QUESTION))[0] for _ in range(rounds)]
    print("\nThe same question another way            wall / Skeleton-of-Thought's")
    print(f"  a plain answer                         {statistics.median(end for _, end in plain) / sot:.2f}")
    for name, seconds in (
        ("LangChain's .map() over the points", await mapped(model)),
        ("LlamaIndex tree_summarize, 10 chunks", await tree_summarized(server)),
        ("the points one after another", await one_after_another(model)),
    ):
        print(f"  {name:38} {seconds / sot:.2f}")
    ratio = statistics.median(first) / statistics.median(start for start, _ in plain)
    print(f"\nFirst visible text / a plain answer's: {ratio:.2f}")


async def opening_protocol(server: Server, rounds: int, tokens: int) -> None:
    """One request decides, opens and plans: against a plain answer of the same length, at a hosted model's pace."""
    model = server.model()
    chains = {
        f"{early} points start early": SkeletonOfThoughtChain(
            model=model, prompts="opening", options=Options(early_points=count)
        )
        for early, count in (("all", None), ("2", 2), ("1", 1), ("0", 0))
    }
    ways: dict[str, Any] = {"plain answer": model, **chains}
    times: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    words: dict[str, int] = {}
    requests: dict[tuple[str, str], int] = {}
    for way in ways.values():
        await way.ainvoke(UNSUITABLE)  # connections are open
    for _ in range(rounds):
        for question in (QUESTION, UNSUITABLE):
            for name, way in ways.items() if question == QUESTION else list(ways.items())[:2]:
                server.clear()
                times[name, question].append(await timed("astream", way, question))
                requests[name, question] = len(server.ledger().entries)
    for name, way in ways.items():
        words[name] = len((await way.ainvoke(QUESTION)).text.split())
    table = Table(
        "way", "first word", "whole (least to most)", "words", "unsuitable question", "its requests",
        title=f"Opening protocol against a plain answer of {tokens} tokens (plain = 1)",
    )  # fmt: skip
    plain = {
        question: [statistics.median(column) for column in zip(*times["plain answer", question], strict=True)]
        for question in (QUESTION, UNSUITABLE)
    }
    for name in chains:
        firsts, wholes = zip(*times[name, QUESTION], strict=True)
        others = [whole for _, whole in times[name, UNSUITABLE]]
        least, middle, most = (each(wholes) / plain[QUESTION][1] for each in (min, statistics.median, max))
        table.add_row(
            name,
            f"{statistics.median(firsts) / plain[QUESTION][0]:.2f}",
            f"{middle:.2f} ({least:.2f} to {most:.2f})",
            f"{words[name] / words['plain answer']:.2f}",
            f"{statistics.median(others) / plain[UNSUITABLE][1]:.2f}" if others else "the same",
            str(requests.get((name, UNSUITABLE), "the same")),
        )
    Console(width=110).print(table)


def _point_prompt(number: int) -> list[HumanMessage]:
    return [HumanMessage(f"{QUESTION}\n\n{_LIST}\n\nWrite only point {number}.")]


_LIST = "\n".join(f"{number}. Keep clear part {number}" for number in range(1, 11))


async def mapped(model: ChatOpenAI) -> float:
    """The recipe of LangChain's users: a list, then `.map()`."""
    started = time.perf_counter()
    await model.ainvoke(f"Write the outline of an answer as a numbered list: {QUESTION}")
    await (RunnableLambda(_point_prompt) | model).map().ainvoke(list(range(1, 11)))
    return time.perf_counter() - started


async def tree_summarized(server: Server) -> float:
    """LlamaIndex's parallel synthesizer: one request per chunk, then one over their answers."""
    llm = LangChainLLM(server.model())
    chunks = ["All about keeping documentation. " * 70] * 10
    window = PromptHelper(context_window=900, num_output=200)  # each chunk fills a request
    started = time.perf_counter()
    await TreeSummarize(llm=llm, prompt_helper=window, use_async=True).aget_response(QUESTION, chunks)
    return time.perf_counter() - started


async def one_after_another(model: ChatOpenAI) -> float:
    """The same requests, each when the one before it has ended."""
    started = time.perf_counter()
    await model.ainvoke(f"Write the outline of an answer as a numbered list: {QUESTION}")
    for number in range(1, 11):
        await model.ainvoke(_point_prompt(number))
    return time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Load:
    """What many questions at once took, over what the server alone would have taken.

    Attributes:
        whole: All of them, over the question whose skeleton and slowest point took longest.
        median: The median question, over its own skeleton and slowest point.
        worst: The question that had to wait most, in the same way.
        processor: Milliseconds this process computed, per request.
        at_once: Most requests the server had at the same moment.
    """

    whole: float
    median: float
    worst: float
    processor: float
    at_once: int


async def load(server: Server, answer: Callable[[str], Awaitable[Any]], questions: Sequence[str]) -> Load:
    """Ask them all at once."""
    walls: dict[str, float] = {}
    server.clear()
    started, computed = time.perf_counter(), time.process_time()

    async def ask(question: str) -> None:
        await answer(question)
        walls[question] = time.perf_counter() - started

    await asyncio.gather(*map(ask, questions))
    computed = time.process_time() - computed
    ledger = server.ledger(texts=True)
    paths = {
        question: critical_path(entry for entry in ledger.entries if question in entry.prompt)
        for question in questions
    }
    ratios = [walls[question] / paths[question] for question in questions]
    return Load(
        whole=max(walls.values()) / max(paths.values()),
        median=statistics.median(ratios),
        worst=max(ratios),
        processor=1000 * computed / len(ledger.entries),
        at_once=ledger.most_concurrent(),
    )


def by_hand(model: ChatOpenAI) -> Callable[[str], Awaitable[Any]]:
    """The chain's requests without the chain: an `ainvoke`, then an `abatch`."""
    prompts = PROMPTS["instruction"]
    assert isinstance(prompts, Prompts)

    def messages(request: Sequence[Message]) -> list[tuple[str, str]]:
        return [(message.role, message.text) for message in request]

    async def answer(question: str) -> None:
        asked = [Message("user", question)]
        skeleton = parse_skeleton((await model.ainvoke(messages(prompts.skeleton_messages(asked)))).text)
        await model.abatch([messages(prompts.point_messages(asked, skeleton, point)) for point in skeleton])

    return answer


async def many_answers(server: Server, questions: int, rounds: int, *, title: str) -> None:
    """Many questions of seven points at once: the chain, and the same requests by hand, with two HTTP clients."""
    subjects = [f"What matters about subject {number}?" for number in range(questions)]
    aiohttp = DefaultAioHttpClient()
    http = {"httpx2": None, "aiohttp": aiohttp}
    ways: dict[str, Callable[[str], Awaitable[Any]]] = {}
    for name, client in http.items():
        model = server.model(http_async_client=client)
        ways |= {
            f"chain, {name}": SkeletonOfThoughtChain(model=model, prompts="instruction").ainvoke,
            f"by hand, {name}": by_hand(model),
        }
    for answer in ways.values():
        await answer(QUESTION)
    runs: dict[str, list[Load]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, answer in ways.items():
            runs[way].append(await load(server, answer, subjects))
    await aiohttp.aclose()
    table = Table("way", "all", "median question", "worst", "processor per request", "at once", title=title)
    for way, measured in runs.items():
        whole = sorted(run.whole for run in measured)
        table.add_row(
            way,
            f"{statistics.median(whole):.3f} ({whole[0]:.3f} to {whole[-1]:.3f})",
            f"{statistics.median(run.median for run in measured):.3f}",
            f"{statistics.median(run.worst for run in measured):.3f}",
            f"{statistics.median(run.processor for run in measured):.1f} ms",
            str(max(run.at_once for run in measured)),
        )
    Console(width=110).print(table)


async def prompt_prices(server: Server) -> None:
    """What the prompts of an answer over 4,000 tokens of context cost, with and without the provider's cache."""
    context = [SystemMessage("Answer from the context."), HumanMessage("word " * 4000 + f"\n\n{QUESTION}")]
    print("\nPrompts of 8 points over 4,000 tokens    price / a plain answer's")
    for name, write, model in (
        ("OpenAI", 1.0, server.model()),
        ("Anthropic", 1.25, server.anthropic()),
    ):
        found = {}
        for cached in (None, False, True):
            server.clear()
            chain = (
                model
                if cached is None
                else SkeletonOfThoughtChain(
                    model=model, prompts="instruction", options=Options(prompt_cache=cached)
                )
            )
            await chain.ainvoke(context)
            server.forget()
            found[cached] = sum(
                entry.input_tokens - 0.9 * entry.cache_read_tokens + (write - 1) * entry.cache_write_tokens
                for entry in server.ledger().entries
            )
        plain, without, with_cache = found[None], found[False], found[True]
        print(f"  {name:38} {with_cache / plain:.2f}   (without prompt_cache {without / plain:.2f})")


async def stress(server: Server, count: int) -> None:
    """Many answers, one request in five failing."""
    server.clear()
    server.fail(STRESS_FAULTS)
    limiter = Limiter(max_concurrency=64)
    chain = SkeletonOfThoughtChain(model=server.model(), prompts="instruction", retries=3, limiter=limiter)
    questions: list[Any] = [f"What should one know about subject {number}?" for number in range(count)]
    started = time.perf_counter()
    answers = await chain.abatch(questions, return_exceptions=True)
    seconds = time.perf_counter() - started
    ledger = server.ledger()
    told = [answer.response_metadata["sot"] for answer in answers if not isinstance(answer, BaseException)]
    points = [point for sot in told for point in sot["points"]]
    marked = [point for point in points if point["status"] != "ok"]
    billed = sum(sot["bill"]["input_tokens"] + sot["bill"]["output_tokens"] for sot in told)
    faulty = sum(entry.fault is not None for entry in ledger.entries) / len(ledger.entries)
    print(f"\n{count} answers, {faulty:.0%} of {len(ledger.entries)} requests failing, {seconds:.0f} s")
    print(f"  answers raised instead of returned     {len(answers) - len(told)}")
    print(f"  points marked as failed                {len(marked)} of {len(points)}")
    print(
        f"  calls billed / calls in the ledger     {sum(s['bill']['calls'] for s in told) / len(ledger.entries):.4f}"
    )
    print(f"  tokens billed / tokens in the ledger   {billed / ledger.usage().total_tokens:.6f}")
    server.fail(())


async def main(options: argparse.Namespace) -> None:
    """Run everything."""
    gc.freeze()  # the modules of all these measurements are not searched for garbage during each, as in a server
    if not options.opening_only:
        with serving(pace=PACE, points=10) as server:
            await one_answer(server, options.rounds)
    for tokens in PLAIN_TOKENS:
        with serving(pace=STEADY, words=round(tokens * WORDS_PER_TOKEN)) as server:
            await opening_protocol(server, options.rounds, tokens)
    if options.opening_only:
        return
    for name, pace in (("a hosted model's pace", HOSTED), ("all in step, and fast", PACE)):
        title = f"{options.questions} answers of 7 points at once, {name}: wall / (skeleton + slowest point)"
        with serving(pace=pace, points=7, sentences=4) as server:
            await many_answers(server, options.questions, options.rounds, title=title)
    with serving(pace=Pace(), points=8) as server:
        await prompt_prices(server)
    with serving(pace=Pace(), points=5) as server:
        await stress(server, options.stress)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--opening-only", action="store_true", help="only the opening protocol")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of what is timed")
    parser.add_argument("--questions", type=int, default=20, help="questions at once")
    parser.add_argument("--stress", type=int, default=100, help="answers in the stress run")
    asyncio.run(main(parser.parse_args()))
