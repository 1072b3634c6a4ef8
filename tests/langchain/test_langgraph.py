"""Inside LangGraph: one message, in order, once, whoever calls the model and however the graph is streamed."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, message_chunk_to_message
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtChain, SkeletonOfThoughtRouter

from .fakes import DIRECT, PROMPTS, QUESTION, FakeChat, added, whole

TITLES = ("Light", "Coffee", "Exercise")
THREE = "1. Light\n2. Coffee\n3. Exercise"
ASKED = {"messages": [("user", QUESTION)]}


def reversed_pace(seen):
    """The last point is the fastest: what is shown as it comes is out of order."""
    return 0.003 * (4 - seen.index) if seen.stage == "point" else 0.0


@pytest.fixture(params=[ChatSkeletonOfThought, SkeletonOfThoughtChain, SkeletonOfThoughtRouter])
def model(request):
    fake = FakeChat(skeleton=THREE, token_seconds=reversed_pace)
    return request.param(model=fake, prompts=PROMPTS, router="always")


def node_of(model, way):
    def invoke(state):
        return {"messages": [model.invoke(state["messages"])]}

    async def ainvoke(state):
        return {"messages": [await model.ainvoke(state["messages"])]}

    def stream(state):
        return {"messages": [message_chunk_to_message(added(list(model.stream(state["messages"]))))]}

    async def astream(state):
        chunks = [chunk async for chunk in model.astream(state["messages"])]
        return {"messages": [message_chunk_to_message(added(chunks))]}

    return {"invoke": invoke, "ainvoke": ainvoke, "stream": stream, "astream": astream}[way]


def graph_of(*nodes, checkpointer=None):
    graph = StateGraph(MessagesState)
    graph.add_sequence(list(nodes))
    graph.add_edge(START, nodes[0][0])
    return graph.compile(checkpointer=checkpointer)


async def parts_of(graph, way, **options):
    if way in {"ainvoke", "astream"}:
        return [part async for part in graph.astream(ASKED, **options)]
    return await asyncio.to_thread(lambda: list(graph.stream(ASKED, **options)))


def check(told, message):
    """Exactly one message id; the pieces joined are the message; more than one piece per point; nothing twice."""
    assert {chunk.id for chunk in told} == {message.id}
    assert "".join(chunk.text for chunk in told) == message.text == whole(TITLES)
    assert len([chunk for chunk in told if chunk.text]) > 3 * len(TITLES)
    assert [chunk.usage_metadata for chunk in told if chunk.usage_metadata] == [message.usage_metadata]


ROUTERS = {
    "no router": "always",
    "chat model": FakeChat(direct="A"),
    "runnable": FakeChat(direct="sot") | RunnableLambda(lambda said: said),
}


@pytest.fixture(params=ROUTERS)
def routed(model, request):
    return model.model_copy(update={"router": ROUTERS[request.param]})


async def test_one_message_in_order_once(routed, way):
    parts = await parts_of(graph_of(("ask", node_of(routed, way))), way, stream_mode=["messages", "values"])
    told = [data[0] for mode, data in parts if mode == "messages"]
    check(told, [data for mode, data in parts if mode == "values"][-1]["messages"][-1])


async def test_in_a_subgraph(model, way):
    inner = graph_of(("ask", node_of(model, way)))
    outer = graph_of(("inner", inner))
    parts = await parts_of(outer, way, stream_mode=["messages", "values"], subgraphs=True)
    told = [data[0] for _, mode, data in parts if mode == "messages"]
    check(told, [data for space, mode, data in parts if mode == "values" and not space][-1]["messages"][-1])


async def test_the_second_form_of_output(model, way):
    graph = graph_of(("ask", node_of(model, way)))
    parts = await parts_of(graph, way, stream_mode=["messages", "values"], version="v2")
    told = [part["data"][0] for part in parts if part["type"] == "messages"]
    check(told, [part["data"] for part in parts if part["type"] == "values"][-1]["messages"][-1])


async def test_updates_values_and_custom(model, way):
    ask = node_of(model, "invoke")

    def node(state):
        get_stream_writer()({"asking": True})
        return ask(state)

    parts = await parts_of(graph_of(("ask", node)), way, stream_mode=["updates", "values", "custom"])
    modes = [mode for mode, _ in parts]
    assert modes == ["values", "custom", "updates", "values"]
    assert parts[2][1]["ask"]["messages"][0].text == whole(TITLES)
    assert [message.type for message in parts[-1][1]["messages"]] == ["human", "ai"]


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_events_of_the_third_version(model, way):
    graph = graph_of(("ask", node_of(model, "ainvoke" if way == "astream" else "invoke")))
    if way == "astream":
        run = await graph.astream_events(ASKED, version="v3")
        streams = [stream async for stream in run.messages]
        texts = [await stream.text for stream in streams]
    else:
        run = graph.stream_events(ASKED, version="v3")
        texts = [str(stream.text) for stream in run.messages]
    assert texts == [whole(TITLES)]


async def test_chat_model_events_of_a_graph_are_in_order(routed):
    graph = graph_of(("ask", node_of(routed, "ainvoke")))
    events = [event async for event in graph.astream_events(ASKED, version="v2")]
    streamed = [event for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(event["data"]["chunk"].text for event in streamed) == whole(TITLES)
    assert len({event["run_id"] for event in streamed}) == 1


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_memory_of_several_turns(model, way):
    graph = graph_of(("ask", node_of(model, way)), checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    for _ in range(2):
        if way == "ainvoke":
            state = await graph.ainvoke(ASKED, config)
        else:
            state = await asyncio.to_thread(graph.invoke, ASKED, config)
    assert [message.type for message in state["messages"]] == ["human", "ai"] * 2
    seen = model.model.log.of("skeleton")[-1].messages
    assert [message.type for message in seen] == ["human", "ai", "human"]
    assert seen[1].text == whole(TITLES)
    assert len({message.id for message in state["messages"]}) == 4


def test_an_interrupt_before_and_after_the_answer(model):
    def approve(state):
        return {"messages": [HumanMessage(interrupt("more?"))]}

    ask = node_of(model, "invoke")
    graph = graph_of(("ask", ask), ("approve", approve), ("again", ask), checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    assert graph.invoke(ASKED, config)["__interrupt__"][0].value == "more?"
    before = len(model.model.log.seen)
    state = graph.invoke(Command(resume="And then?"), config)
    assert [message.type for message in state["messages"]] == ["human", "ai", "human", "ai"]
    assert len(model.model.log.seen) == 2 * before, "the answer before the interrupt is not asked for again"


class Branches(TypedDict):
    messages: Annotated[list, add_messages]


async def test_parallel_branches_that_each_call_the_model(model):
    graph = StateGraph(Branches)
    for name in ("left", "right"):
        graph.add_node(name, node_of(model, "ainvoke"))
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    parts = [part async for part in graph.compile().astream(ASKED, stream_mode=["messages", "values"])]
    answers = [data for mode, data in parts if mode == "values"][-1]["messages"][1:]
    told = [data for mode, data in parts if mode == "messages"]
    assert {meta["langgraph_node"] for _, meta in told} == {"left", "right"}
    for answer in answers:
        check([chunk for chunk, _ in told if chunk.id == answer.id], answer)


async def test_a_running_graph_that_is_cancelled_stops_every_request(model):
    model.model.token_seconds = lambda seen: 0.02
    graph = graph_of(("ask", node_of(model, "ainvoke")))
    parts = graph.astream(ASKED, stream_mode="messages")
    async for chunk, _ in parts:
        if "All" in chunk.text:
            break
    await parts.aclose()
    for _ in range(100):
        if not model.model.log.running:
            break
        await asyncio.sleep(0.02)
    assert model.model.log.running == 0
    assert {seen.outcome for seen in model.model.log.of("point")} == {"cancelled"}


async def test_a_direct_answer_is_told_once_too(way):
    for kind in (ChatSkeletonOfThought, SkeletonOfThoughtRouter):
        model = kind(model=FakeChat(), prompts=PROMPTS, router="never")
        parts = await parts_of(
            graph_of(("ask", node_of(model, way))), way, stream_mode=["messages", "values"]
        )
        told = [data[0] for mode, data in parts if mode == "messages"]
        message = [data for mode, data in parts if mode == "values"][-1]["messages"][-1]
        assert isinstance(message, AIMessage)
        assert {chunk.id for chunk in told} == {message.id}
        assert "".join(chunk.text for chunk in told) == message.text == DIRECT
