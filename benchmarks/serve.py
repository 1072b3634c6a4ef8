"""What `sot serve` costs in front of a server, and what 200 clients get while one upstream request in five fails.

The upstream is this project's fake server without any waiting, `sot serve` the real command; three processes share the
machine.

    python benchmarks/serve.py                    a minute
    python benchmarks/serve.py --answers 2000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
from api import serving

from skeleton_of_thought.fake_server import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 200
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "rate_limit", "rate": 0.05, "seed": 1, "retry_after": 0.1},
    {"kind": "server_error", "rate": 0.09, "seed": 2},
    {"kind": "reset", "rate": 0.06, "seed": 3, "after_tokens": 0},
)
COMMAND = [sys.executable, "-c", "from sot_command import main; main()", "serve"]


@contextlib.contextmanager
def sot_serve(upstream: str) -> Iterator[str]:
    """The command in front of a server; its address."""
    options = ["--model", "openai:gpt-4o-mini", "--base-url", f"{upstream}/v1", "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: S603
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        try:
            found = None
            while found is None and (line := process.stdout.readline()):
                found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found is None:
                raise SystemExit("sot serve did not start.")
            yield found[0]
        finally:
            process.terminate()


def body(number: int, *, route: str | None = None, stream: bool = False) -> dict[str, Any]:
    """A request; the fake server ignores the field that is ours."""
    letters = "".join(chr(ord("a") + number // 26**place % 26) for place in range(3))  # numbers get no plan
    question = f"What are the benefits of the habit called {letters} for people who are busy?"
    sot = {"sot": {"route": route}} if route else {}
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": question}],
        "stream": stream,
        **sot,
    }


def overhead(upstream: str, served: str, rounds: int) -> None:
    """A plain answer straight from the upstream and through the service, in turn."""
    whole: list[float] = []
    piece: list[float] = []
    with httpx.Client(timeout=60) as client:

        def seconds(address: str, number: int, *, stream: bool) -> tuple[float, int]:
            started = time.perf_counter()
            asked = body(number, route=None if address == upstream else "direct", stream=stream)
            text = client.post(f"{address}/v1/chat/completions", json=asked).raise_for_status().text
            return time.perf_counter() - started, text.count("data: {")

        for number in range(rounds + 5):
            plain, through = (seconds(each, number, stream=False)[0] for each in (upstream, served))
            streamed, _ = seconds(upstream, number, stream=True)
            relayed, pieces = seconds(served, number, stream=True)
            if number >= 5:  # connections are open
                whole.append(1000 * (through - plain))
                piece.append(1000 * (relayed - streamed) / pieces)
    for name, values in (("an answer", whole), (f"a piece of a stream (of {pieces})", piece)):
        ordered = sorted(values)
        low, high = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
        print(f"{name:34} {statistics.median(ordered):6.2f} ms   ({low:.2f} to {high:.2f})")


async def storm(served: str, answers: int) -> list[httpx.Response | Exception]:
    """So many answers from 200 clients: plain ones, skeletons and streams."""
    turn = asyncio.Semaphore(CLIENTS)
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(timeout=600, limits=limits) as client:

        async def one(number: int) -> httpx.Response | Exception:
            asked = body(number, route="sot" if number % 3 else "direct", stream=number % 2 == 0)
            async with turn:
                try:
                    return await client.post(f"{served}/v1/chat/completions", json=asked)
                except httpx.HTTPError as error:
                    return error

        return await asyncio.gather(*map(one, range(answers)))


def text_of(response: httpx.Response | Exception) -> str | None:
    """The text of an answer; None if it is an error, or a stream that ended with one."""
    if isinstance(response, Exception) or response.status_code != httpx.codes.OK:
        return None
    if not response.text.startswith("data:"):
        return str(response.json()["choices"][0]["message"]["content"])
    chunks = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    if any("error" in chunk for chunk in chunks):
        return None
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100, help="answers of which the overhead is the median")
    parser.add_argument("--answers", type=int, default=400, help="in the storm")
    given = parser.parse_args()
    with serving(pace=Pace(), words=150) as upstream, sot_serve(upstream.url) as served:
        print("Through sot serve, above the upstream alone: median (5 to 95 %)")
        overhead(upstream.url, served, given.rounds)
        calm = [text_of(each) for each in asyncio.run(storm(served, given.answers))]
        upstream.clear()
        upstream.fail(FAULTS)
        started = time.perf_counter()
        answered = asyncio.run(storm(served, given.answers))
        seconds = time.perf_counter() - started
        texts = [text_of(each) for each in answered]
        entries = upstream.ledger().entries
        faulty = sum(entry.fault is not None for entry in entries) / len(entries)
        print(
            f"\n{given.answers} answers, {CLIENTS} clients, {faulty:.0%} of {len(entries)} upstream requests failing:"
        )
        print(f"  {seconds:.0f} s; {texts.count(None)} ended with an error,")
        same = sum(text == before for text, before in zip(texts, calm, strict=True))
        mixed_up = sum(
            text in calm for text, before in zip(texts, calm, strict=True) if text not in {before, None}
        )
        print(
            f"  {same} have the text they have without failures, to the letter ({calm.count(None)} failed there),"
        )
        print(f"  {mixed_up} have the text of another question; the rest was answered in another way.")


if __name__ == "__main__":
    main()
