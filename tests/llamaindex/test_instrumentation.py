from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index_instrumentation import get_dispatcher

from llamaindex_sot import SkeletonOfThoughtQueryEngine, SkeletonOfThoughtSynthesizer

from .fakes import ChatLLM, PretendedAsyncLLM, Script, nodes

QUESTION = "How do I make good compost?"


class Recorder(BaseEventHandler):
    seen: list[Any] = []  # noqa: RUF012 - a pydantic field

    @classmethod
    def class_name(cls) -> str:
        return "Recorder"

    def handle(self, event: Any, **_: Any) -> None:
        self.seen.append(event)

    def named(self, name: str) -> list[Any]:
        return [event for event in self.seen if event.class_name() == name]


@pytest.fixture
def recorder():
    dispatcher, recorder, spans = get_dispatcher(), Recorder(seen=[]), SimpleSpanHandler()
    dispatcher.add_event_handler(recorder)
    dispatcher.add_span_handler(spans)
    yield recorder, spans
    dispatcher.event_handlers.remove(recorder)
    dispatcher.span_handlers.remove(spans)


async def answered(llm: ChatLLM, how: str) -> Any:
    synthesizer = SkeletonOfThoughtSynthesizer(llm, streaming="stream" in how)
    if how.startswith("a"):
        response = await synthesizer.asynthesize(QUESTION, nodes())
        if "stream" in how:
            await response.get_response()
    else:
        response = synthesizer.synthesize(QUESTION, nodes())
        str(response)
    return response


WAYS = ["sync", "stream", "async", "astream"]


@pytest.mark.parametrize("how", WAYS)
async def test_events_and_spans(recorder, how):
    events, spans = recorder
    await answered(ChatLLM(), how)
    assert len(events.named("SynthesizeStartEvent")) == len(events.named("SynthesizeEndEvent")) == 1
    assert len(events.named("GetResponseStartEvent")) == len(events.named("GetResponseEndEvent")) == 1
    assert events.named("SkeletonOfThoughtSkeletonEvent")[0].titles == ["Soil", "Water", "Light"]
    assert [e.index for e in events.named("SkeletonOfThoughtPointStartEvent")] == [1, 2, 3]
    ends = events.named("SkeletonOfThoughtPointEndEvent")
    assert sorted(e.index for e in ends) == [1, 2, 3]
    assert all(e.status == "ok" and e.text.startswith("All of this") for e in ends)
    finished = [e for e in events.seen if e.class_name() == "LLMChatEndEvent"]
    assert sorted(e.tags["sot_request"] for e in finished) == ["point:1", "point:2", "point:3", "skeleton"]
    everything = [*spans.completed_spans, *spans.open_spans.values()]
    outer = [span for span in everything if "get_response" in span.id_]
    inner = [span for span in everything if span.id_.startswith("ChatLLM.")]
    assert len(outer) == 1
    assert len(inner) == 4
    assert {span.parent_id for span in inner} == {outer[0].id_}
    assert all(e.span_id == outer[0].id_ for e in ends)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", [ChatLLM, PretendedAsyncLLM])
async def test_tokens_are_counted_once(how, kind):
    counter, debug = TokenCountingHandler(), LlamaDebugHandler(print_trace_on_end=False)
    llm = kind(callback_manager=CallbackManager([counter, debug]))
    response = await answered(llm, how)
    usage = response.metadata["sot"]["usage"]
    calls = len(llm.script.asked)
    events = 4 if kind is ChatLLM or not how.startswith("a") else len(counter.llm_token_counts)
    assert calls == 4
    assert len(counter.llm_token_counts) == events
    assert usage["input_tokens"] == counter.prompt_llm_token_count * calls // events
    assert usage["output_tokens"] == counter.completion_llm_token_count * calls // events
    assert len(debug.get_event_pairs(CBEventType.LLM)) == events


async def test_a_fallback_is_counted_once_however_often_it_calls(recorder):
    events, _ = recorder
    counter = TokenCountingHandler()
    llm = ChatLLM(Script(skeleton="No list."), window=1500, callback_manager=CallbackManager([counter]))
    long = nodes(4)
    for source in long:
        source.node.set_content("word " * 600)
    for how in (
        SkeletonOfThoughtSynthesizer(llm).synthesize,
        SkeletonOfThoughtSynthesizer(llm, streaming=True).synthesize,
    ):
        counter.reset_counts()
        response = how(QUESTION, long)
        str(response)
        usage = response.metadata["sot"]["usage"]
        assert len(counter.llm_token_counts) > 2
        assert usage["total_tokens"] == counter.total_llm_token_count
    assert {e.reason for e in events.named("SkeletonOfThoughtRouteEvent") if e.route == "direct"} == {
        "the skeleton had no list"
    }


def test_a_ledger_is_closed_behind_its_block():
    from llamaindex_sot.fallback_usage import counted_usage

    llm = ChatLLM()
    with counted_usage() as counted:
        llm.chat([ChatMessage(content="a b")])
    before = counted.usage
    llm.chat([ChatMessage(content="a b")])
    assert counted.usage == before
    assert before.output_tokens == 3


def test_the_query_engine_tells_its_callback_manager():
    debug = LlamaDebugHandler(print_trace_on_end=False)
    engine = SkeletonOfThoughtQueryEngine(ChatLLM(callback_manager=CallbackManager([debug])))
    engine.query(QUESTION)
    assert len(debug.get_event_pairs(CBEventType.QUERY)) == 1
    assert len(debug.get_event_pairs(CBEventType.LLM)) == 4
