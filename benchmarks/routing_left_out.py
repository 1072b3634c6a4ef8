"""A router on questions of somebody else: one writer's part, one kind or one language left out of training.

    python benchmarks/routing_left_out.py part c
    python benchmarks/routing_left_out.py part d --base embedding
    python benchmarks/routing_left_out.py category derivation
    python benchmarks/routing_left_out.py language de

Prints accuracy, F1, false-positive rate and calibration error on what was left out: with the share of suitable
questions the weights are made for, and told the share there is.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from skeleton_of_thought.routing import read_questions
from skeleton_of_thought.routing.decision import Question
from skeleton_of_thought.routing.embedding import Encoder
from skeleton_of_thought.routing.features import features
from skeleton_of_thought.routing.labels import shipped_questions
from skeleton_of_thought.routing.training.linear import train_embedding, train_lexical
from skeleton_of_thought.routing.training.metrics import Scores, calibration_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.routing.labels import LabelledQuestion


def seen_by(base: str, questions: Sequence[LabelledQuestion]) -> list[dict[str, float]]:
    """What the router sees of each question."""
    looks = [features(Question.of(question.messages)) for question in questions]
    if base == "lexical":
        return looks
    meanings = Encoder(None).features([question.request for question in questions])
    return [look | meaning for look, meaning in zip(looks, meanings, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("by", choices=["part", "category", "language"])
    parser.add_argument("group")
    parser.add_argument("--base", choices=["lexical", "embedding"], default="lexical")
    given = parser.parse_args()
    questions = read_questions(shipped_questions())
    left_out = [question for question in questions if getattr(question, given.by) == given.group]
    rest = [question for question in questions if getattr(question, given.by) != given.group]
    model = (train_lexical if given.base == "lexical" else train_embedding)(rest).model
    labels = [question.suitable for question in left_out]
    share = sum(labels) / len(labels)
    print(f"{given.base}, {given.by} {given.group} left out: {len(labels)} questions, {share:.2f} suitable")
    seen = seen_by(given.base, left_out)
    for told, head in (("as shipped", model), ("told the share", model.for_share(share))):
        stated = [head.probability(each) for each in seen]
        scores = Scores.of([each >= head.threshold for each in stated], labels)
        print(
            f"  {told}: accuracy {scores.accuracy:.3f}, F1 {scores.f1:.3f}, false positives "
            f"{scores.false_positive_rate:.3f}, ECE {calibration_error(stated, labels):.3f}"
        )


if __name__ == "__main__":
    main()
