"""`create_agent` with `ChatSkeletonOfThought`: tools, response formats, middleware, and the answer streamed."""

from __future__ import annotations

import re

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ModelFallbackMiddleware,
    SummarizationMiddleware,
    wrap_model_call,
)
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from langchain_sot import ChatSkeletonOfThought
from langchain_sot.middleware import SkeletonOfThoughtMiddleware

from .fakes import PROMPTS, QUESTION, BusyError, FakeChat, whole

TITLES = ("Light", "Coffee", "Exercise")
ASKED = {"messages": [("user", QUESTION)]}


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiplies."""
    return a * b


class Sum(BaseModel):
    """A sum."""

    value: int


class Agentic(FakeChat):
    """Adds, then multiplies, then answers; with `Sum` bound it gives one."""

    skeleton: str = "1. Light\n2. Coffee\n3. Exercise"

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _tokens(self, seen):
        names = [tool["function"]["name"] for tool in seen.kwargs.get("tools") or ()]
        if not names:
            return super()._tokens(seen)
        results = [message.text for message in seen.messages if isinstance(message, ToolMessage)]
        if "Sum" in names:
            return [called("Sum", value=5)]
        if not results:
            return [called("add", a=1, b=2)]
        if len(results) == 1:
            return [called("multiply", a=int(results[0]), b=2)]
        return [
            AIMessageChunk(content=word)
            for word in re.findall(r"\s*\S+", f"It comes to {results[-1]} in all.")
        ]


def called(name, **args):
    return AIMessageChunk(content="", tool_calls=[{"name": name, "args": args, "id": f"call-{name}"}])


@pytest.fixture
def model():
    return ChatSkeletonOfThought(model=Agentic(), prompts=PROMPTS, router="always")


async def test_without_tools_the_answer_goes_by_skeleton(model):
    agent = create_agent(model=model, tools=[])
    parts = [part async for part in agent.astream(ASKED, stream_mode="messages")]
    assert len({chunk.id for chunk, _ in parts}) == 1
    assert "".join(chunk.text for chunk, _ in parts) == whole(TITLES)
    assert agent.invoke(ASKED)["messages"][-1].response_metadata["sot"]["route"] == "sot"


async def test_a_task_that_needs_two_tools(model):
    agent = create_agent(model=model, tools=[add, multiply])
    messages = (await agent.ainvoke(ASKED))["messages"]
    assert [type(message).__name__ for message in messages] == [
        "HumanMessage", "AIMessage", "ToolMessage", "AIMessage", "ToolMessage", "AIMessage",
    ]  # fmt: skip
    assert messages[-1].text == "It comes to 6 in all."
    parts = [part async for part in agent.astream(ASKED, stream_mode="messages")]
    last = [chunk for chunk, _ in parts if isinstance(chunk, AIMessageChunk)][-1].id
    streamed = [chunk.text for chunk, _ in parts if chunk.id == last]
    assert "".join(streamed) == messages[-1].text
    assert len([text for text in streamed if text]) > 3


def test_a_response_format(model):
    agent = create_agent(model=model, tools=[], response_format=Sum)
    assert agent.invoke(ASKED)["structured_response"] == Sum(value=5)


def test_middleware_that_wants_a_chat_model(model):
    seen = []

    @wrap_model_call
    def watch(request, handler):
        seen.append(request.model)
        return handler(request)

    summary = SummarizationMiddleware(model=model, trigger=("messages", 4), keep=("messages", 2))
    agent = create_agent(model=model, tools=[], middleware=[summary, watch])
    history = [("user", "Hello"), ("ai", "Hi."), ("user", "More"), ("ai", "Yes."), ("user", QUESTION)]
    messages = agent.invoke({"messages": history})["messages"]
    assert seen == [model]
    assert isinstance(messages[0], HumanMessage)
    assert "summary" in messages[0].text
    assert messages[-1].text == whole(TITLES)


def test_a_fallback(model):
    broken = ChatSkeletonOfThought(
        model=Agentic(fault=lambda seen: BusyError("down")), prompts=PROMPTS, router="always", retries=0
    )
    agent = create_agent(model=broken, tools=[], middleware=[ModelFallbackMiddleware(model)])
    message = agent.invoke(ASKED)["messages"][-1]
    assert isinstance(message, AIMessage)
    assert message.text == whole(TITLES)


async def test_our_middleware_writes_only_the_final_answer_by_skeleton():
    plain = Agentic()
    ours = SkeletonOfThoughtMiddleware(prompts=PROMPTS, router="always")
    message = create_agent(model=plain, tools=[], middleware=[ours]).invoke(ASKED)["messages"][-1]
    assert message.text == whole(TITLES)
    assert message.response_metadata["sot"]["route"] == "sot"

    @wrap_model_call
    async def last_step_without_tools(request, handler):
        results = [each for each in request.messages if isinstance(each, ToolMessage)]
        if len(results) == 2:
            kept = [each for each in request.messages if isinstance(each, HumanMessage)]
            request = request.override(tools=[], messages=kept)
        return await handler(request)

    agent = create_agent(model=plain, tools=[add, multiply], middleware=[last_step_without_tools, ours])
    messages = (await agent.ainvoke(ASKED))["messages"]
    assert [bool(message.response_metadata.get("sot")) for message in messages if message.type == "ai"] == [
        False, False, True,
    ]  # fmt: skip
    assert messages[-1].text == whole(TITLES)


def test_our_middleware_leaves_a_response_format_alone():
    ours = SkeletonOfThoughtMiddleware(prompts=PROMPTS, router="always")
    agent = create_agent(model=Agentic(), tools=[], response_format=Sum, middleware=[ours])
    assert agent.invoke(ASKED)["structured_response"] == Sum(value=5)
