"""What batching a local model's texts brings, against every other way to do it, in one run.

    python benchmarks/decoding.py --points 1 2 4 8 16 --rounds 3 --out benchmarks/results/decoding

Three measurements, each as ratios of times taken in turn on the same machine:

1. The points of an answer, for short prompts and with a context all of them share: the same prompts and the
   same number of tokens, written one after another with `generate`, with one padded `generate`, through
   LangChain's `ChatHuggingFace`, by transformers' continuous batching, by this project's engine, and, if
   `xllamacpp` is installed and the model is a GGUF file, by llama.cpp with the same file and threads. Beside them
   the direct answer: as many tokens in one text. And our step against the floor: the time to multiply with
   every linear layer once. transformers' own ways get the model in the engine's dtype, not quantised.
2. Ten questions, each answered by the chain, directly, and directly by llama.cpp, with the lengths the model
   chooses.
3. Many questions at once through `chain.abatch`, against one after another and directly; and the same arriving
   one by one, with and without `load_aware`, which answers directly while the batch is full.

Writes `<out>.json` and, if matplotlib is installed, `<out>.png`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from decoding_ways import Conversation, Steps, Ways, floor
from llama_cpp import LlamaCpp, llama_cpp_for
from rich.console import Console
from rich.table import Table

from langchain_sot import ChatTransformers, SkeletonOfThoughtChain
from skeleton_of_thought import Options
from skeleton_of_thought.decoding import Engine, load_model
from skeleton_of_thought.decoding.quantized import bits_of
from skeleton_of_thought.decoding.threads import in_passing

if TYPE_CHECKING:
    from collections.abc import Callable


ASPECTS = (
    *("cost", "time", "health", "family", "work", "travel", "food", "sleep"),
    *("money", "friends", "weather", "music", "law", "safety", "style", "noise"),
)
QUESTIONS = [
    f"{start} {topic}?"
    for topic in (
        "managing time",
        "learning a language",
        "sleeping better",
        "saving money",
        "starting to run",
        "cooking at home",
        "making friends in a new city",
        "caring for houseplants",
    )
    for start in (
        "What are good ways of",
        "What should I know before",
        "What are common mistakes when",
        "What are the benefits of",
    )
]
TEN = [*QUESTIONS[::4], QUESTIONS[3], QUESTIONS[7]]
console = Console()


def prompts(points: int, context: int, tokenizer: Any) -> list[Conversation]:
    """One conversation per point: the context and the question in common, the point last."""
    words = (
        "The town council met again and wrote down what everybody said about it. " * (context // 8 + 1)
    ).split()
    text = " ".join(words[: _words_for(context, tokenizer)])
    shared = f"{text}\n\nHow should I prepare for moving to another country?\n"
    return [
        [{"role": "user", "content": f"{shared}Write one or two sentences about this point only: {aspect}."}]
        for aspect in ASPECTS[:points]
    ]


def _words_for(context: int, tokenizer: Any) -> int:
    """How many of the context's words are so many tokens."""
    sample = "The town council met again and wrote down what everybody said about it. " * 20
    return int(context * len(sample.split()) / len(tokenizer.encode(sample)))


def measure_points(
    ways: Ways, steps: Steps, model: Any, tokenizer: Any, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """The point stage for every context and number of points."""
    results = []
    for context in options.contexts:
        for points in options.points:
            results.append(_point_stage(ways, steps, model, prompts(points, context, tokenizer), options))
            results[-1]["context"] = context
            _show_points(results[-1])
    return results


def _point_stage(
    ways: Ways, steps: Steps, model: Any, given: list[Conversation], options: argparse.Namespace
) -> dict[str, Any]:
    """Every way in turn, `options.rounds` times after one to warm up; medians."""
    points, tokens = len(given), options.tokens
    taken: dict[str, list[float]] = {}
    floors = []
    steps.reset()
    for round_number in range(options.rounds + 1):
        for name, way in ways.named().items():
            if name not in options.without:
                taken.setdefault(name, []).append(_timed_in_passing(way, given, tokens))
            if round_number == 0:
                steps.reset()
        with steps.paused():
            taken.setdefault("direct", []).append(_timed(ways.ours, given[:1], tokens * points))
        floors.append(in_passing(lambda: floor(model, ways.engine, points, runs=5)))
    medians = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
    step, gap = statistics.median(steps.decoding), statistics.median(steps.between)
    least = min(each["linear_seconds"] for each in floors)
    return {
        "points": points,
        "prompt_tokens": ways.prompt_tokens(given[0]),
        "tokens_per_point": tokens,
        "seconds": medians,
        "times_ours": {name: seconds / medians["ours"] for name, seconds in medians.items()},
        "step_seconds": step,
        "loop_share": gap / step,
        "floor_linear_seconds": least,
        "floor_bandwidth_seconds": min(each["bandwidth_seconds"] for each in floors),
        "step_over_floor": step / least,
    }


def measure_questions(
    engine: Engine, llama_cpp: LlamaCpp | None, options: argparse.Namespace
) -> dict[str, Any]:
    """Ten questions by the chain, directly, and by llama.cpp directly, in turn."""
    chat = _chat(engine, options)
    chain = SkeletonOfThoughtChain(model=chat)
    rows = []
    for question in TEN[: options.questions]:
        direct_seconds, direct = _timed_result(chat.invoke, question)
        sot_seconds, answer = _timed_result(chain.invoke, question)
        other: dict[str, float] = {}
        if llama_cpp is not None:
            seconds, text = _timed_result(
                partial(
                    llama_cpp.answer,
                    max_tokens=options.max_tokens,
                    repetition_penalty=options.repetition_penalty,
                ),
                question,
            )
            other = {
                "llama_cpp_seconds": seconds,
                "speed_up_over_llama_cpp": seconds / sot_seconds,
                "direct_over_llama_cpp": direct_seconds / seconds,
                "length_ratio_to_llama_cpp": len(answer.text) / max(1, len(text)),
            }
        rows.append(
            {
                **other,
                "question": question,
                "route": answer.response_metadata["sot"]["route"],
                "points": len(answer.response_metadata["sot"]["points"]),
                "direct_seconds": direct_seconds,
                "sot_seconds": sot_seconds,
                "speed_up": direct_seconds / sot_seconds,
                "length_ratio": len(answer.text) / max(1, len(direct.text)),
            }
        )
    measured = [name for name, value in rows[0].items() if isinstance(value, float)]
    summary = {f"median_{name}": statistics.median(row[name] for row in rows) for name in measured}
    console.print(summary)
    return {"questions": rows, **summary}


def measure_throughput(engine: Engine, options: argparse.Namespace) -> dict[str, Any]:
    """Many questions at once through `chain.abatch`, against one after another."""
    chat = _chat(engine, options)
    chain = SkeletonOfThoughtChain(model=chat)
    aware = SkeletonOfThoughtChain(model=chat, options=Options(load_aware=True))
    questions = QUESTIONS[: options.at_once]

    async def in_turn(way: Any) -> list[float]:
        start = time.perf_counter()
        ends = []
        for question in questions:
            await way.ainvoke(question)
            ends.append(time.perf_counter() - start)
        return ends  # all were asked at the start: the time to each end is its latency

    async def together(way: Any) -> list[float]:
        start = time.perf_counter()
        return [time.perf_counter() - start async for _ in way.abatch_as_completed(questions)]

    async def arriving(way: Any) -> list[float]:
        async def one(place: int) -> float:
            await asyncio.sleep(place * options.every)
            start = time.perf_counter()
            await way.ainvoke(questions[place])
            return time.perf_counter() - start

        return await asyncio.gather(*map(one, range(len(questions))))

    found: dict[str, Any] = {}
    for name, run in (
        ("one after another", partial(in_turn, chain)),
        ("at once", partial(together, chain)),
        ("at once, directly", partial(together, chat)),
        ("arriving", partial(arriving, chain)),
        ("arriving, load-aware", partial(arriving, aware)),
        ("arriving, directly", partial(arriving, chat)),
    ):
        started = time.perf_counter()
        latencies = sorted(asyncio.run(run()))
        seconds = time.perf_counter() - started
        found[name] = {
            "seconds": seconds,
            "questions_per_minute": 60 * len(latencies) / seconds,
            "p50_seconds": statistics.median(latencies),
            "p95_seconds": latencies[int(0.95 * (len(latencies) - 1))],
        }
        console.print(name, found[name])
    found["throughput_ratio"] = found["one after another"]["seconds"] / found["at once"]["seconds"]
    return found


def _chat(engine: Engine, options: argparse.Namespace) -> ChatTransformers:
    return ChatTransformers.from_engine(
        engine,
        model=options.model,
        temperature=0,
        max_tokens=options.max_tokens,
        repetition_penalty=options.repetition_penalty,
    )


def _timed(function: Callable[..., Any], *arguments: Any) -> float:
    return _timed_result(function, *arguments)[0]


def _timed_in_passing(function: Callable[..., Any], *arguments: Any) -> float:
    """Every way in a thread of its own, so that none slows the others by the OpenMP team it leaves behind."""
    return in_passing(lambda: _timed(function, *arguments))


def _timed_result(function: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def _show_points(result: dict[str, Any]) -> None:
    table = Table(
        title=f"{result['points']} points of {result['tokens_per_point']} tokens, context {result['context']}"
    )
    for column in ("way", "seconds", "times ours"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, seconds in result["seconds"].items():
        table.add_row(name, f"{seconds:.2f}", f"{result['times_ours'][name]:.2f}")
    console.print(table)
    console.print(
        f"step {1e3 * result['step_seconds']:.1f} ms, floor {1e3 * result['floor_linear_seconds']:.1f} ms "
        f"(bytes over bandwidth {1e3 * result['floor_bandwidth_seconds']:.1f} ms), "
        f"step over floor {result['step_over_floor']:.2f}, between steps {100 * result['loop_share']:.1f} %"
    )


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw the point stage: seconds by number of points, one panel per context."""
    try:
        import matplotlib as mpl
    except ImportError:
        console.print("No plot: matplotlib is not installed.")
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    contexts = sorted({row["context"] for row in report["points"]})
    figure, axes = plt.subplots(1, len(contexts), figsize=(5.5 * len(contexts), 4), squeeze=False)
    for axis, context in zip(axes[0], contexts, strict=True):
        rows = [row for row in report["points"] if row["context"] == context]
        for name in rows[0]["seconds"]:
            axis.plot(
                [row["points"] for row in rows],
                [row["seconds"][name] for row in rows],
                marker="o",
                label=name,
                linewidth=2.5 if name == "ours" else 1.2,
            )
        axis.set(xlabel="points", ylabel="seconds", yscale="log", title=f"shared context of {context} tokens")
        axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    console.print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="local")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--points", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--contexts", type=int, nargs="+", default=[0, 2000])
    parser.add_argument("--tokens", type=int, default=60, help="of each point")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], help="ways to leave out, by name")
    parser.add_argument("--questions", type=int, default=10, help="answered both ways; 0 leaves this out")
    parser.add_argument("--at-once", type=int, default=32, help="questions at once; 0 leaves this out")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between arriving questions")
    parser.add_argument("--max-tokens", type=int, default=512, help="of a direct answer")
    parser.add_argument("--repetition-penalty", type=float, default=1.1, help="of answers to questions")
    parser.add_argument("--out", type=Path, default=Path("decoding"))
    options = parser.parse_args()
    if max(options.points) > len(ASPECTS):
        parser.error(f"--points goes up to {len(ASPECTS)}")

    model, tokenizer = load_model(options.model, dtype=options.dtype, device=options.device)
    engine = Engine(model, tokenizer)
    dense = model
    if bits := bits_of(model):
        name = str(model.dtype).removeprefix("torch.")
        dense, _ = load_model(options.model, dtype=name, device=options.device)
    llama_cpp = llama_cpp_for(options.model, torch.get_num_threads())
    steps = Steps()
    steps.watch(engine)
    report: dict[str, Any] = {
        "model": options.model,
        "dtype": str(model.dtype),
        "bits": sorted(set(bits.values())),
        "device": str(model.device),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "load_average": os.getloadavg()[0],
    }
    report["points"] = measure_points(
        Ways(dense, tokenizer, engine, llama_cpp), steps, model, tokenizer, options
    )
    if options.questions:
        report["ten_questions"] = measure_questions(engine, llama_cpp, options)
    if options.at_once:
        report["throughput"] = measure_throughput(engine, options)
    engine.close()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    plot(report, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
