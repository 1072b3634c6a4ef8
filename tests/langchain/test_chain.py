"""The chain stands where a chat model stood: every way to call a runnable gives the same answer."""

from __future__ import annotations

import asyncio
import copy
import pickle

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnableParallel
from pydantic import ValidationError

from langchain_sot import SkeletonOfThoughtChain

from .fakes import DIRECT, PROMPTS, QUESTION, TITLES, BusyError, FakeChat, added, ask, whole


def new_chain(**options):
    model = options.pop("model", None) or FakeChat()
    return SkeletonOfThoughtChain(model=model, prompts=PROMPTS, **options)


async def test_every_way_gives_the_same_answer(way):
    message = await ask(new_chain(), way)
    assert isinstance(message, AIMessage)
    assert message.text == whole()
    told = message.response_metadata["sot"]
    assert told["route"] == "sot"
    assert [point["title"] for point in told["points"]] == list(TITLES)
    assert message.response_metadata["model_name"] == "fake-1"


async def test_batch_and_abatch_keep_the_order_of_the_questions():
    chain = new_chain()
    questions = [f"How about {topic}?" for topic in ("a", "b", "c")]
    seen = await asyncio.to_thread(chain.batch, questions)
    aseen = await chain.abatch(questions)
    assert [message.text for message in seen] == [message.text for message in aseen] == [whole()] * 3
    asked = [seen.messages[-1].text for seen in chain.model.log.of("skeleton")]
    assert sorted(asked) == sorted(f"SKELETON of {question}" for question in questions * 2)


def test_a_failing_question_of_a_batch_leaves_the_others_alone():
    chain = new_chain()
    results = chain.batch([QUESTION, "", QUESTION], return_exceptions=True)
    assert [isinstance(result, Exception) for result in results] == [False, True, False]


def test_chunks_are_message_chunks_and_add_up_to_the_answer():
    chunks = list(new_chain().stream(QUESTION))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert len(chunks) > len(TITLES)
    assert "".join(chunk.text for chunk in chunks) == whole()
    assert [chunk.chunk_position for chunk in chunks].count("last") == 1
    assert chunks[-1].chunk_position == "last"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].id, "front ends put chunks together by their id"


async def test_an_answer_has_an_id_of_its_own(way):
    chain = new_chain()
    ids = {(await ask(chain, way)).id for _ in range(2)}
    assert len(ids) == 2
    assert None not in ids


# Composition.


async def test_between_a_prompt_and_a_parser(way):
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "About {topic}")])
    pipeline = prompt | new_chain() | StrOutputParser()
    value = {"topic": "sleep"}
    if way == "astream":
        pieces = [piece async for piece in pipeline.astream(value)]
    elif way == "stream":
        pieces = list(pipeline.stream(value))
    else:
        pieces = [await ask(pipeline, way, value)]
    assert "".join(pieces) == whole()
    if way in ("stream", "astream"):
        assert len(pieces) > len(TITLES)
    else:
        assert len(pieces) == 1


async def test_inside_a_parallel_and_behind_a_lambda(way):
    both = RunnableParallel(long=new_chain() | StrOutputParser(), short=FakeChat() | StrOutputParser())
    pipeline = RunnableLambda(lambda value: f"How about {value}?") | both
    result = await ask(pipeline, way, "sleep")
    assert dict(result) == {"long": whole(), "short": DIRECT}


def test_a_chain_that_gets_its_input_in_pieces():
    def pieces(_):
        yield "How do I "
        yield "sleep better?"

    chain = new_chain()
    assert added(list((RunnableLambda(pieces) | chain).stream("x"))).text == whole()
    assert chain.model.log.of("skeleton")[0].messages[-1].text == f"SKELETON of {QUESTION}"


async def test_no_input_gives_no_output():
    async def nothing():
        return
        yield

    assert list(new_chain().transform(iter([]))) == []
    assert [chunk async for chunk in new_chain().atransform(nothing())] == []


async def test_with_config(way):
    chain = new_chain().with_config(run_name="answer", tags=["a"], metadata={"b": 1})
    assert (await ask(chain, way)).text == whole()


async def test_with_retry():
    failures = iter([BusyError("once")])
    model = FakeChat(fault=lambda seen: next(failures, None), skeleton="no list")
    chain = new_chain(model=model, retries=0).with_retry(wait_exponential_jitter=False, stop_after_attempt=3)
    assert chain.invoke(QUESTION).text == DIRECT
    failures = iter([BusyError("skeleton"), BusyError("direct")])
    assert (await chain.ainvoke(QUESTION)).text == DIRECT


async def test_with_fallbacks(way):
    broken = new_chain(model=FakeChat(fault=lambda seen: BusyError("down")), retries=0)
    assert (await ask(broken.with_fallbacks([new_chain()]), way)).text == whole()


def test_configurable_fields():
    chain = new_chain().configurable_fields(
        max_points=ConfigurableField(id="points"), answer_format=ConfigurableField(id="format")
    )
    assert chain.invoke(QUESTION).text == whole()
    config = {"configurable": {"points": 3}}
    assert chain.invoke(QUESTION, config).text == whole(TITLES[:3])
    assert added(list(chain.stream(QUESTION, config))).text == whole(TITLES[:3])
    assert (
        chain.with_config(configurable={"format": "prose"})
        .invoke(QUESTION)
        .text.startswith("All about light")
    )
    with pytest.raises(ValidationError, match="max_points is 1"):
        chain.invoke(QUESTION, {"configurable": {"points": 1}})


def test_fields_of_the_model_are_configurable_through_the_chain():
    model = FakeChat().configurable_fields(direct=ConfigurableField(id="direct_text"))
    chain = new_chain(model=model)
    assert {"direct_text", "sot_route"} <= {spec.id for spec in chain.config_specs}
    config = {"configurable": {"direct_text": "Another.", "sot_route": "direct"}}
    assert chain.invoke(QUESTION, config).text == "Another."


async def test_bound_stops_reach_every_request(way):
    chain = new_chain().bind(stop=["END"])
    await ask(chain, way)
    log = chain.bound.model.log
    assert [seen.kwargs["stop"] for seen in log.of("skeleton")] == [["END", "\n11."]]
    assert all(seen.kwargs["stop"][0] == "END" for seen in log.of("point"))
    assert all(len(seen.kwargs["stop"]) <= 4 for seen in log.seen), "more are an error at OpenAI"


async def test_stops_bound_to_the_model_itself_are_kept(way):
    model = FakeChat()
    await ask(new_chain(model=model.bind(stop=["END"])), way)
    assert all(seen.kwargs["stop"][0] == "END" for seen in model.log.seen)
    assert all(len(seen.kwargs["stop"]) <= 4 for seen in model.log.seen)


async def test_other_arguments_are_the_models(way):
    chain = new_chain()
    await ask(chain, way, temperature=0.5, max_tokens=7)
    assert {(seen.kwargs["temperature"], seen.kwargs["max_tokens"]) for seen in chain.model.log.seen} == {
        (0.5, 7)
    }


# The object.


def test_copies_and_pickles_answer_too():
    chain = SkeletonOfThoughtChain(model=PlainChat(), max_points=3)
    for again in (copy.copy(chain), copy.deepcopy(chain), pickle.loads(pickle.dumps(chain))):
        assert again.max_points == 3
        assert again.invoke(QUESTION).text == "Hello."


class PlainChat(FakeChat):
    """Nothing in it but fields that can be pickled."""

    log: None = None

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Hello."))])


def test_it_does_not_claim_to_be_serializable():
    assert dumpd(new_chain())["type"] == "not_implemented"


def test_a_misspelt_option_and_a_wrong_value_are_refused():
    with pytest.raises(ValidationError, match="max_point"):
        new_chain(max_point=3)
    with pytest.raises(ValidationError, match="on_point_error"):
        new_chain(on_point_error="ignore")
    with pytest.raises(ValidationError, match="retries is -1"):
        new_chain(retries=-1)
    with pytest.raises(ValidationError, match="no prompts named 'partail'"):
        SkeletonOfThoughtChain(model=FakeChat(), prompts="partail")
    with pytest.raises(ValidationError, match="router"):
        new_chain(router=3)
    with pytest.raises(ValidationError, match="model"):
        SkeletonOfThoughtChain(model="gpt-4o")


def test_schemas_are_those_of_a_chat_model():
    chain, model = new_chain(), FakeChat()
    assert chain.InputType == model.InputType
    assert chain.OutputType == model.OutputType
    assert chain.get_input_jsonschema()["anyOf"] == model.get_input_jsonschema()["anyOf"]
    assert chain.get_output_jsonschema()["oneOf"] == model.get_output_jsonschema()["oneOf"]
    assert (
        chain.get_config_jsonschema()["$defs"]["Configurable"]["properties"]["sot_route"]["default"] == "auto"
    )


def edges(runnable):
    graph = runnable.get_graph()
    names = {node.id: node.name for node in graph.nodes.values()}
    return {(names[edge.source], names[edge.target], edge.data) for edge in graph.edges}


def test_the_graph_shows_what_a_run_does():
    chain = new_chain()
    points = ("point 1", "point 2", "point n")
    steps = {("skeleton", point, None) for point in points} | {(point, "answer", None) for point in points}
    steps |= {("skeleton", "direct", "no list"), ("direct", "answer", None)}
    ends = {
        ("SkeletonOfThoughtChainInput", "skeleton", None),
        ("answer", "SkeletonOfThoughtChainOutput", None),
    }
    assert edges(chain) == steps | ends
    routed = edges(new_chain(router="lexical"))
    assert steps < routed
    assert {("route", "skeleton", "sot"), ("route", "direct", "direct")} < routed
    assert ("SkeletonOfThoughtChainInput", "route", None) in routed
    inside = edges(ChatPromptTemplate.from_template("{q}") | chain | StrOutputParser())
    assert steps < inside
    assert {("ChatPromptTemplate", "skeleton", None), ("answer", "StrOutputParser", None)} < inside
    assert "skeleton -. &nbsp;no list&nbsp; .-> direct" in chain.get_graph().draw_mermaid()


async def test_several_runs_at_once_do_not_mix(way):
    class Echo(FakeChat):
        def _tokens(self, seen):
            if seen.stage == "skeleton":
                word = seen.messages[-1].text.removeprefix("SKELETON of ")
                return [AIMessageChunk(content=f"1. First {word}\n2. Second {word}")]
            return [AIMessageChunk(content=seen.messages[-1].text.partition(" is ")[2] + " text.")]

    chain = new_chain(model=Echo(), answer_format="prose")
    results = await asyncio.gather(*(ask(chain, way, f"Q{number}") for number in range(6)))
    assert [result.text for result in results] == [
        f"First Q{number} text.\n\nSecond Q{number} text." for number in range(6)
    ]
