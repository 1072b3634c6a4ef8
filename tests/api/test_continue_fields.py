"""The fields with which some servers go on with a partial answer: what is sent, with which requests."""

from __future__ import annotations

import pytest
from llama_index.core.llms import MockLLM
from llama_index.core.schema import NodeWithScore, TextNode

from langchain_sot import SkeletonOfThoughtChain
from llamaindex_sot import LangChainLLM, SkeletonOfThoughtSynthesizer
from llamaindex_sot.model_defaults import named_llm
from skeleton_of_thought import ConfigurationError, Options, ask
from skeleton_of_thought.engines import ENGINES
from skeleton_of_thought.fake_server import FakeReply, stage_of

from .conftest import chat_model
from .ways import QUESTION, WAYS
from .ways import ask as ask_chain

ENGINES_WITH_FIELDS = {name: dict(e.continue_fields) for name, e in ENGINES.items() if e.continue_fields}
VLLM = ENGINES_WITH_FIELDS["vLLM"]
NODES = [NodeWithScore(node=TextNode(text=f"Fact {place} about sleep."), score=1.0) for place in range(3)]


@pytest.fixture
def asked(server):
    """The requests that reached the server."""
    requests, answer = [], server.provider.answer

    def noting(request):
        requests.append(request)
        return answer(request)

    server.provider.answer = noting
    return requests


def sent(request):
    """The fields of interest in a request's body."""
    return {name: request.body[name] for name in VLLM if name in request.body}


def options(fields):
    return {"prompts": "partial", "router": "always", "options": Options(continue_fields=fields)}


def by_plain_python(server, fields):
    ask(QUESTION, model="openai:gpt-4o-mini", base_url=f"{server.url}/v1", **options(fields))


def by_langchain(server, fields):
    SkeletonOfThoughtChain(model=chat_model(server), **options(fields)).invoke(QUESTION)


def by_llamaindex(server, fields):
    llm = named_llm("openai:gpt-4o-mini", base_url=f"{server.url}/v1")
    SkeletonOfThoughtSynthesizer(llm, **options(fields)).synthesize(QUESTION, NODES)


def by_llamaindex_through_langchain(server, fields):
    SkeletonOfThoughtSynthesizer(LangChainLLM(chat_model(server)), **options(fields)).synthesize(
        QUESTION, NODES
    )


FACES = [by_plain_python, by_langchain, by_llamaindex, by_llamaindex_through_langchain]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
@pytest.mark.parametrize("engine", ENGINES_WITH_FIELDS)
def test_each_engine_gets_its_fields_with_every_partial_answer(server, asked, face, engine):
    fields = ENGINES_WITH_FIELDS[engine]
    face(server, fields)
    assert len(asked) == 5
    assert all(request.prefill and sent(request) == fields for request in asked)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_without_the_option_nothing_is_sent(server, asked, face):
    face(server, None)
    assert len(asked) == 5
    assert not any(sent(request) for request in asked)


@pytest.mark.parametrize("way", WAYS)
async def test_a_request_that_ends_with_the_user_gets_none(server, asked, way):
    plausible = server.provider.answer

    def no_list(request):
        reply = plausible(request)
        return FakeReply(" no list") if stage_of(request).kind == "skeleton" else reply

    server.provider.answer = no_list
    answer = await ask_chain(way, SkeletonOfThoughtChain(model=chat_model(server), **options(VLLM)))
    assert answer.response_metadata["sot"]["route"] == "direct"
    assert [sent(request) for request in asked] == [VLLM, {}]


async def test_the_models_own_fields_are_kept(server, asked):
    own = {"chat_template_kwargs": {"enable_thinking": False}}
    await SkeletonOfThoughtChain(model=chat_model(server, extra_body=own), **options(VLLM)).ainvoke(QUESTION)
    bound = chat_model(server).bind(extra_body=own)
    await SkeletonOfThoughtChain(model=bound, **options(VLLM)).ainvoke(QUESTION)
    SkeletonOfThoughtSynthesizer(
        LangChainLLM(chat_model(server, extra_body=own)), **options(VLLM)
    ).synthesize(QUESTION, NODES)
    assert len(asked) == 15
    assert all(
        request.body["chat_template_kwargs"] == {"enable_thinking": False} and sent(request) == VLLM
        for request in asked
    )


@pytest.mark.parametrize("model", ["local", "anthropic:claude-haiku-4-5"])
def test_a_model_without_such_fields_is_refused_before_anything_is_sent(server, model):
    with pytest.raises(ConfigurationError, match="continue_fields is"):
        ask(QUESTION, model=model, base_url=None if model == "local" else server.url, **options(VLLM))


def test_frameworks_refuse_it_too(server):
    with pytest.raises(ValueError, match="ChatAnthropic"):
        SkeletonOfThoughtChain(model=chat_model(server, "anthropic"), **options(VLLM))
    for llm in (MockLLM(), LangChainLLM(chat_model(server, "anthropic"))):
        with pytest.raises(ConfigurationError, match=llm.class_name()):
            SkeletonOfThoughtSynthesizer(llm, **options(VLLM))


def test_what_is_no_dictionary_is_refused():
    with pytest.raises(ConfigurationError, match="continue_final_message"):
        Options(continue_fields=["continue_final_message"])
