"""The lexical router on questions of somebody else: one writer's part, one kind or one language left out of training.

    python benchmarks/routing_left_out.py part c
    python benchmarks/routing_left_out.py category derivation
    python benchmarks/routing_left_out.py language de

Prints accuracy, F1, false-positive rate and calibration error on what was left out: with the share of suitable
questions the weights are made for, and told the share there is.
"""

from __future__ import annotations

import sys

from skeleton_of_thought.routing import read_questions
from skeleton_of_thought.routing.decision import Question
from skeleton_of_thought.routing.features import features
from skeleton_of_thought.routing.labels import shipped_questions
from skeleton_of_thought.routing.training.linear import train_lexical
from skeleton_of_thought.routing.training.metrics import Scores, calibration_error


def main(by: str, group: str) -> None:
    questions = read_questions(shipped_questions())
    left_out = [question for question in questions if getattr(question, by) == group]
    model = train_lexical([question for question in questions if getattr(question, by) != group]).model
    labels = [question.suitable for question in left_out]
    share = sum(labels) / len(labels)
    print(f"{by} {group} left out: {len(labels)} questions, {share:.2f} suitable")
    for told, head in (("as shipped", model), ("told the share", model.for_share(share))):
        stated = [head.probability(features(Question.of(question.messages))) for question in left_out]
        scores = Scores.of([each >= head.threshold for each in stated], labels)
        print(
            f"  {told}: accuracy {scores.accuracy:.3f}, F1 {scores.f1:.3f}, false positives "
            f"{scores.false_positive_rate:.3f}, ECE {calibration_error(stated, labels):.3f}"
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
