"""Answers from documents: Skeleton-of-Thought against LlamaIndex's compact and tree_summarize.

Same model, same chunks, same questions, all ways after each other for every question. The skeleton's answer
comes first; the plain ways then write exactly as many tokens as its points have, whatever the model thinks of
it. Prompt tokens computed are those that no cache served. Only ratios of things measured in one run count.

    python benchmarks/rag.py                      three questions, 8 chunks, the packaged model
    python benchmarks/rag.py --questions 10 --model FOLDER_OR_HUB_ID
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core import VectorStoreIndex
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.response_synthesizers import CompactAndRefine, TreeSummarize
from llama_index_instrumentation import get_dispatcher

from llamaindex_sot import SkeletonOfThoughtSynthesizer, TransformersLLM
from llamaindex_sot._embedding import PackagedEmbedding
from llamaindex_sot._reading import read_documents

if TYPE_CHECKING:
    from llama_index.core.response_synthesizers import BaseSynthesizer
    from llama_index.core.schema import NodeWithScore

DOCUMENTS = Path(__file__).parents[1] / "cookbook" / "documents"
QUESTIONS = (
    "How do I make good compost?",
    "How can I save water in the garden?",
    "How do members keep slugs and other pests away?",
    "What should I do to keep the soil healthy?",
    "What can I sow in spring?",
    "What are the rules for members?",
    "How are the tools looked after?",
    "How does the garden help bees and other animals?",
    "How do I store vegetables after the harvest?",
    "What should children and visitors be careful about?",
)
WAYS = ("skeleton, shared context", "skeleton, one source per point", "compact", "tree_summarize")


class WritesOn(TransformersLLM):
    """Writes exactly `max_tokens` tokens."""

    def _submit(self, prompt: dict[str, Any], options: dict[str, Any]) -> Any:
        return super()._submit({**prompt, "ignore_eos": True}, options)


class Meter(BaseEventHandler):
    """The tokens of all calls since it was reset."""

    sent: int = 0
    computed: int = 0
    written: int = 0

    @classmethod
    def class_name(cls) -> str:
        """Name in traces."""
        return "Meter"

    def handle(self, event: Any, **_: Any) -> None:
        """Add the bill of a finished call."""
        if isinstance(event, LLMChatEndEvent) and event.response is not None:
            usage = event.response.raw["usage"]
            self.sent += usage["prompt_tokens"]
            self.computed += usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
            self.written += usage["completion_tokens"]

    def reset(self) -> None:
        """Forget everything."""
        self.sent = self.computed = self.written = 0


@dataclass(frozen=True)
class Run:
    """What one way took for one question; `processor` is the processor time of all threads, in seconds."""

    seconds: float
    processor: float
    first_text: float
    characters: int
    tokens: int
    prompt_sent: int
    prompt_computed: int


def measure(
    synthesizer: BaseSynthesizer, question: str, nodes: list[NodeWithScore], meter: Meter
) -> tuple[Run, Any]:
    """Answer once, streamed."""
    meter.reset()
    started, computing = time.perf_counter(), time.process_time()
    first, text = 0.0, ""
    response: Any = synthesizer.synthesize(question, nodes)
    for piece in response.response_gen:
        if piece.strip() and not first:
            first = time.perf_counter() - started
        text += piece
    seconds = time.perf_counter() - started
    processor = time.process_time() - computing
    return Run(seconds, processor, first, len(text), meter.written, meter.sent, meter.computed), response


def ask_all_ways(
    model: str, question: str, nodes: list[NodeWithScore], meter: Meter
) -> dict[str, Run] | None:
    """Every way for one question; None if the model wrote no usable skeleton."""
    llm = TransformersLLM(model=model, temperature=0)
    runs: dict[str, Run] = {}
    print(question, flush=True)

    def ask(way: str, synthesizer: BaseSynthesizer) -> Any:
        runs[way], response = measure(synthesizer, question, nodes, meter)
        print(f"    {way}: {runs[way]}", flush=True)
        return response

    shared = ask(WAYS[0], SkeletonOfThoughtSynthesizer(llm, streaming=True))
    points = shared.metadata["sot"]["points"]
    if not points:
        print("    no usable skeleton; left out", flush=True)
        return None
    length = sum(point["usage"]["output_tokens"] for point in points)
    plain = WritesOn(model=model, temperature=0, max_tokens=length)
    ask(WAYS[2], CompactAndRefine(llm=plain, streaming=True))
    ask(WAYS[1], SkeletonOfThoughtSynthesizer(llm, streaming=True, skeleton="sources"))
    ask(WAYS[3], TreeSummarize(llm=plain, streaming=True))
    return runs


def report(runs: list[dict[str, Run]]) -> None:
    """Medians over the questions; ratios to compact are medians of the ratios of each question."""

    def median(way: str, field: str) -> float:
        return statistics.median(getattr(run[way], field) for run in runs)

    def ratio(way: str, field: str, *, inverse: bool = False) -> float:
        pairs = [(getattr(run[way], field), getattr(run["compact"], field)) for run in runs]
        return statistics.median(c / max(w, 1e-9) if inverse else w / max(c, 1e-9) for w, c in pairs)

    print(
        "| way | seconds | processor seconds | first text, s | tokens written | prompt tokens | computed | speed-up "
        "| in processor time | first text sooner | length |"
    )
    print("|---" * 11 + "|")
    for way in WAYS:
        cells = [
            way,
            f"{median(way, 'seconds'):.2f}",
            f"{median(way, 'processor'):.2f}",
            f"{median(way, 'first_text'):.2f}",
            *(f"{median(way, field):.0f}" for field in ("tokens", "prompt_sent", "prompt_computed")),
            f"{ratio(way, 'seconds', inverse=True):.2f}",
            f"{ratio(way, 'processor', inverse=True):.2f}",
            f"{ratio(way, 'first_text', inverse=True):.2f}",
            f"{ratio(way, 'characters'):.2f}",
        ]
        print(f"| {' | '.join(cells)} |")
    print(
        "\nTokens written include the skeleton. Prompt tokens are those of all calls; computed are those no cache "
        "had. Speed-up and length are relative to compact. Processor time hardly changes when other programs run."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="local", help="a folder or Hub id; default: the packaged model")
    parser.add_argument("--questions", type=int, default=3, help=f"how many, at most {len(QUESTIONS)}")
    parser.add_argument("--chunks", type=int, default=8, help="chunks of context")
    parser.add_argument("--chunk-tokens", type=int, default=160)
    arguments = parser.parse_args()

    chunks = SentenceSplitter(chunk_size=arguments.chunk_tokens, chunk_overlap=0)
    nodes = chunks.get_nodes_from_documents(read_documents(DOCUMENTS))
    retriever = VectorStoreIndex(nodes, embed_model=PackagedEmbedding()).as_retriever(
        similarity_top_k=arguments.chunks
    )
    meter = Meter()
    get_dispatcher().add_event_handler(meter)
    TransformersLLM(model=arguments.model).complete("Hello", max_tokens=8)
    runs = []
    for question in QUESTIONS[: arguments.questions]:
        asked = ask_all_ways(arguments.model, question, retriever.retrieve(question), meter)
        if asked is not None:
            runs.append(asked)
    print(f"\n{len(runs)} questions, {arguments.chunks} chunks of up to {arguments.chunk_tokens} tokens\n")
    if runs:
        report(runs)


if __name__ == "__main__":
    main()
