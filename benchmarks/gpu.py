"""Skeleton-of-Thought on a GPU: the paper's profile tables, its estimate, and what really happens.

    python benchmarks/gpu.py --out results                        # on a machine with a GPU, half an hour
    python benchmarks/gpu.py --out results --minutes 8            # the part that matters, in so many minutes
    python benchmarks/gpu.py --device cpu --tiny [--minutes 1]    # does it run at all: seconds

Needs torch, transformers and tokenizers, and 16 (7B) or 28 GB (13B) of memory in 16 bits; no network. With
`skeleton-of-thought` on the path (a checkout in PYTHONPATH is enough; it wants platformdirs, rich and typer) its
engine is measured too. The models are Llama shapes of 7B and 13B with random weights: the time depends on
lengths, and the words do not matter. It measures

1. the tables of the paper (arXiv 2307.15337, appendix): prefill of 1, 11, ..., 691 tokens, one step of decoding
   after 1 to 1024 tokens, each for batches of 1 to 16;
2. its estimate from them: skeleton, then the longest point in a batch, against one answer in a row;
3. the same lengths really run: a normal answer, and skeleton and points with a padded `generate`, with
   transformers' continuous batching and, if `skeleton-of-thought` is installed, with its engine;
4. a step's time against the time to read the weights at the measured memory bandwidth.

With `--minutes` it measures instead, in this order and until the time is up: for one, eight and sixteen rows, with
short prompts and with 2,000 shared tokens, the prefill and the step of every way; the typical question end to end,
plain and by skeleton; and the paper's estimate from the few passes it needs.

Writes one JSON file per shape, named after the card, after every measurement.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import statistics
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache, GenerationConfig, LlamaConfig, LlamaForCausalLM

if TYPE_CHECKING:
    from collections.abc import Callable

VOCABULARY = 32000
SHAPES = {
    "7B": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "13B": {
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
    },
}
TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}


@dataclass(frozen=True)
class Lengths:
    """Tokens of a typical question in the paper: what is written, and the prompts it is written after.

    The paper gives the written lengths; those of the prompts are of its prompt texts with a short question.
    """

    question: int = 40
    skeleton_prompt: int = 330
    point_prompt: int = 250
    skeleton: int = 40
    points: int = 7
    longest_point: int = 60
    normal: int = 250


TINY_LENGTHS = Lengths(5, 12, 15, 4, 3, 6, 12)


@dataclass(frozen=True)
class Plan:
    """What is measured in a few minutes.

    Attributes:
        rows: Texts at once.
        short: Tokens of a short prompt.
        shared: Tokens that long prompts have in common; each has `short` more of its own.
        few: Tokens written in the shorter of two runs.
        many: Tokens written in the longer one; the difference of the two is steps alone.
    """

    rows: tuple[int, ...] = (1, 8, 16)
    short: int = 32
    shared: int = 2000
    few: int = 8
    many: int = 72


TINY_PLAN = Plan((1, 2), 6, 20, 2, 6)


class Bench:
    """One model on one device.

    Args:
        shape: Arguments of `LlamaConfig`.
        device: Where it runs.
        dtype: Of the weights.
        repeats: Measurements of which the median counts.
    """

    def __init__(self, shape: dict[str, int], device: torch.device, dtype: torch.dtype, repeats: int) -> None:
        config = LlamaConfig(
            **shape,
            vocab_size=VOCABULARY,
            num_key_value_heads=shape["num_attention_heads"],
            max_position_embeddings=4096,
            bos_token_id=None,
            eos_token_id=None,
            dtype=dtype,
        )
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with device:
                self.model = LlamaForCausalLM(config).eval()
        finally:
            torch.set_default_dtype(before)
        self.device = device
        self.repeats = repeats

    def seconds(self, function: Callable[[], Any]) -> float:
        """Median time of a call, after one to warm up."""
        taken = []
        for _ in range(self.repeats + 1):
            self._wait()
            start = time.perf_counter()
            function()
            self._wait()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken[1:])

    def ids(self, batch: int, length: int) -> torch.Tensor:
        """Random token ids."""
        return torch.randint(0, VOCABULARY, (batch, length), device=self.device)

    @torch.inference_mode()
    def prefill(self, batch: int, length: int) -> float:
        """Seconds to read a prompt."""
        ids = self.ids(batch, length)
        return self.seconds(lambda: self.model(ids, use_cache=True, logits_to_keep=1))

    @torch.inference_mode()
    def decode(self, batch: int, contexts: range) -> list[float]:
        """Seconds of one step after so many tokens, for every context."""
        found = []
        cache = DynamicCache(config=self.model.config)
        self.model(self.ids(batch, contexts.start), past_key_values=cache, logits_to_keep=1)
        token = self.ids(batch, 1)
        for context in contexts:
            missing = context - cache.get_seq_length()
            if missing > 0:
                self.model(self.ids(batch, missing), past_key_values=cache, logits_to_keep=1)

            def step() -> None:
                self.model(token, past_key_values=cache)
                cache.crop(-1)

            found.append(self.seconds(step))
        return found

    def bandwidth(self) -> float:
        """Bytes per second of a copy inside the device's memory, read and write both counted."""
        size = (1 << 30) if self.device.type == "cuda" else (1 << 26)
        source = torch.zeros(size, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        return 2 * size / self.seconds(lambda: target.copy_(source))

    def weight_bytes(self) -> int:
        """Bytes of the linear layers' weights, which every step reads once."""
        layers = (module for module in self.model.modules() if isinstance(module, torch.nn.Linear))
        return sum(layer.weight.numel() * layer.weight.element_size() for layer in layers)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        elif self.device.type == "mps":
            torch.mps.synchronize()


class Tables:
    """The paper's profile: prefill every ten tokens, decoding at contexts in between interpolated."""

    def __init__(self, bench: Bench, batches: range, longest_prefill: int, contexts: range) -> None:
        self.prefill = {
            batch: {length: bench.prefill(batch, length) for length in range(1, longest_prefill + 1, 10)}
            for batch in batches
        }
        self.contexts = contexts
        self.decode = {batch: bench.decode(batch, contexts) for batch in batches}

    def estimate(self, prompt: int, written: int, batch: int) -> float:
        """T(prompt, written, batch) of the paper: one prefill and so many steps."""
        lengths = self.prefill[batch]
        total = lengths[min(prompt // 10 * 10 + 1, max(lengths))]
        for context in range(prompt, prompt + written):
            index = min((context - self.contexts.start) // self.contexts.step, len(self.contexts) - 1)
            total += self.decode[batch][index]
        return total

    def speed_up(self, lengths: Lengths) -> dict[str, float]:
        """Normal answer over Skeleton-of-Thought, as the paper estimates both."""
        normal = self.estimate(lengths.question, lengths.normal, 1)
        skeleton = self.estimate(lengths.skeleton_prompt, lengths.skeleton, 1)
        points = self.estimate(lengths.point_prompt, lengths.longest_point, lengths.points)
        return {
            "normal_seconds": normal,
            "skeleton_seconds": skeleton,
            "points_seconds": points,
            "speed_up": normal / (skeleton + points),
        }


def ways_of(bench: Bench) -> tuple[dict[str, Callable[[list[list[int]], int], Any]], Callable[[], None]]:
    """Every way there is to write so many tokens for prompts, and what to call at the end."""
    ways: dict[str, Callable[[list[list[int]], int], Any]] = {
        "padded generate": lambda prompts, count: _generate(bench, prompts, count),
        "continuous batching": lambda prompts, count: _continuous(bench, prompts, count),
    }
    if importlib.util.find_spec("skeleton_of_thought") is None:
        return ways, lambda: None
    engine = _engine(bench)
    ways = {"skeleton-of-thought": lambda prompts, count: _ours(engine, prompts, count), **ways}
    return ways, engine.close


class Quick:
    """The measurements of `--minutes`, each skipped when the time left would not do for it.

    Args:
        bench: The model.
        plan: Rows and lengths.
        lengths: Of the typical question.
        deadline: When to stop, in `time.monotonic()`.
        write: Called with what is known after every measurement.
    """

    def __init__(
        self,
        bench: Bench,
        plan: Plan,
        lengths: Lengths,
        deadline: float,
        write: Callable[[dict[str, Any]], None],
    ) -> None:
        self._bench, self._plan, self._lengths = bench, plan, lengths
        self._deadline, self._write = deadline, write
        self._longest = 0.0
        self.found: dict[str, Any] = {"steps": {}, "questions": {}, "skipped": [], "failed": {}}

    def run(self) -> dict[str, Any]:
        """All of them, the most telling first."""
        bandwidth, weights = self._bench.bandwidth(), self._bench.weight_bytes()
        self.found |= {
            "bandwidth_bytes_per_second": bandwidth,
            "weight_bytes": weights,
            "floor_seconds": weights / bandwidth,
        }
        ways, close = ways_of(self._bench)
        try:
            for shared in (0, self._plan.shared):
                for rows in self._plan.rows:
                    prompts = self._prompts(rows, shared)
                    for name, way in ways.items():
                        key = f"{name}, {rows} rows, {shared} shared tokens"
                        self._measure("steps", key, partial(self._step, way, prompts))
            for name, way in ways.items():
                self._measure("questions", name, partial(self._question, way))
        finally:
            close()
        self._measure("questions", "estimate", self._estimate)
        return self.found

    def _measure(self, kind: str, key: str, measure: Callable[[], dict[str, float]]) -> None:
        start = time.monotonic()
        if start + self._longest > self._deadline:
            self.found["skipped"].append(key)
        else:
            try:
                self.found[kind][key] = measure()
            except Exception as error:  # noqa: BLE001 (one way that fails must not cost the others their turn)
                self.found["failed"][key] = f"{type(error).__name__}: {error}"[:300]
            self._longest = max(self._longest, time.monotonic() - start)
        self._write(self.found)

    def _prompts(self, rows: int, shared: int) -> list[list[int]]:
        common = self._bench.ids(1, shared)[0].tolist() if shared else []
        return [common + self._bench.ids(1, self._plan.short)[0].tolist() for _ in range(rows)]

    def _step(self, way: Callable[[list[list[int]], int], Any], prompts: list[list[int]]) -> dict[str, float]:
        """A step's seconds, from two runs of different length, and those of what comes before the steps."""
        few, many = self._plan.few, self._plan.many
        short = self._bench.seconds(lambda: way(prompts, few))
        long = self._bench.seconds(lambda: way(prompts, many))
        step = (long - short) / (many - few)
        return {
            "step_seconds": step,
            "step_over_floor": step / self.found["floor_seconds"],
            "tokens_per_second": len(prompts) / step if step > 0 else float("nan"),
            "before_seconds": short - few * step,
            "total_seconds": long,
        }

    def _question(self, way: Callable[[list[list[int]], int], Any]) -> dict[str, float]:
        return typical_question(self._bench, self._lengths, way)

    def _estimate(self) -> dict[str, float]:
        """The paper's estimate, from one prefill and one step for each of its three parts."""
        lengths, bench = self._lengths, self._bench

        def part(prompt: int, written: int, batch: int) -> float:
            middle = prompt + written // 2
            (step,) = bench.decode(batch, range(middle, middle + 1))
            return bench.prefill(batch, prompt) + written * step

        normal = part(lengths.question, lengths.normal, 1)
        skeleton = part(lengths.skeleton_prompt, lengths.skeleton, 1)
        points = part(lengths.point_prompt, lengths.longest_point, lengths.points)
        return {
            "normal_seconds": normal,
            "skeleton_seconds": skeleton,
            "points_seconds": points,
            "speed_up": normal / (skeleton + points),
        }


def typical_question(
    bench: Bench, lengths: Lengths, way: Callable[[list[list[int]], int], Any]
) -> dict[str, float]:
    """A normal answer and Skeleton-of-Thought with the paper's lengths, run for real."""
    shared = bench.ids(1, lengths.point_prompt - 10)[0].tolist()
    points = [shared + bench.ids(1, 10)[0].tolist() for _ in range(lengths.points)]
    skeleton = bench.ids(1, lengths.skeleton_prompt)[0].tolist()
    question = bench.ids(1, lengths.question)[0].tolist()
    normal = bench.seconds(lambda: way([question], lengths.normal))
    first = bench.seconds(lambda: way([skeleton], lengths.skeleton))
    second = bench.seconds(lambda: way(points, lengths.longest_point))
    return {
        "normal_seconds": normal,
        "skeleton_seconds": first,
        "points_seconds": second,
        "speed_up": normal / (first + second),
    }


def really(bench: Bench, lengths: Lengths) -> dict[str, dict[str, float]]:
    """Normal answer and Skeleton-of-Thought run for real, with every way there is."""
    ways, close = ways_of(bench)
    found = {name: typical_question(bench, lengths, way) for name, way in ways.items()}
    close()
    quickest = min(way["normal_seconds"] for way in found.values())
    for way in found.values():
        way["speed_up_over_quickest_normal"] = quickest / (way["skeleton_seconds"] + way["points_seconds"])
    return found


def _generate(bench: Bench, prompts: list[list[int]], count: int) -> None:
    ids = torch.tensor(prompts, device=bench.device)  # of equal length: nothing to pad
    config = GenerationConfig(max_new_tokens=count, do_sample=False, pad_token_id=0)
    bench.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)


def _continuous(bench: Bench, prompts: list[list[int]], count: int) -> None:
    from transformers import ContinuousBatchingConfig

    blocks = sum(-(-(len(prompt) + count) // 32) + 1 for prompt in prompts)
    config = GenerationConfig(max_new_tokens=count, do_sample=False, eos_token_id=-1, pad_token_id=0)
    limits = ContinuousBatchingConfig(page_size=32, num_blocks=max(64, blocks), max_batch_tokens=2048)
    bench.model.generate_batch(prompts, generation_config=config, continuous_batching_config=limits)


def _engine(bench: Bench) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    from skeleton_of_thought.decoding import Engine

    words = Tokenizer(WordLevel({str(number): number for number in range(VOCABULARY)}, "0"))
    return Engine(bench.model, PreTrainedTokenizerFast(tokenizer_object=words), prefix_cache_tokens=0)


def _ours(engine: Any, prompts: list[list[int]], count: int) -> None:
    from skeleton_of_thought.decoding import GenerationRequest

    requests = [GenerationRequest(input_ids=prompt, max_tokens=count, temperature=0) for prompt in prompts]
    for generation in engine.submit_many(requests):
        generation.result()


def measure(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one shape."""
    lengths = TINY_LENGTHS if options.tiny else Lengths()
    if options.tiny:
        tables = Tables(bench, range(1, lengths.points + 1, lengths.points - 1), 21, range(1, 40, 13))
    else:
        tables = Tables(bench, range(1, options.batches + 1), 691, range(1, 1025, options.context_step))
    bandwidth = bench.bandwidth()
    weights = bench.weight_bytes()
    rows = max(tables.decode)
    return {
        "lengths": asdict(lengths),
        "prefill_seconds": tables.prefill,
        "decode_contexts": list(tables.contexts),
        "decode_seconds": tables.decode,
        "estimate": tables.speed_up(lengths),
        "measured": really(bench, lengths),
        "floor": {
            "bandwidth_bytes_per_second": bandwidth,
            "weight_bytes": weights,
            "seconds": weights / bandwidth,
            "step_over_floor": {batch: tables.decode[batch][0] * bandwidth / weights for batch in (1, rows)},
        },
    }


def show(report: dict[str, Any]) -> None:
    """The result in a few lines."""
    name = f"{report['card']}, {report['shape']}"
    if "steps" not in report:
        print(f"{name}: estimated speed-up {report['estimate']['speed_up']:.2f}")
        for way, found in report["measured"].items():
            print(f"  {way}: measured speed-up {found['speed_up']:.2f}")
        return
    print(f"{name}: weights read in {1e3 * report['floor_seconds']:.2f} ms")
    for key, found in report["steps"].items():
        print(
            f"  {key}: {1e3 * found['step_seconds']:.2f} ms a step, {found['step_over_floor']:.2f} times that"
        )
    for key, found in report["questions"].items():
        print(f"  question, {key}: {found['normal_seconds']:.2f} s plain, speed-up {found['speed_up']:.2f}")
    for key, error in report["failed"].items():
        print(f"  {key} failed: {error}")
    if report["skipped"]:
        print(f"  no time for: {'; '.join(report['skipped'])}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=["7B", "13B"])
    parser.add_argument("--device", help="cuda if there is one, else cpu")
    parser.add_argument("--dtype", default="bfloat16", choices=["float16", "bfloat16", "float32"])
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--context-step", type=int, default=16, help="every so manieth context is measured")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--tiny", action="store_true", help="a tiny model and short lengths, to see that it runs"
    )
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--minutes", type=float, help="measure only what matters, in so many minutes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    start = time.monotonic()
    shapes = ["tiny"] if options.tiny else options.shapes
    for number, shape in enumerate(shapes):
        about = {"card": card, "shape": shape, "dtype": options.dtype, "torch": torch.__version__}
        path = options.out / f"{re.sub(r'[^a-z0-9]+', '-', f'gpu-{card}-{shape}'.lower())}.json"

        def write(found: dict[str, Any], about: dict[str, Any] = about, path: Path = path) -> None:
            path.write_text(json.dumps(about | found, indent=1) + "\n")

        bench = Bench(
            TINY if options.tiny else SHAPES[shape], device, getattr(torch, options.dtype), options.repeats
        )
        if options.minutes is None:
            found = measure(bench, options)
        else:
            plan, lengths = (TINY_PLAN, TINY_LENGTHS) if options.tiny else (Plan(), Lengths())
            deadline = start + 60 * options.minutes * (number + 1) / len(shapes)
            found = Quick(bench, plan, lengths, deadline, write).run()
        write(found)
        show(about | found)
        print(f"  wrote {path}")
        del bench
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
