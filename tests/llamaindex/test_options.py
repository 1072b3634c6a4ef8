from __future__ import annotations

import pytest
from llama_index.core import Settings
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate, SelectorPromptTemplate
from llama_index.core.prompts.utils import is_chat_model
from llama_index.core.query_engine import RetrieverQueryEngine
from pydantic import BaseModel

from llamaindex_sot import SkeletonOfThoughtQueryEngine, SkeletonOfThoughtSynthesizer, TransformersLLM
from llamaindex_sot.prompts import SOURCE_PROMPTS
from skeleton_of_thought import ConfigurationError, Options

from .fakes import ChatLLM, CompletionLLM, nodes

QUESTION = "How do I make good compost?"


class Plan(BaseModel):
    steps: list[str]


def test_prompts_can_be_seen_and_replaced():
    llm = ChatLLM()
    synthesizer = SkeletonOfThoughtSynthesizer(llm, options=Options(early_points=0))
    engine = RetrieverQueryEngine(None, response_synthesizer=synthesizer)
    prompts = engine.get_prompts()
    assert {"skeleton_template", "point_template", "context_template"} == {
        key.removeprefix("response_synthesizer:") for key in prompts if "fallback" not in key
    }
    assert "response_synthesizer:fallback:text_qa_template" in prompts
    assert "{query_str}" in prompts["response_synthesizer:skeleton_template"].get_template()
    engine.update_prompts(
        {
            "response_synthesizer:skeleton_template": PromptTemplate(
                "{query_str}: the skeleton, with {braces}!"
            ),
            "response_synthesizer:point_template": PromptTemplate(
                "The point is {point}, {point_outline}, please."
            ),
            "response_synthesizer:context_template": PromptTemplate("Read this:\n{context_str}"),
        }
    )
    synthesizer.synthesize(QUESTION, nodes())
    assert llm.script.asked[0].startswith("user: Read this:\n[1] file: 1.md")
    assert llm.script.asked[0].endswith(f"{QUESTION}: the skeleton, with {{braces}}!")
    assert sorted(llm.script.asked)[2].endswith("user: The point is 2, Water, please.")


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        (
            {"skelton_template": PromptTemplate("{query_str}")},
            "'skeleton_template', 'point_template', 'context_",
        ),
        ({"fallback:nothing": PromptTemplate("{query_str}")}, "'fallback:text_qa_template'"),
        ({"skeleton_template": PromptTemplate("no field")}, "would not see the question"),
        ({"point_template": PromptTemplate("no field")}, "neither {point}"),
        ({"context_template": PromptTemplate("no field")}, "no {context_str}"),
        (
            {"point_template": ChatPromptTemplate.from_messages([("user", "{point}")])},
            "must be a PromptTemplate",
        ),
    ],
)
def test_wrong_prompts_are_refused_and_change_nothing(prompts, says):
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM())
    before = {
        key: prompt.get_template() for key, prompt in synthesizer.get_prompts().items() if ":" not in key
    }
    with pytest.raises(ConfigurationError, match="template") as raised:
        synthesizer.update_prompts(prompts)
    assert says in str(raised.value)
    assert {k: p.get_template() for k, p in synthesizer.get_prompts().items() if ":" not in k} == before


def test_a_prompt_for_the_fallback_reaches_it():
    llm = ChatLLM()
    synthesizer = SkeletonOfThoughtSynthesizer(llm, router="never")
    synthesizer.update_prompts(
        {"fallback:text_qa_template": PromptTemplate("My own: {context_str} {query_str}")}
    )
    synthesizer.synthesize(QUESTION, nodes())
    assert llm.script.asked[0].startswith("user: My own: ")


def test_a_selector_prompt_is_chosen_by_the_llm():
    llm = ChatLLM()
    synthesizer = SkeletonOfThoughtSynthesizer(llm)
    selector = SelectorPromptTemplate(
        PromptTemplate("{query_str} skeleton, plainly."),
        [(is_chat_model, PromptTemplate("{query_str} skeleton, chatting."))],
    )
    synthesizer.update_prompts({"skeleton_template": selector})
    synthesizer.synthesize(QUESTION, nodes())
    assert llm.script.asked[0].endswith("skeleton, chatting.")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"output_cls": Plan}, "compact or tree_summarize"),
        ({"llm": StructuredLLM(llm=ChatLLM(), output_cls=Plan)}, "compact or tree_summarize"),
        ({"context": "alone"}, "'shared' or 'per_point'"),
        ({"skeleton": "mine"}, "'model' or 'sources'"),
        ({"chunks_per_point": 0}, "at least 1"),
        ({"prompts": "best"}, "instruction, instruction-json, opening, partial"),
        ({"router": "guess"}, "lexical"),
        ({"max_points": 1}, "at least 2"),
        ({"on_point_error": "ignore"}, "'mark'"),
    ],
)
def test_wrong_options_are_refused_before_any_token(options, says):
    with pytest.raises(ConfigurationError) as raised:
        SkeletonOfThoughtSynthesizer(**{"llm": ChatLLM(), **options})
    assert says in str(raised.value)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="max_pionts"):
        SkeletonOfThoughtSynthesizer.from_defaults(ChatLLM(), max_pionts=3)


def test_a_prompt_that_leaves_no_room_is_explained():
    with pytest.raises(ConfigurationError, match="context window of 100"):
        SkeletonOfThoughtSynthesizer(ChatLLM(window=100)).synthesize(QUESTION, nodes())


def test_prompts_suit_the_llm():
    def skeleton(llm, **options):
        return SkeletonOfThoughtSynthesizer(llm, **options)._templates.base

    assert skeleton(ChatLLM()) is SOURCE_PROMPTS["instruction"]
    assert skeleton(CompletionLLM()) is SOURCE_PROMPTS["partial"]
    assert skeleton(ChatLLM(), prompts="partial") is SOURCE_PROMPTS["partial"]


def test_the_llm_comes_from_the_settings(monkeypatch):
    llm = ChatLLM()
    monkeypatch.setattr(Settings, "_llm", llm)
    assert SkeletonOfThoughtSynthesizer.from_defaults()._llm is llm
    assert SkeletonOfThoughtQueryEngine()._llm is llm
    monkeypatch.setattr(Settings, "_llm", None)
    assert isinstance(SkeletonOfThoughtQueryEngine()._llm, TransformersLLM)
