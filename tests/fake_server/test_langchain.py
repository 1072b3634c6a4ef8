from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.exceptions import ModelError, ModelRateLimitError
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from skeleton_of_thought.usage import Usage

from .asking import CLAUDE, GPT

QUESTION = "Give the skeleton of an answer: why do we sleep?"


@pytest.fixture(params=["openai", "anthropic"])
def chat_model(request, server):
    if request.param == "openai":
        return ChatOpenAI(
            model=GPT, base_url=f"{server.url}/v1", api_key="fake", max_retries=0, stream_usage=True
        )
    return ChatAnthropic(model=CLAUDE, base_url=server.url, api_key="fake", max_retries=0)  # type: ignore[call-arg]


async def test_all_ways_to_ask_give_one_answer_and_one_bill(chat_model, server):
    handler = UsageMetadataCallbackHandler()
    config = {"callbacks": [handler]}
    texts = [
        chat_model.invoke(QUESTION, config).text,
        (await chat_model.ainvoke(QUESTION, config)).text,
        "".join(chunk.text for chunk in chat_model.stream(QUESTION, config)),
        "".join([chunk.text async for chunk in chat_model.astream(QUESTION, config)]),
    ]
    assert len(set(texts)) == 1
    assert texts[0].startswith("1. ")
    (usage,) = handler.usage_metadata.values()
    assert server.ledger.usage() == Usage(usage["input_tokens"], usage["output_tokens"])
    assert all(entry.reported for entry in server.ledger.entries)


def test_errors_are_langchains(chat_model, server):
    server.faults.add("rate_limit", times=1)
    with pytest.raises(ModelRateLimitError):
        chat_model.invoke(QUESTION)
    server.faults.add("unauthorized")
    with pytest.raises(ModelError) as caught:
        chat_model.invoke(QUESTION)
    assert not caught.value.is_retryable


def test_a_partial_answer_reaches_the_server(chat_model):
    text = chat_model.invoke([HumanMessage(QUESTION), AIMessage("1.")]).text
    assert not text.startswith("1.")


def test_the_cache_shows_in_the_usage(chat_model, server):
    text = "word " * 1500
    block: dict[str, Any] = {"type": "text", "text": text}
    if isinstance(chat_model, ChatAnthropic):
        block["cache_control"] = {"type": "ephemeral"}
    message = HumanMessage([block, {"type": "text", "text": QUESTION}])
    chat_model.invoke([message])
    usage = chat_model.invoke([message]).usage_metadata
    assert usage["input_token_details"]["cache_read"] == server.ledger.entries[1].cache_read_tokens >= 1400
    assert usage["input_tokens"] == server.ledger.entries[1].input_tokens


class Outline(BaseModel):
    """Points of an answer."""

    titles: list[str]


def test_structured_output(chat_model):
    outline = chat_model.with_structured_output(Outline, method="json_schema").invoke(QUESTION)
    assert len(outline.titles) >= 3
