"""Agents over a real client and a server: its tool calls come through, its last answer is streamed, the bill is the server's."""

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import UsageMetadataCallbackHandler

from langchain_sot import ChatSkeletonOfThought
from langchain_sot.middleware import SkeletonOfThoughtMiddleware
from skeleton_of_thought.fake_server import PlausibleAnswers

TASK = "Please add 3 and 4 for me, then multiply 5 by 6, and tell me what came out of both."
QUESTION = "What are the advantages of keeping bees in a city garden?"


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiplies."""
    return a * b


@pytest.fixture(autouse=True)
def _answers(server):
    server.provider.answer = PlausibleAnswers(points=4, words=200)


def total(handler):
    return sum(usage["total_tokens"] for usage in handler.usage_metadata.values())


async def test_an_agent_with_two_tools_uses_both_and_streams_its_last_answer(model, server):
    agent = create_agent(ChatSkeletonOfThought(model=model), tools=[add, multiply])
    usage, pieces, state = UsageMetadataCallbackHandler(), [], {}
    asked = {"messages": [("user", TASK)]}
    async for mode, part in agent.astream(asked, {"callbacks": [usage]}, stream_mode=["messages", "values"]):
        if mode == "values":
            state = part
        else:
            pieces.append(part[0])
    messages = state["messages"]
    assert [message.text for message in messages if message.type == "tool"] == ["7", "30"]
    last = messages[-1]
    told = [piece for piece in pieces if piece.id == last.id and piece.text]
    assert len(told) > 20
    assert "".join(piece.text for piece in told) == last.text
    assert len(server.ledger.entries) == 3
    assert total(usage) == sum(entry.usage.total_tokens for entry in server.ledger.entries)


async def test_an_agent_without_tools_answers_by_skeleton(model, server):
    agent = create_agent(ChatSkeletonOfThought(model=model), tools=[])
    usage, pieces = UsageMetadataCallbackHandler(), []
    async for piece, _ in agent.astream(
        {"messages": [("user", QUESTION)]}, {"callbacks": [usage]}, stream_mode="messages"
    ):
        pieces.append(piece)
    assert len({piece.id for piece in pieces}) == 1
    assert "".join(piece.text for piece in pieces).count("\n\n**") == 4
    assert len(server.ledger.entries) == 5
    assert total(usage) == sum(entry.usage.total_tokens for entry in server.ledger.entries)


def test_middleware_writes_the_final_answer_by_skeleton(model, server):
    agent = create_agent(model, tools=[], middleware=[SkeletonOfThoughtMiddleware()])
    message = agent.invoke({"messages": [("user", QUESTION)]})["messages"][-1]
    assert message.response_metadata["sot"]["route"] == "sot"
    assert message.usage_metadata["total_tokens"] == sum(
        entry.usage.total_tokens for entry in server.ledger.entries
    )
