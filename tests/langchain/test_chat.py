"""`ChatSkeletonOfThought`: a chat model in front of a chat model."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import (
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import BaseGenerationOutputParser, JsonOutputParser, StrOutputParser
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtChain, chat
from skeleton_of_thought import Options
from tests.fixtures.traces import Tracer

from .fakes import DIRECT, PROMPTS, QUESTION, TITLES, FakeChat, Log, PrefixCachingChat, added, ask, whole

NAMES = ["skeleton", *(f"point {number}" for number in range(1, 9))]


def new_model(model=None, **options):
    return ChatSkeletonOfThought(
        model=model or FakeChat(), prompts=PROMPTS, **{"router": "always", **options}
    )


def new_openai(server, **options):
    return ChatOpenAI(
        model="gpt-4o-mini",
        base_url=f"{server.url}/v1",
        api_key="fake",
        max_retries=0,
        stream_usage=True,
        **options,
    )


async def test_it_answers_as_the_chain_does(way):
    message = await ask(new_model(), way)
    assert message.text == whole()
    assert message.response_metadata["sot"]["route"] == "sot"
    assert message.response_metadata["model_name"] == "fake-1"
    assert message.response_metadata["finish_reason"] == "stop"
    chain = await ask(SkeletonOfThoughtChain(model=FakeChat(), prompts=PROMPTS), way)
    assert message.usage_metadata == chain.usage_metadata


@pytest.mark.parametrize(
    "router",
    ["always", FakeChat(direct="A"), FakeChat(direct="sot") | RunnableLambda(lambda said: said)],
    ids=["no router", "chat model", "runnable"],
)
async def test_usage_is_counted_once(way, router):
    handler, tracer = UsageMetadataCallbackHandler(), Tracer()
    with get_usage_metadata_callback() as counted:
        message = await ask(new_model(router=router), way, config={"callbacks": [handler, tracer]})
    (usage,) = handler.usage_metadata.values()
    assert dict(usage) == dict(message.usage_metadata) == dict(*counted.usage_metadata.values())
    (root,) = tracer.roots
    assert message.response_metadata["sot"]["usage"] == {
        name: message.usage_metadata[name] for name in ("input_tokens", "output_tokens", "total_tokens")
    }
    assert (root.run_type, {run.run_type for run in root.child_runs}) == ("chat_model", {"chain"})
    routed = [] if router == "always" else ["route"]
    assert sorted(run.name for run in root.child_runs) == sorted(NAMES + routed)
    for run in root.child_runs:
        assert {f"sot:{run.name.replace(' ', ':')}", "nostream"} <= set(run.tags)
        assert run.inputs["messages"]
        assert run.outputs["output"].text
        assert run.error is None
        assert run.end_time is not None


async def test_usage_is_what_the_server_wrote_down(server, way):
    model = ChatSkeletonOfThought(model=new_openai(server), router="always")
    with get_usage_metadata_callback() as counted:
        message = await ask(model, way)
    assert len(server.ledger.entries) == 6
    (usage,) = counted.usage_metadata.values()
    assert (
        usage["total_tokens"] == message.usage_metadata["total_tokens"] == server.ledger.usage().total_tokens
    )


async def test_opentelemetry_counts_once(server, way):
    from openinference.instrumentation.langchain import LangChainInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    LangChainInstrumentor().instrument(tracer_provider=provider)
    try:
        message = await ask(ChatSkeletonOfThought(model=new_openai(server), router="always"), way)
    finally:
        LangChainInstrumentor().uninstrument()
    spans = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in spans}) == 1
    counts = [span.attributes.get("llm.token_count.total", 0) for span in spans]
    assert sum(counts) == message.usage_metadata["total_tokens"]


class Listener(BaseCallbackHandler):
    def __init__(self):
        self.tokens = []

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)


async def test_a_listener_hears_the_answer_in_order_and_one_on_the_model_inside_the_points():
    outer, inner = Listener(), Listener()
    model = new_model(FakeChat(callbacks=[inner], token_seconds=lambda seen: 0.001))
    message = await ask(model, "astream", config={"callbacks": [outer]})
    assert "".join(outer.tokens) == message.text == whole()
    assert len([token for token in outer.tokens if token]) > len(TITLES)
    assert "".join(inner.tokens) != whole()


@pytest.mark.filterwarnings("ignore:.*v1.*")
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_events(version):
    events = [event async for event in new_model().astream_events(QUESTION, version=version)]
    streamed = [event for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(event["data"]["chunk"].text for event in streamed) == whole()
    assert {event["name"] for event in events if event["event"] == "on_chat_model_start"} == {
        "ChatSkeletonOfThought"
    }
    if version == "v2":
        assert Counter(event["name"] for event in events if event["event"] == "on_custom_event") == {
            "sot_skeleton": 1,
            "sot_point_start": 8,
            "sot_point_end": 8,
        }
    assert events[-1]["data"]["output"].usage_metadata["total_tokens"] > 0


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
async def test_events_of_the_third_version():
    stream = await new_model().astream_events(QUESTION, version="v3")
    message = await stream.output
    assert message.text == whole()
    assert message.usage_metadata["total_tokens"] > 0
    assert new_model().stream_events(QUESTION, version="v3").output.text == whole()
    directly = {"configurable": {"sot_route": "direct"}}
    stream = await new_model().astream_events(QUESTION, directly, version="v3")
    assert (await stream.output).text == DIRECT
    assert new_model().stream_events(QUESTION, directly, version="v3").output.text == DIRECT
    new_model().stream_events(QUESTION, version="v3")
    gc.collect()
    assert not chat._streams, "what is held is forgotten"


async def test_content_blocks(way):
    for model in (new_model(output_version="v1"), new_model(FakeChat(output_version="v1"))):
        message = await ask(model, way)
        assert isinstance(message.content, list)
        assert {block["type"] for block in message.content} == {"text"}
        assert message.text == whole()


# What the model inside answers alone.

CALL = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}])


class ToolFake(FakeChat):
    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=[{"type": "function", "function": {"name": tool.__name__}} for tool in tools])


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


class CachingToolFake(ToolFake, PrefixCachingChat):
    pass


def _as_chunk(message):
    return AIMessageChunk(content="", tool_calls=message.tool_calls)


CALLED = _as_chunk(CALL)
CACHED = {"options": Options(prompt_cache=True)}


@pytest.mark.parametrize(
    ("inside", "options"),
    [
        (ToolFake(direct=CALLED), {}),
        (ToolFake(direct=CALLED, disable_streaming=True), {}),
        (CachingToolFake(direct=CALLED), CACHED),
    ],
    ids=["streaming", "not streaming", "prompt cache"],
)
async def test_bound_tools_reach_the_model_inside_and_its_calls_come_back(way, inside, options):
    model = new_model(inside.model_copy(update={"log": Log()}), **options).bind_tools([add])
    message = await ask(model, way)
    assert [call["name"] for call in message.tool_calls] == ["add"]
    assert message.response_metadata["sot"]["reason"] == "tools are bound"
    (seen,) = model.bound.model.log.seen
    assert seen.kwargs["tools"] == [{"type": "function", "function": {"name": "add"}}]


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ([HumanMessage(QUESTION), CALL, ToolMessage("3", tool_call_id="c1")], {}),
        (
            [
                HumanMessage("1+2"),
                CALL,
                ToolMessage("3", tool_call_id="c1"),
                AIMessage("3"),
                HumanMessage(QUESTION),
            ],
            {},
        ),
        (QUESTION, {"response_format": {"type": "json_object"}}),
    ],
    ids=["tool message", "tools earlier", "response format"],
)
async def test_what_has_no_points_is_answered_plainly(way, value, options):
    model = new_model()
    message = await ask(model, way, value, **options)
    assert message.text == DIRECT
    assert [seen.stage for seen in model.model.log.seen] == ["direct"]
    assert model.model.log.seen[0].kwargs.get("response_format") == options.get("response_format")


class Titles(BaseModel):
    """Titles of points."""

    titles: list[str]


async def test_structured_output_is_the_models_own(server):
    model = ChatSkeletonOfThought(model=new_openai(server), router="always")
    for way in ("invoke", "ainvoke"):
        server.ledger.clear()
        runnable = model.with_structured_output(Titles)
        answer = (
            await runnable.ainvoke(QUESTION)
            if way == "ainvoke"
            else await asyncio.to_thread(runnable.invoke, QUESTION)
        )
        assert len(answer.titles) >= 3
        assert len(server.ledger.entries) == 1


@pytest.mark.parametrize("made", [None, {"points": ["a"]}, Titles(titles=["a"]), 7])
@pytest.mark.parametrize(
    ("inside", "options"),
    [(FakeChat(), {}), (PrefixCachingChat(), CACHED)],
    ids=["plain", "prompt cache"],
)
async def test_what_a_parser_makes_of_an_answer_is_the_chains_answer(way, made, inside, options):
    """`with_structured_output` gives None where the model did not answer in form."""

    class Parser(BaseGenerationOutputParser):
        def parse_result(self, result, *, partial=False):
            return made

    chain = SkeletonOfThoughtChain(model=inside | Parser(), prompts=PROMPTS, **options)
    if way == "invoke":
        answer = await asyncio.to_thread(chain.invoke, QUESTION)
    elif way == "ainvoke":
        answer = await chain.ainvoke(QUESTION)
    elif way == "stream":
        (answer,) = await asyncio.to_thread(lambda: list(chain.stream(QUESTION)))
    else:
        (answer,) = [chunk async for chunk in chain.astream(QUESTION)]
    assert answer == made


def test_a_parser_inside_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="Put the parser behind ChatSkeletonOfThought"):
        ChatSkeletonOfThought(model=FakeChat() | JsonOutputParser())
    assert new_model(FakeChat() | StrOutputParser()).invoke(QUESTION).text == whole()


# What the base class promises.


async def test_a_cached_answer_has_the_bill_of_a_cached_answer():
    model = new_model(cache=InMemoryCache(), prices="default")
    first, second = model.invoke(QUESTION), await model.ainvoke(QUESTION)
    assert len(model.model.log.seen) == 9
    assert second.text == first.text
    assert dict(second.usage_metadata)["total_cost"] == 0
    assert second.response_metadata["sot"]["cached"]
    assert second.response_metadata["sot"]["bill"]["calls"] == 0
    other = new_model(model.model, cache=model.cache, max_points=3)
    assert other.invoke(QUESTION).text == whole(TITLES[:3]), "another option, another answer"


async def test_the_cache_keeps_the_routes_of_single_calls_apart():
    model = new_model(cache=InMemoryCache())
    for chosen, text in (("direct", DIRECT), ("sot", whole()), ("direct", DIRECT)):
        config = {"configurable": {"sot_route": chosen}}
        assert model.invoke(QUESTION, config).text == text
        assert (await model.ainvoke(QUESTION, config)).text == text
    assert [seen.stage for seen in model.model.log.seen].count("direct") == 1


def test_the_cache_keeps_what_stands_around_the_same_model_apart():
    cache, inside = InMemoryCache(), FakeChat()
    around = [
        inside,
        RunnableLambda(lambda asked: [SystemMessage("In verse."), *asked]) | inside,
        RunnableLambda(lambda asked: [SystemMessage("In prose."), *asked]) | inside,
        inside.bind(temperature=1),
        inside.with_config(configurable={"mood": 1}),
    ]
    for count, model in enumerate((*around, *around), start=1):
        new_model(model, cache=cache, router="never").invoke(QUESTION)
        assert len(inside.log.seen) == min(count, len(around))


def test_requests_from_the_cache_cost_nothing():
    chain = SkeletonOfThoughtChain(model=FakeChat(cache=InMemoryCache()), prompts=PROMPTS)
    first, second = chain.invoke(QUESTION), chain.invoke(QUESTION)
    assert "total_cost" not in first.usage_metadata
    assert dict(second.usage_metadata)["total_cost"] == 0


async def test_disable_streaming_and_the_rate_limiter(monkeypatch):
    model = new_model(disable_streaming=True)
    assert [chunk.text for chunk in model.stream(QUESTION)] == [whole()]
    limiter = InMemoryRateLimiter(requests_per_second=1000)
    asked = []
    monkeypatch.setattr(type(limiter), "acquire", lambda self, *, blocking=True: asked.append(1) or True)
    new_model(rate_limiter=limiter).invoke(QUESTION)
    assert asked == [1]


async def test_tags_metadata_and_name_reach_the_trace(way):
    tracer = Tracer()
    model = new_model(tags=["mine"], metadata={"team": 1})
    await ask(model, way, config={"callbacks": [tracer], "run_name": "it", "metadata": {"user": 2}})
    (root,) = tracer.roots
    assert (root.name, "mine" in root.tags) == ("it", True)
    assert (root.extra["metadata"]["team"], root.extra["metadata"]["user"]) == (1, 2)


async def test_the_route_and_the_question_are_configured_per_call(way):
    for chosen, text in (("direct", DIRECT), ("sot", whole())):
        message = await ask(new_model(router="lexical"), way, config={"configurable": {"sot_route": chosen}})
        assert message.text == text
    asked = []
    router = RunnableLambda(lambda messages: asked.append(messages[-1].text) or "direct")
    await ask(new_model(router=router), way, config={"configurable": {"sot_question": "Why?"}})
    await ask(new_model(router=router, question=lambda messages: messages[-1].text[:3]), way)
    assert asked == ["Why?", QUESTION[:3]]


def test_alternatives_against_the_plain_model():
    plain = FakeChat()
    model = plain.configurable_alternatives(ConfigurableField(id="llm"), default_key="plain", sot=new_model())
    assert model.invoke(QUESTION).text == DIRECT
    assert model.invoke(QUESTION, {"configurable": {"llm": "sot"}}).text == whole()
    fields = new_model().configurable_fields(max_points=ConfigurableField(id="points"))
    assert fields.invoke(QUESTION, {"configurable": {"points": 2}}).text == whole(TITLES[:2])


async def test_max_concurrency_holds_for_a_batch(way):
    model = new_model(FakeChat(token_seconds=lambda seen: 0.002))
    config = {"max_concurrency": 2}
    if "a" in way[:1]:
        await model.abatch([QUESTION] * 3, config)
    else:
        await asyncio.to_thread(model.batch, [QUESTION] * 3, config)
    assert model.model.log.most <= 2


def test_a_model_by_name():
    given: dict[str, Any] = {
        "model": "openai:gpt-4o-mini",
        "api_key": "fake",
        "temperature": 0,
        "max_points": 3,
    }
    model: Any = ChatSkeletonOfThought(**given)
    assert (type(model.model).__name__, model.model.temperature, model.max_points) == ("ChatOpenAI", 0, 3)
    assert model._get_ls_params()["ls_model_name"] == model.model_name == "gpt-4o-mini"
    assert model.profile == model.model.profile
    counting = new_model(FakeChat(custom_get_token_ids=lambda text: [1] * len(text)))
    assert counting.get_num_tokens("one two") == 7
    assert counting.get_num_tokens_from_messages([HumanMessage("one")]) == len("Human: one")
    with pytest.raises(ValueError, match="temperature"):
        ChatSkeletonOfThought(model=FakeChat(), temperature=0)  # type: ignore[call-arg]


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
async def test_as_a_tool():
    for runnable in (new_model(), SkeletonOfThoughtChain(model=FakeChat(), prompts=PROMPTS)):
        tool = runnable.as_tool(name="ask", description="Answers.")
        assert tool.invoke(QUESTION) == whole()
        assert await tool.ainvoke(QUESTION) == whole()


def test_no_usage_is_none_and_not_nothing():
    class Silent(FakeChat):
        def _run(self, seen):
            for pause, chunk in super()._run(seen):
                yield pause, chunk.model_copy(update={"usage_metadata": None})

    for model in (new_model(Silent()), SkeletonOfThoughtChain(model=Silent(), prompts=PROMPTS)):
        assert model.invoke(QUESTION).usage_metadata is None
        assert added(list(model.stream(QUESTION))).usage_metadata is None


def test_a_model_by_its_kind_decides_itself(server):
    assert ChatSkeletonOfThought(model=FakeChat()).chosen_router() == "lexical"
    model = ChatSkeletonOfThought(model=new_openai(server))
    assert model.chosen_router() is None
    system = SystemMessage("Be kind.")
    assert (
        model.invoke([system, HumanMessage(QUESTION)]).response_metadata["sot"]["usage"]["total_tokens"] > 0
    )
    assert server.ledger.entries[0].stage == "opening"
    options = Options(structured_skeleton=True)
    assert ChatSkeletonOfThought(model=new_openai(server), options=options).chosen_router() == "lexical"
