"""What a trace shows of an answer, and what nothing shows: the key."""

from __future__ import annotations

import json
import logging

import pytest
from langchain_core.load import dumps
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langchain_sot import SkeletonOfThoughtRouter
from tests.fixtures.traces import Tracer

from .conftest import chat_model
from .ways import WAYS, ask

KEY = "sk-a-secret-nobody-may-read"
SUITABLE = "What are the main benefits of learning a second language?"
NAMES = ["point 1", "point 2", "point 3", "point 4", "route", "skeleton"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_trace_shows_every_stage_with_its_usage(server, model, way):
    tracer = Tracer()
    chain = SkeletonOfThoughtRouter(model=model, router=chat_model(server))
    server.provider.answer = _always_a(server.provider.answer)
    answer = await ask(way, chain, SUITABLE, config={"callbacks": [tracer]})
    (root,) = tracer.roots
    assert sorted(run.name for run in root.child_runs) == NAMES
    for run in root.child_runs:
        (generation,) = run.outputs["generations"][0]
        assert generation["message"]["kwargs"]["usage_metadata"]["total_tokens"] > 0
        if run.name.startswith("point"):
            assert f"sot:{run.name.replace(' ', ':')}" in run.tags
    billed = answer.response_metadata["sot"]["usage"]["total_tokens"]
    assert billed == server.ledger.usage().total_tokens


def _always_a(answer):
    """The fake server's answers, but for the router's question."""
    return lambda request: "A" if "Reply with one letter" in request.question else answer(request)


@pytest.fixture
def spans():
    """What OpenTelemetry's LangChain instrumentation records."""
    from openinference.instrumentation.langchain import LangChainInstrumentor

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    LangChainInstrumentor().instrument(tracer_provider=provider)
    try:
        yield exporter
    finally:
        LangChainInstrumentor().uninstrument()


@pytest.mark.parametrize("way", WAYS)
async def test_opentelemetry_sees_one_tree(server, model, way, spans):
    server.provider.answer = _always_a(server.provider.answer)
    await ask(way, SkeletonOfThoughtRouter(model=model, router=chat_model(server)), SUITABLE)
    seen = spans.get_finished_spans()
    (root,) = [span for span in seen if span.parent is None]
    assert root.name == "SkeletonOfThoughtRouter"
    children = [span for span in seen if span.parent and span.parent.span_id == root.context.span_id]
    assert sorted(span.name for span in children) == NAMES
    assert all(span.attributes["llm.token_count.completion"] > 0 for span in children)
    assert len({span.context.trace_id for span in seen}) == 1


@pytest.mark.parametrize("fault", [None, "unauthorized", "server_error"])
@pytest.mark.parametrize("way", WAYS)
async def test_the_key_is_nowhere(server, way, fault, spans, caplog):
    caplog.set_level(logging.DEBUG)
    for api in ("openai", "anthropic"):
        model = chat_model(server, api, api_key=KEY)
        chain = SkeletonOfThoughtRouter(model=model, retries=0)
        if fault:
            server.faults.add(fault)
        tracer, said = Tracer(), [repr(chain), str(chain), dumps(chain), str(chain.get_graph())]
        try:
            answer = await ask(way, chain, SUITABLE, config={"callbacks": [tracer]})
            said += [repr(answer), json.dumps(answer.response_metadata)]
        except Exception as error:
            said += [repr(error), str(error)]
        said += [str(run.model_dump() if hasattr(run, "model_dump") else vars(run)) for run in tracer.roots]
        server.faults.clear()
        assert not [text for text in said if KEY in text]
    assert KEY not in caplog.text
    assert KEY not in "".join(span.to_json() for span in spans.get_finished_spans())
