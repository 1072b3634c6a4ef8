"""What a provider tells of its tokens, in the metadata of an answer that came through LlamaIndex."""

from __future__ import annotations

from types import SimpleNamespace as Object

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from llamaindex_sot import SkeletonOfThoughtSynthesizer
from llamaindex_sot.calls import _ResponseReader
from llamaindex_sot.messages import usage_of
from skeleton_of_thought import Usage

from .fakes import ChatLLM, Script, nodes


def response(**usage):
    return ChatResponse(message=ChatMessage(content="a"), delta="a", raw={"usage": usage} if usage else None)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
         Usage(9, 2, 4)),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 3},
         Usage(18, 2, 10, 3)),
        ({"input_tokens": 5, "output_tokens": 2,
          "cache_creation": Object(ephemeral_5m_input_tokens=20, ephemeral_1h_input_tokens=100)},
         Usage(125, 2, 0, 120)),
        ({"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 120,
          "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 100}},
         Usage(125, 2, 0, 120)),
        ({"prompt_tokens": None, "completion_tokens": 2}, Usage(0, 2)),
    ],
)  # fmt: skip
def test_a_responses_tokens_with_those_of_the_cache(usage, expected):
    assert usage_of(response(**usage)) == expected


@pytest.mark.parametrize(
    "told",
    [
        [{"prompt_tokens": 9, "completion_tokens": 1}, {"prompt_tokens": 9, "completion_tokens": 5}],
        [
            {"prompt_tokens": 9, "completion_tokens": 5},
            {},
            {"prompt_tokens": None, "completion_tokens": None},
        ],
        [{"input_tokens": 9, "output_tokens": 1}, {"output_tokens": 3}, {"output_tokens": 5}],
    ],
)
def test_totals_in_several_responses_count_once(told):
    reading = _ResponseReader()
    for usage in told:
        reading.take(response(**usage), streamed=True)
    assert reading.bill.usage == Usage(9, 5)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"choices": [Object(finish_reason="stop")]}, "stop"),
        ({"stop_reason": "end_turn"}, "end_turn"),
        ({"candidates": [{"finish_reason": Object(name="MAX_TOKENS")}]}, "max_tokens"),
        ({"done_reason": "length"}, "length"),
        ({"choices": []}, None),
    ],
)
def test_a_bill_says_why_the_answer_ended_though_its_last_piece_does_not(raw, reason):
    reading = _ResponseReader()
    for each in ({"choices": [Object(finish_reason=None)]}, raw, {"usage": {"prompt_tokens": 9}}):
        reading.take(ChatResponse(message=ChatMessage(content="a"), delta="a", raw=each), streamed=True)
    assert reading.bill.finish_reason == reason
    assert reading.bill.truncated == (reason in {"max_tokens", "length"})


def test_what_a_provider_does_not_tell_is_unknown(monkeypatch):
    llm = ChatLLM(Script())
    monkeypatch.setattr("tests.llamaindex.fakes.usage", lambda *_: None)
    sot = SkeletonOfThoughtSynthesizer(llm).synthesize("How do I keep slugs away?", nodes()).metadata["sot"]
    assert sot["points"]
    assert set(sot["usage"].values()) == {None}
