"""One question on its way to its answer, and what the response's metadata will say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamaindex_sot.answer_run import AnswerRun
from llamaindex_sot.sources.citations import cited_in

if TYPE_CHECKING:
    from llamaindex_sot.everyday import Everyday
    from llamaindex_sot.sources.choosing import Nearest
    from llamaindex_sot.sources.requests import SourcedRequests
    from llamaindex_sot.sources.sources import Sources
    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.method import SkeletonOfThought


class Text(str):
    """The text of an answer, with what the response's metadata will say about it."""

    __slots__ = ("asked",)
    asked: Asked


class Asked:
    """One question on its way to its answer."""

    def __init__(
        self,
        run: SkeletonOfThought,
        sources: Sources,
        requests: SourcedRequests,
        nearest: Nearest | None,
        *,
        empty: str,
        everyday: Everyday,
    ) -> None:
        self._prices = everyday.prices
        self.sources = sources
        self.requests = requests
        self.nearest = nearest
        self.node_ids: list[str] = []
        self.answer_run = AnswerRun(
            run,
            everyday=everyday,
            empty=empty,
            describe=self._describe,
        )

    def _fell_back(self, answer: Answer) -> bool:
        return answer.route == "direct" and self.requests.fell_back

    def _describe(self, answer: Answer) -> dict[str, Any]:
        """The contract, and where the answer comes from."""
        cited = [] if self._fell_back(answer) else cited_in(answer.text, self.sources.count)
        nodes = dict(enumerate(self.node_ids, start=1))
        return {
            **answer.to_dict(self._prices),
            "citations": {
                str(number): nodes[number]
                for number in sorted(cited)
                if number in nodes and number in self.sources.texts
            },
            "removed_citations": self.requests.removed_citations,
            "removed_sentences": self.requests.removed_sentences,
            "context": {
                "given": list(self.sources.texts),
                "shortened": self.sources.shortened,
                "left_out": list(self.sources.left_out),
            },
        }


def asked_nothing() -> dict[str, Any]:
    """What the metadata say of sources where there were none."""
    return {
        "citations": {},
        "removed_citations": 0,
        "removed_sentences": 0,
        "context": {"given": [], "shortened": None, "left_out": []},
    }
