"""Probabilities for another share of suitable questions, and how sure a router may be."""

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import LabelledQuestion, LexicalRouter, get_router, read_questions
from skeleton_of_thought.routing.labels import shipped_questions
from skeleton_of_thought.routing.linear import LinearModel, log_odds
from skeleton_of_thought.routing.training.linear import LinearOptions, train_linear

QUESTION = [Message("user", "How could a small museum attract families?")]


def test_the_odds_follow_the_share() -> None:
    model = LinearModel(0.0, {"a": 0.5}, share=0.5)
    fewer = model.for_share(0.2)
    assert log_odds(fewer.probability({"a": 1.0})) == pytest.approx(0.5 + log_odds(0.2), abs=0.1)
    assert fewer.for_share(0.5).bias == pytest.approx(model.bias)
    assert model.for_share(None) is model


def test_a_router_is_told_the_share() -> None:
    rare, common = (LexicalRouter(share=share).probability(QUESTION) for share in (0.05, 0.6))
    assert rare < LexicalRouter().probability(QUESTION) < common
    named = get_router("lexical", share=0.05)
    assert isinstance(named, LexicalRouter)
    assert named.probability(QUESTION) == rare


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 27])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match="is no share of suitable questions"):
        get_router("lexical", share=share)


def test_no_router_is_ever_sure() -> None:
    router = LexicalRouter()
    stated = [router.probability(question.messages) for question in read_questions(shipped_questions())[::40]]
    assert 0.04 < min(stated) < 0.1
    assert 0.85 < max(stated) < 0.96


def test_a_question_read_in_two_ways_is_both_and_counts_half() -> None:
    agreed = LabelledQuestion("Why?", suitable=True, second=True)
    apart = LabelledQuestion("Why?", suitable=True, second=False)
    assert agreed.targets == LabelledQuestion("Why?", suitable=True).targets == ((True, 1.0),)
    assert sum(weight for _, weight in apart.targets) == 0.5
    assert {label for label, _ in apart.targets} == {True, False}


@pytest.mark.slow
def test_disagreement_makes_a_model_less_sure() -> None:
    values = [{"a": 1.0}] * 40 + [{"b": 1.0}] * 40
    labels = [True] * 40 + [False] * 40
    torn = [((True, 0.25), (False, 0.25))] * 20 + [((label, 1.0),) for label in labels[20:]]
    options = LinearOptions(strength=1.0, share=0.5)
    sure = train_linear(values, labels, options=options).model.probability({"a": 1.0})
    assert train_linear(values, labels, targets=torn, options=options).model.probability({"a": 1.0}) < sure


def test_a_fold_leaves_whole_writers_out() -> None:
    """A feature that only tells within one writer's part is no reason to be sure."""
    values = [
        {f"writer {row % 5} likes": 1.0} if row % 2 else {f"writer {row % 5} avoids": 1.0}
        for row in range(200)
    ]
    labels = [bool(row % 2) for row in range(200)]
    writers = [str(row % 5) for row in range(200)]
    options = LinearOptions(strength=1.0, share=0.5)
    together = train_linear(values, labels, options=options)
    apart = train_linear(values, labels, groups=writers, options=options)
    assert max(together.held_out) > 0.9
    assert max(apart.held_out) < 0.6
