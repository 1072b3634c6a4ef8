"""Tokens are counted once, however often a stream tells them, and what nobody told is not 0."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace as Object

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought import Answer, Message, RunSettings, SkeletonOfThought, Usage, view
from skeleton_of_thought.prices import Price
from skeleton_of_thought.reported import Reported, ReportedPieces
from skeleton_of_thought.usage import UNKNOWN, told_tokens

counts = st.integers(0, 50)
usages = st.builds(Usage, *[counts | st.none()] * 4)


@given(usages, usages)
def test_a_sum_is_known_where_all_of_it_is(one, other):
    for added, first, second in zip((one + other).counts, one.counts, other.counts, strict=True):
        assert added == (None if None in (first, second) else first + second)
    assert ((one + other) - other).counts == (one + other - other).counts
    assert one + Usage() == one


@given(st.integers(1, 50), st.lists(st.integers(0, 9), min_size=1))
def test_totals_that_grow_come_to_the_last_one(prompt, steps):
    """vLLM's continuous usage: the prompt in every piece, and the answer so far."""
    for reported in (Reported().grown_to, partial(Reported().piece, only_totals=False)):
        added = [reported(Usage(prompt, sum(steps[: place + 1]))) for place in range(len(steps))]
        assert sum(added, Usage()) == Usage(prompt, sum(steps))


@given(st.integers(1, 50), st.lists(counts, min_size=1))
def test_pieces_of_which_one_names_the_prompt_are_added_up(prompt, answers):
    """LangChain's convention, which its standard tests hold models to; Gemini's and Bedrock's pieces are such."""
    reported = Reported()
    told = [Usage(prompt if place == 0 else 0, answer) for place, answer in enumerate(answers)]
    assert sum((reported.piece(each, only_totals=False) for each in told), Usage()) == sum(told, Usage())


def piece(prompt, answer, provider=None, **details):
    usage = {"input_tokens": prompt, "output_tokens": answer, "total_tokens": prompt + answer}
    return Object(
        usage_metadata={**usage, "input_token_details": details},
        response_metadata={"model_provider": provider} if provider else {},
    )


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([piece(9, 4), piece(9, 4)], Usage(9, 4)),  # said in the last piece of text, and again behind it
        ([piece(9, 3, "anthropic"), piece(9, 8)], Usage(9, 8)),  # message_delta twice
        ([piece(9, 0, "anthropic"), piece(0, 3), piece(0, 8)], Usage(9, 8)),
        ([piece(9, 0), piece(0, 3), piece(0, 8)], Usage(9, 11)),
        ([piece(9, 4), piece(20, 6)], Usage(29, 10)),  # two requests, one after the other
        ([piece(9, 4), piece(9, 3)], Usage(18, 7)),
        ([piece(9, 4, "openai"), piece(20, 6), piece(20, 7)], Usage(29, 11)),
        ([Object(usage_metadata={"total_cost": 0}, response_metadata={}), Object()], Usage()),
        ([piece(9, 4, cache_creation=0, ephemeral_5m_input_tokens=2, ephemeral_1h_input_tokens=3)],
         Usage(9, 4, 0, 5)),
    ],
)  # fmt: skip
def test_what_the_pieces_of_a_langchain_model_come_to(pieces, expected):
    reported = ReportedPieces()
    assert sum(map(reported.added, pieces), Usage()) == expected


@pytest.mark.parametrize(
    ("told", "wrote", "expected"),
    [
        (Usage(), True, UNKNOWN),
        (Usage(9, 0), True, Usage(9, None)),
        (Usage(9, 0), False, Usage(9, 0)),
        (Usage(0, 4), True, Usage(None, 4)),
        (Usage(9, 4, 1, 2), True, Usage(9, 4, 1, 2)),
    ],
)
def test_a_zero_that_cannot_be_is_unknown(told, wrote, expected):
    assert told.of_answered(wrote=wrote) == expected


@pytest.mark.parametrize(
    ("price", "usage", "money"),
    [
        (Price(input=1e6, output=2e6), Usage(3, None), None),
        (Price(input=1e6, output=2e6), Usage(3, 4), 11),
        (Price(input=0, output=0), UNKNOWN, 0),  # a model of one's own
        (Price(input=1e6, output=0), Usage(3, None), 3),
        (Price(input=2e6, output=0, cache_read=1e6), Usage(3, 0, None), None),
        (Price(input=2e6, output=0), Usage(3, 0, None, None), 6),
    ],
)
def test_a_cost_is_unknown_where_a_count_it_needs_is(price, usage, money):
    assert price.of(usage) == money


def test_an_answer_whose_provider_told_one_request_only():
    run = SkeletonOfThought([Message("user", "How do I sleep better?")])
    run.start()
    run.done("skeleton", "1. Dark room\n2. No coffee", Usage(50, 9))
    run.done("point:1", "Curtains.")
    run.done("point:2", "Tea.", Usage(20, 4))
    answer = run.answer
    price = dict.fromkeys(("opening", "skeleton", "point", "direct"), Price(input=1, output=1))
    told = answer.to_dict(price)
    assert told["usage"] == {"input_tokens": None, "output_tokens": None, "total_tokens": None}
    assert [point["usage"]["output_tokens"] for point in told["points"]] == [None, 4]
    assert told["bill"]["stages"]["skeleton"]["input_tokens"] == 50
    assert told["bill"]["cost"]["total"] is None
    assert told["bill"]["cost"]["plain"] is None
    assert "tokens unknown" in view(answer)._repr_html_()


def test_a_request_that_failed_counts_what_it_told():
    run = SkeletonOfThought([Message("user", "How do I sleep better?")], settings=RunSettings(retries=0))
    run.start()
    run.failed("skeleton", ConnectionError("reset"))
    run.done("direct", "Go to bed.", Usage(5, 3))
    assert run.answer.usage == Usage(5, 3)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ((1200, 5), "1,200 tokens in, 5 out"),
        ((None, 5), "unknown tokens in, 5 out"),
        ((None, None), "tokens unknown"),
    ],
)
def test_tokens_as_a_reader_sees_them(tokens, said):
    assert told_tokens(*tokens) == said
    assert said in view(Answer("It is 4.", "direct", "a sum", usage=Usage(*tokens)))._repr_markdown_()
