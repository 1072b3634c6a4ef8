"""Answers from documents: Skeleton-of-Thought against LlamaIndex's compact and tree_summarize.

Same model, same chunks, same questions, all ways after each other for every question. A skeleton's answer
comes first; the plain ways then write exactly as many tokens as its points have, whatever the model thinks of
it. Prompt tokens computed are those that no cache served. Only ratios of things measured in one run count.
The packaged model can hardly outline from sources, so a point per source is its default; the model's own
skeleton, which larger models write, is measured too, where it wrote a usable one.

    python benchmarks/rag.py                      three questions, 8 chunks, the packaged model
    python benchmarks/rag.py --questions 10 --model FOLDER_OR_HUB_ID
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core import VectorStoreIndex
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.response_synthesizers import BaseSynthesizer, CompactAndRefine, TreeSummarize
from llama_index_instrumentation import get_dispatcher

from llamaindex_sot import SkeletonOfThoughtSynthesizer, TransformersLLM
from llamaindex_sot.documents.embedding import PackagedEmbedding
from llamaindex_sot.documents.reading import read_documents

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore

EDITIONS = itertools.count(1)
DOCUMENTS = Path(__file__).parents[1] / "cookbook" / "documents"
QUESTIONS = {  # and the documents that have the answer
    "How do I make good compost?": {"compost.md", "soil.md"},
    "How can I save water in the garden?": {"watering.md", "soil.md"},
    "How do members keep slugs and other pests away?": {"pests.md", "bees_and_wildlife.md"},
    "What should I do to keep the soil healthy?": {"soil.md", "compost.md", "watering.md"},
    "What can I sow in spring?": {"sowing_calendar.md", "greenhouse.md", "soil.md"},
    "What are the rules for members?": {"membership.txt", "safety.pdf", "tools_and_shed.md"},
    "How are the tools looked after?": {"tools_and_shed.md"},
    "How does the garden help bees and other animals?": {"bees_and_wildlife.md", "pests.md"},
    "How do I store vegetables after the harvest?": {"harvest_and_kitchen.md"},
    "What should children and visitors be careful about?": {
        "safety.pdf",
        "membership.txt",
        "bees_and_wildlife.md",
    },
}
SKELETONS: dict[str, dict[str, Any]] = {
    "a point per source, its own source": {"skeleton": "sources"},
    "a point per source, shared context": {"skeleton": "sources", "context": "shared"},
    "the model's skeleton, shared context": {"skeleton": "model"},
}
PLAIN: dict[str, type[BaseSynthesizer]] = {"compact": CompactAndRefine, "tree_summarize": TreeSummarize}


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
            usage = (event.response.raw or {})["usage"]
            self.sent += usage["prompt_tokens"]
            self.computed += usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
            self.written += usage["completion_tokens"]

    def reset(self) -> None:
        """Forget everything."""
        self.sent = self.computed = self.written = 0


@dataclass(frozen=True)
class Run:
    """What one way took for one question."""

    seconds: float
    first_text: float
    characters: int
    tokens: int
    prompt_sent: int
    prompt_computed: int


def measure(
    synthesizer: BaseSynthesizer, question: str, nodes: list[NodeWithScore], meter: Meter
) -> tuple[Run, Any]:
    """Answer once, streamed, and find nothing in the cache that another way has left there."""
    nodes = [node.model_copy(deep=True) for node in nodes]
    nodes[0].node.set_content(f"Edition {next(EDITIONS)}. {nodes[0].node.get_content()}")
    meter.reset()
    started = time.perf_counter()
    first, text = 0.0, ""
    response: Any = synthesizer.synthesize(question, nodes)
    for piece in response.response_gen:
        if piece.strip() and not first:
            first = time.perf_counter() - started
        text += piece
    seconds = time.perf_counter() - started
    return Run(seconds, first, len(text), meter.written, meter.sent, meter.computed), response


Runs = dict[tuple[str, str], Run]


def ask_all_ways(model: str, question: str, nodes: list[NodeWithScore], meter: Meter) -> Runs:
    """Every way for one question: a skeleton's answer, then each plain one of its length; then the next."""
    llm = TransformersLLM(model=model, temperature=0)
    runs: Runs = {}
    print(question, flush=True)
    for skeleton, options in SKELETONS.items():
        synthesizer = SkeletonOfThoughtSynthesizer(llm, router="always", streaming=True, **options)
        run, response = measure(synthesizer, question, nodes, meter)
        points = response.metadata["sot"]["points"]
        if not points:
            print(f"    {skeleton}: no usable skeleton; left out", flush=True)
            continue
        runs[skeleton, ""] = run
        sources = {node.node.node_id: node.node.metadata["source"] for node in response.source_nodes}
        cited = response.metadata["sot"]["citations"]
        right = {number for number, node in cited.items() if sources[node] in QUESTIONS[question]}
        good = sum(
            any(f"[{number}]" in f"{point['title']} {point['text']}" for number in right) for point in points
        )
        length = sum(point["usage"]["output_tokens"] for point in points)
        plain = WritesOn(model=model, temperature=0, max_tokens=length)
        for name, kind in PLAIN.items():
            runs[skeleton, name], _ = measure(kind(llm=plain, streaming=True), question, nodes, meter)
        seconds = ", ".join(f"{name} {runs[skeleton, name].seconds:.1f} s" for name in PLAIN)
        print(
            f"    {skeleton}: {len(points)} points, {good} cite a right document, {length} tokens, "
            f"{run.seconds:.1f} s; {seconds}",
            flush=True,
        )
    return runs


def report(asked: list[Runs]) -> None:
    """Medians over the questions; ratios are medians of the ratios of each question, with their range."""
    print(
        "| way | questions | seconds | first text, s | tokens written | prompt tokens | computed "
        "| speed-up over compact | over tree_summarize | first text sooner than compact's | length |"
    )
    print("|---" * 11 + "|")
    for skeleton in SKELETONS:
        runs = [run for run in asked if (skeleton, "") in run]
        if not runs:
            continue
        for way in ("", *PLAIN):
            own = [run[skeleton, way] for run in runs]
            cells = [
                f"{way}, as long" if way else f"**{skeleton}**",
                f"{len(runs)}",
                *(
                    f"{statistics.median(getattr(run, field) for run in own):.2f}"
                    for field in ("seconds", "first_text")
                ),
                *(
                    f"{statistics.median(getattr(run, field) for run in own):.0f}"
                    for field in ("tokens", "prompt_sent", "prompt_computed")
                ),
                *(_ratios(runs, (skeleton, plain), (skeleton, way), "seconds") for plain in PLAIN),
                _ratios(runs, (skeleton, "compact"), (skeleton, way), "first_text"),
                _ratios(runs, (skeleton, way), (skeleton, "compact"), "characters"),
            ]
            print(f"| {' | '.join(cells)} |")
    print(
        "\nTokens written include the skeleton. Prompt tokens are those of all calls; computed are those no cache "
        "had. Length is in characters, compact's = 1."
    )


def _ratios(runs: list[Runs], over: tuple[str, str], under: tuple[str, str], field: str) -> str:
    ratios = [getattr(run[over], field) / max(getattr(run[under], field), 1e-9) for run in runs]
    return (
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if over != under else "1"
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
    asked = [
        ask_all_ways(arguments.model, question, retriever.retrieve(question), meter)
        for question in list(QUESTIONS)[: arguments.questions]
    ]
    print(f"\n{len(asked)} questions, {arguments.chunks} chunks of up to {arguments.chunk_tokens} tokens\n")
    report(asked)


if __name__ == "__main__":
    main()
