"""What LangChain sees: one root run with named children, events, and a bill that adds up."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextvars import ContextVar

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.context import register_configure_hook

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought.routing import FixedRouter
from tests.fixtures.traces import Tracer

from .fakes import PROMPTS, QUESTION, SKELETON, TITLES, BusyError, FakeChat, ask, point_text, whole

NAMES = ["skeleton", *(f"point {number}" for number in range(1, 9))]


class Events(BaseCallbackHandler):
    def __init__(self):
        self.seen = []

    def on_custom_event(self, name, data, *, run_id, tags=None, metadata=None, **kwargs):
        self.seen.append((name, data, run_id, metadata))


class AsyncEvents(AsyncCallbackHandler):
    def __init__(self):
        self.seen = []

    async def on_custom_event(self, name, data, *, run_id, tags=None, metadata=None, **kwargs):
        await asyncio.sleep(0)
        self.seen.append((name, data, run_id, metadata))


def new_chain(**options):
    model = FakeChat(**{name: options.pop(name) for name in ("skeleton", "fault") if name in options})
    return SkeletonOfThoughtChain(model=model, prompts=PROMPTS, **options)


async def traced(chain, way, **config):
    tracer = Tracer()
    message = await ask(chain, way, config={"callbacks": [tracer], **config})
    (root,) = tracer.roots
    return root, message


async def test_one_root_with_a_named_child_for_every_request(way):
    root, _ = await traced(new_chain(), way, run_name="answer", tags=["mine"], metadata={"user": 7})
    assert (root.name, root.run_type) == ("answer", "chain")
    assert sorted(run.name for run in root.child_runs) == sorted(NAMES)
    for run in root.child_runs:
        assert run.run_type == "chat_model"
        assert run.parent_run_id == root.id
        assert f"sot:{run.name.replace(' ', ':')}" in run.tags
        assert "mine" in run.tags
        assert run.extra["metadata"]["user"] == 7
        assert run.error is None
    assert root.outputs["output"].text == whole()


async def test_the_root_is_named_after_the_class(way):
    root, _ = await traced(new_chain(), way)
    assert root.name == "SkeletonOfThoughtChain"


async def test_runs_nest_inside_a_pipeline(way):
    pipeline = (RunnableLambda(lambda x: x) | new_chain()).with_config(run_name="outer")
    root, _ = await traced(pipeline, way)
    (chain,) = [run for run in root.child_runs if run.name == "SkeletonOfThoughtChain"]
    assert len(chain.child_runs) == 9


async def test_a_retried_model_keeps_the_names(way):
    chain = SkeletonOfThoughtChain(model=FakeChat().with_retry(), prompts=PROMPTS)
    root, _ = await traced(chain, way)
    assert sorted(run.name for run in root.child_runs) == sorted(NAMES)


async def test_a_router_that_is_a_runnable_is_a_child(way):
    chain = new_chain(router=RunnableLambda(lambda messages: "sot"))
    root, _ = await traced(chain, way)
    assert root.child_runs[0].name == "route"
    assert "sot:route" in root.child_runs[0].tags


async def test_a_failed_attempt_is_a_child_with_its_error(way):
    chain = new_chain(fault=lambda seen: BusyError("busy") if seen.index == 2 and seen.attempt == 1 else None)
    root, _ = await traced(chain, way)
    twice = [run for run in root.child_runs if run.name == "point 2"]
    assert [run.error is None for run in twice] == [False, True]
    assert root.error is None


async def test_a_failed_run_is_a_root_with_its_error(way):
    tracer = Tracer()
    with pytest.raises(BusyError):
        await ask(new_chain(fault=lambda seen: BusyError("down")), way, config={"callbacks": [tracer]})
    (root,) = tracer.roots
    assert "down" in root.error


# Custom events.


HEARD = ContextVar("heard", default=None)
register_configure_hook(HEARD, inheritable=False)


async def test_a_handler_that_children_do_not_inherit_hears_the_progress(way):
    handler = Events()
    token = HEARD.set(handler)
    try:
        await ask(SkeletonOfThoughtChain(model=FakeChat(skeleton=SKELETON), prompts=PROMPTS), way, QUESTION)
    finally:
        HEARD.reset(token)
    assert [name for name, *_ in handler.seen].count("sot_point_end") == 8


@pytest.mark.parametrize("kind", [Events, AsyncEvents])
async def test_custom_events_tell_the_progress(way, kind):
    handler = kind()
    await ask(new_chain(), way, config={"callbacks": [handler], "metadata": {"user": 7}})
    names = [name for name, *_ in handler.seen]
    assert Counter(names) == {"sot_skeleton": 1, "sot_point_start": 8, "sot_point_end": 8}
    assert names[0] == "sot_skeleton"
    (payload,) = [data for name, data, *_ in handler.seen if name == "sot_skeleton"]
    assert payload["skeleton"] == SKELETON
    assert payload["points"] == [{"index": n, "title": title} for n, title in enumerate(TITLES, start=1)]
    starts = [data for name, data, *_ in handler.seen if name == "sot_point_start"]
    assert starts == [{"index": n, "title": title, "attempt": 1} for n, title in enumerate(TITLES, start=1)]
    ends = {data["index"]: data for name, data, *_ in handler.seen if name == "sot_point_end"}
    assert {index: data["text"] for index, data in ends.items()} == {
        n: point_text(title) for n, title in enumerate(TITLES, start=1)
    }
    assert set(ends[1]) == {
        *("index", "title", "text", "status", "error", "start", "seconds", "usage"),
        *("form", "after", "finish_reason"),
    }
    assert len({run_id for _, _, run_id, _ in handler.seen}) == 1
    assert all(metadata["user"] == 7 for *_, metadata in handler.seen)


@pytest.mark.parametrize("call", ["stream", "astream"])
async def test_events_of_a_stream_come_while_it_runs(call):
    handler = Events()
    chain = new_chain()
    chain.model.token_seconds = lambda seen: 0.03 if seen.stage == "point" else 0.0
    task = asyncio.create_task(ask(chain, call, config={"callbacks": [handler]}))
    while not handler.seen:  # noqa: ASYNC110 - a handler in a thread sets no asyncio event
        await asyncio.sleep(0.005)
    assert "sot_point_end" not in [name for name, *_ in handler.seen]
    assert not task.done()
    await task


async def test_astream_events():
    chain = new_chain()
    events = [event async for event in chain.astream_events(QUESTION, version="v2")]
    root = events[0]["run_id"]
    assert (events[0]["event"], events[-1]["event"]) == ("on_chain_start", "on_chain_end")
    assert events[-1]["data"]["output"].text == whole()
    assert Counter(event["event"] for event in events if event["event"].startswith("on_custom")) == {
        "on_custom_event": 17
    }
    streamed = "".join(
        event["data"]["chunk"].text
        for event in events
        if event["event"] == "on_chain_stream" and event["run_id"] == root
    )
    assert streamed == whole()
    told = [event for event in events if event["event"] == "on_chat_model_stream"]
    assert {event["name"] for event in told} == {"answer"}, "nobody hears a point's tokens out of order"
    assert "".join(event["data"]["chunk"].text for event in told) == whole()
    assert all(event["parent_ids"] == [root] for event in told)
    started = {event["name"] for event in events if event["event"] == "on_chat_model_start"}
    assert started == {*NAMES, "answer"}


class Listener(BaseCallbackHandler):
    """A callback that shows tokens, as `StreamingStdOutCallbackHandler` does."""

    def __init__(self):
        self.tokens = []

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)


class AsyncListener(AsyncCallbackHandler):
    def __init__(self):
        self.tokens = []

    async def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)


@pytest.mark.parametrize("kind", [Listener, AsyncListener])
@pytest.mark.parametrize("call", ["stream", "astream"])
@pytest.mark.parametrize("options", [{}, {"router": FixedRouter("direct")}], ids=["sot", "direct"])
async def test_a_callback_hears_the_answers_tokens_in_reading_order(kind, call, options):
    listener = kind()
    message = await ask(new_chain(**options), call, config={"callbacks": [listener]})
    assert "".join(listener.tokens) == message.text
    assert len([token for token in listener.tokens if token]) > 10


def parsed():
    return SkeletonOfThoughtChain(model=FakeChat(direct='{"a":1}') | JsonOutputParser(), prompts=PROMPTS)


@pytest.mark.parametrize("kind", [Listener, AsyncListener])
async def test_what_a_parser_makes_of_an_answer_is_nobodys_tokens(way, kind):
    listener = kind()
    assert await ask(parsed(), way, config={"callbacks": [listener]}) == {"a": 1}
    assert listener.tokens == []


async def test_astream_events_of_what_a_parser_makes():
    events = [event async for event in parsed().astream_events(QUESTION, version="v2")]
    assert events[-1]["data"]["output"] == {"a": 1}
    assert "answer" not in {event["name"] for event in events}


async def test_a_handler_on_the_model_itself_hears_the_points(way):
    listener = Listener()
    chain = new_chain()
    chain.model.callbacks = [listener]
    chain.model.token_seconds = lambda seen: 0.001
    await ask(chain, way)
    heard = "".join(listener.tokens)
    if way in {"stream", "astream"}:
        assert heard != whole()
        assert all(title in heard for title in TITLES)
        assert heard.count("All") == 8


async def test_astream_events_of_an_invoke_inside_a_lambda():
    chain = new_chain()

    async def call(question, config):
        return (await chain.ainvoke(question, config)).text

    events = [event async for event in RunnableLambda(call).astream_events(QUESTION, version="v2")]
    assert events[-1]["data"]["output"] == whole()
    ended = [event["name"] for event in events if event["event"] == "on_chat_model_end"]
    assert sorted(ended) == sorted([*NAMES, "answer"])


# The bill.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"router": FixedRouter("direct")},
        {"skeleton": "no list"},
        {"router": FakeChat(direct="sot")},
        {"router": FakeChat(direct="direct")},
        {"fault": lambda seen: BusyError() if seen.index == 3 else None},
        {"fault": lambda seen: BusyError() if seen.index == 3 and seen.attempt == 1 else None},
    ],
    ids=["sot", "direct", "fallback", "router", "router direct", "failed point", "retried point"],
)
async def test_usage_is_what_the_frameworks_callbacks_count(way, options):
    handler = UsageMetadataCallbackHandler()
    message = await ask(new_chain(**options), way, config={"callbacks": [handler]})
    counted = Counter()
    for usage in handler.usage_metadata.values():
        counted.update({name: usage[name] for name in ("input_tokens", "output_tokens", "total_tokens")})
    told = message.response_metadata["sot"]["usage"]
    assert told == dict(counted)
    assert {name: message.usage_metadata[name] for name in told} == told
    if message.response_metadata["sot"]["route"] == "sot":
        of_points = [point["usage"]["output_tokens"] for point in message.response_metadata["sot"]["points"]]
        assert 0 < sum(of_points) < told["output_tokens"]


@pytest.mark.slow
async def test_seconds_are_those_of_the_clock(way):
    chain = new_chain()
    chain.model.token_seconds = lambda seen: 0.01 * (1 + seen.index)
    told = (await ask(chain, way)).response_metadata["sot"]
    seconds = told["seconds"]
    assert seconds["total"] >= seconds["skeleton"] + seconds["points"]
    assert seconds["points"] >= 6 * 0.09
    assert 16 * 0.01 <= seconds["skeleton"] < seconds["total"]
    assert all(
        5 * 0.01 * (1 + point["index"]) <= point["seconds"] <= seconds["points"] + 0.01
        for point in told["points"]
    ) or (way in {"invoke", "ainvoke"}), "a batch tells the end of its points only when it is complete"
    assert 0 < seconds["first_token"] <= seconds["total"], (
        "the first titles are shown while others are written"
    )
