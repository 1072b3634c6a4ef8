"""The opening protocol over sources: one request decides, opens and plans, from the chunks, and its parts cite."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage

from llamaindex_sot import SkeletonOfThoughtQueryEngine, SkeletonOfThoughtSynthesizer
from llamaindex_sot.everyday import family
from skeleton_of_thought import ConfigurationError, EverydayOptions, Options

from .fakes import ChatLLM, Script, nodes

QUESTION = "How do I make good compost?"
PLAN = """Compost needs air and water [1][4].

OUTLINE
1. Air | turn it | 2 sentences
2. Water | like a sponge | 2 sentences
3. Patience | a year | 1 sentence | after 1"""


class HostedLLM(ChatLLM):
    """A chat model of a kind that follows the opening protocol."""

    @classmethod
    def class_name(cls) -> str:
        return "openai_llm"


def hosted(first: str, part: str = "Turn it [2], not [5]; scale [0, 1].") -> HostedLLM:
    script = Script()

    def answer(prompt: str, kwargs: dict[str, object]) -> list[str]:
        script.asked.append(prompt)
        text = part if "Now write section" in prompt else first
        return [text[start : start + 7] for start in range(0, len(text), 7)]

    script.answer = answer
    return HostedLLM(script)


@pytest.mark.parametrize("streaming", [False, True])
async def test_parts_are_planned_and_written_from_the_sources(streaming):
    for asynchronous in (False, True):
        llm = hosted(PLAN)
        synthesizer = SkeletonOfThoughtSynthesizer(llm, streaming=streaming)
        response = (
            await synthesizer.asynthesize(QUESTION, nodes(3))
            if asynchronous
            else synthesizer.synthesize(QUESTION, nodes(3))
        )
        if streaming and asynchronous:
            text = "".join([piece async for piece in response.async_response_gen()])
        else:
            text = str(response)
        sot = response.metadata["sot"]
        assert text.startswith(
            "Compost needs air and water [1].\n\n**Air**\n\nTurn it [2], not; scale [0, 1]."
        )
        assert sot["route"] == "sot"
        assert sot["citations"] == {"1": "node-1", "2": "node-2"}
        assert sot["removed_citations"] == 4
        assert [point["after"] for point in sot["points"]] == [[], [], [1]]
        assert len(llm.script.asked) == 4
        beginnings = {asked[: asked.index("A note on how to reply")] for asked in llm.script.asked}
        assert len(beginnings) == 1  # byte for byte the same, for prefix caches
        assert "[1] file: 1.md\n\nSoil is what chunk 1 is about." in beginnings.pop()


async def test_an_unsuitable_question_is_answered_by_the_same_request():
    llm = hosted("It was founded in 1907 [2].")
    response = SkeletonOfThoughtSynthesizer(llm).synthesize("When was the garden founded?", nodes(3))
    sot = response.metadata["sot"]
    assert str(response) == "It was founded in 1907 [2]."
    assert (sot["route"], sot["citations"]) == ("direct", {"2": "node-2"})
    assert len(llm.script.asked) == 1


def test_without_sources():
    response = SkeletonOfThoughtQueryEngine(hosted(PLAN)).query(QUESTION)
    assert str(response).startswith("Compost needs air and water [1][4].\n\n**Air**")
    history = [ChatMessage(role="user", content="Hello"), ChatMessage(role="assistant", content="Hi")]
    llm = hosted(PLAN)
    SkeletonOfThoughtSynthesizer(llm).get_response(QUESTION, ["Air."], chat_history=history)
    assert llm.script.asked[0].startswith("user: Hello\nassistant: Hi\nuser: Sources, each")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "opening"),
        ({"router": "always"}, "instruction"),
        ({"options": Options(points_per_call=2)}, "instruction"),
        ({"options": Options(structured_skeleton=True)}, "instruction-json"),
        ({"skeleton_model": ChatLLM()}, "instruction"),
    ],
)
def test_who_gets_it(given, expected):
    assert family(hosted(""), EverydayOptions(**given)) == expected


def test_who_does_not_get_it():
    assert family(ChatLLM(), EverydayOptions()) == "instruction"


def test_prompts_of_the_protocol_can_be_seen():
    prompts = SkeletonOfThoughtSynthesizer(hosted("")).get_prompts()
    assert {"opening_template", "part_template", "context_template"} <= set(prompts)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ConfigurationError, match="router is 'self'"):
        SkeletonOfThoughtSynthesizer(ChatLLM(), router="self")
    with pytest.raises(ConfigurationError, match="prompt_cache"):
        SkeletonOfThoughtSynthesizer(ChatLLM(), options=Options(prompt_cache=True))
