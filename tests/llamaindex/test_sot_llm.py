from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest
from llama_index.core import Document, MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.evaluation import CorrectnessEvaluator, FaithfulnessEvaluator, RelevancyEvaluator
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate, chat_prompts, default_prompts
from llama_index.core.response_synthesizers import CompactAndRefine, Refine
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step

from llamaindex_sot import SkeletonOfThoughtLLM
from llamaindex_sot.llms.purpose import question_in
from skeleton_of_thought import ConfigurationError, Message
from skeleton_of_thought.routing import Decision

from .fakes import ChatLLM, CompletionLLM, PretendedAsyncLLM, Script, memory, nodes, shown

pytestmark = pytest.mark.filterwarnings(  # of LlamaIndex's own agents and memories
    "ignore::pydantic.warnings.PydanticDeprecationWarning",
    "ignore:is_running called from within a step:DeprecationWarning",
)

QUESTION = "How do I make good compost?"
PLAIN = "When was the garden founded?"
ANSWER = "1. Soil: All of this is said by source [1] so."


def asked(text: str, role: str = "user") -> list[ChatMessage]:
    return [ChatMessage(role=role, content=text)]


@pytest.mark.parametrize("kind", [ChatLLM, PretendedAsyncLLM, CompletionLLM])
async def test_every_method_answers_with_a_skeleton_and_streams_in_order(kind):
    llm = SkeletonOfThoughtLLM(kind())
    whole = llm.chat(asked(QUESTION))
    text = whole.message.content
    assert text.startswith(ANSWER)
    sot = whole.additional_kwargs["sot"]
    assert (sot["route"], len(sot["points"])) == ("sot", 3)
    assert (await llm.achat(asked(QUESTION))).message.content == text
    assert llm.complete(QUESTION).text == (await llm.acomplete(QUESTION)).text == text
    for pieces in (
        list(llm.stream_chat(asked(QUESTION))),
        [piece async for piece in await llm.astream_chat(asked(QUESTION))],
    ):
        assert "".join(piece.delta for piece in pieces) == pieces[-1].message.content == text
        assert all(text.startswith(piece.message.content) for piece in pieces)
        assert len(pieces) > 9
        assert pieces[-1].additional_kwargs["sot"]["points"] == 3 * [ANY]
    assert list(llm.stream_complete(QUESTION))[-1].text == text
    assert [piece async for piece in await llm.astream_complete(QUESTION)][-1].text == text


async def test_an_unsuitable_question_gets_the_models_own_answer():
    llm = SkeletonOfThoughtLLM(ChatLLM())
    for response in (
        llm.chat(asked(PLAIN)),
        await llm.achat(asked(PLAIN)),
        list(llm.stream_chat(asked(PLAIN)))[-1],
    ):
        assert response.message.content == "One plain answer."
        assert response.raw["usage"]["completion_tokens"] == 3
        assert response.additional_kwargs["sot"]["route"] == "direct"


def test_the_router_reads_the_question_and_not_the_context_around_it():
    seen: list[str] = []

    class Watching:
        def route(self, messages: list[Message]) -> Decision:
            seen.append(messages[-1].text)
            return Decision("sot", 1.0, "")

        async def aroute(self, messages: list[Message]) -> Decision:
            return self.route(messages)

    llm = ChatLLM(window=10_000)
    front = SkeletonOfThoughtLLM(llm, router=Watching())
    CompactAndRefine(llm=front).synthesize(QUESTION, nodes())
    assert seen == [QUESTION]
    assert "Context information is below" in llm.script.asked[0]
    assert "First write only the skeleton" in llm.script.asked[0]
    front.chat(asked(f"{'Some context. ' * 200}\n\n{QUESTION}"))
    assert seen[1] == QUESTION


READ = {
    "TREE_SUMMARIZE_PROMPT",
    "TEXT_QA_PROMPT",
    "SIMPLE_INPUT_PROMPT",
    "CHAT_TEXT_QA_PROMPT",
    "CHAT_TREE_SUMMARIZE_PROMPT",
    "CHAT_SIMPLE_INPUT_PROMPT",
    "CHAT_CONTENT_QA_PROMPT",
    "CHAT_CONTENT_TREE_SUMMARIZE_PROMPT",
}
VALUES = {
    "query_str": QUESTION,
    "context_str": "Heaps get hot.",
    "max_keywords": 5,
    "num_chunks": 3,
    "num_queries": 3,
}


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        (name.removeprefix("DEFAULT_").removesuffix("_SEL"), prompt)
        for module in (default_prompts, chat_prompts)
        for name, prompt in vars(module).items()
        if hasattr(prompt, "format_messages") and isinstance(prompt, object) and name.isupper()
    ],
)
def test_llamaindexs_own_prompts_are_told_apart(name, prompt):
    values = {name: VALUES.get(name, "something") for name in prompt.template_vars}
    question = question_in(prompt.format_messages(**values), {})
    assert question == (QUESTION if name in READ else None)


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([], {}),
        (asked("  "), {}),
        (asked(QUESTION, "assistant"), {}),
        (asked(QUESTION), {"tools": [{}]}),
        (asked(QUESTION), {"response_format": {"type": "json_object"}}),
        (asked("Previous conversation ...\n\nFollow Up Input: And water?\nStandalone question:"), {}),
        (asked("Is it supported? You need to answer with either YES or NO."), {}),
        ([*asked("Thought: ...\nAction Input: {}", "system"), *asked(QUESTION)], {}),
        ([*asked("Existing Answer:\nHeat.", "system"), *asked(QUESTION)], {}),
        ([*asked("It is 3.", "tool"), *asked(QUESTION)], {}),
    ],
)
def test_steps_are_not_for_readers(messages, options):
    assert question_in(messages, options) is None


def test_questions_about_such_words_are_for_readers():
    for question in (
        "What are the advantages of JSON?",
        "How do I write a good summary?",
        "Compare SQL and NoSQL: why?",
    ):
        assert question_in(asked(question), {}) == question


def test_tokens_are_counted_once_and_the_callers_llm_stays_as_it_is():
    inner = ChatLLM()
    counter = TokenCountingHandler()
    own = inner.callback_manager
    front = SkeletonOfThoughtLLM(inner)
    front.callback_manager = CallbackManager([counter])
    response = front.chat(asked(QUESTION))
    assert inner.callback_manager is own
    assert counter.total_llm_token_count == response.additional_kwargs["sot"]["usage"]["total_tokens"]
    assert len(counter.llm_token_counts) == 4


SYSTEM = "Write for children."
STEP = "Existing answer: Heat. Refine it for: {question}"


@pytest.mark.parametrize("template", ["{question}", STEP])
@pytest.mark.parametrize("kind", [ChatLLM, CompletionLLM])
@pytest.mark.parametrize("way", ["predict", "apredict", "stream", "astream"])
async def test_the_system_prompt_of_the_llm_behind_is_in_every_request_once(kind, way, template):
    inner = kind(system_prompt=SYSTEM)
    written = getattr(SkeletonOfThoughtLLM(inner), way)(PromptTemplate(template), question=QUESTION)
    written = await written if way.startswith("a") else written
    if way == "stream":
        list(written)
    elif way == "astream":
        assert [piece async for piece in written]
    assert len(inner.script.asked) == (4 if kind is ChatLLM and template != STEP else 1)
    assert [asked.count(SYSTEM) for asked in inner.script.asked] == [1] * len(inner.script.asked)


@pytest.mark.parametrize("kind", [ChatLLM, CompletionLLM])
def test_refining_keeps_the_system_prompt(kind):
    inner = kind(system_prompt=SYSTEM)
    Refine(llm=SkeletonOfThoughtLLM(inner)).synthesize(QUESTION, nodes(2))
    assert len(inner.script.asked) == (5 if kind is ChatLLM else 2)
    assert [asked.count(SYSTEM) for asked in inner.script.asked] == [1] * len(inner.script.asked)


def test_a_conversation_that_has_the_system_prompt_already_gets_no_second_one():
    inner, points = ChatLLM(system_prompt=SYSTEM), ChatLLM(system_prompt="Be brief.")
    front = SkeletonOfThoughtLLM(inner, point_model=points)
    for messages in (asked(QUESTION), front._extend_messages(asked(QUESTION))):
        front.chat(messages)
    assert [each.count(SYSTEM) for each in inner.script.asked] == [1] * 2
    assert [(each.count(SYSTEM), each.count("Be brief.")) for each in points.script.asked] == [(0, 1)] * 6


def test_messages_for_a_tool_call_get_the_system_prompt():
    front = SkeletonOfThoughtLLM(ToolLLM(system_prompt=SYSTEM))
    assert [message.content for message in front._extend_messages(asked(QUESTION))] == [SYSTEM, QUESTION]


def test_a_completion_llms_own_templates_hold():
    inner = CompletionLLM(
        completion_to_prompt=lambda prompt: f"<s>{prompt}</s>",
        messages_to_prompt=lambda messages: f"<m>{shown(messages)}</m>",
    )
    SkeletonOfThoughtLLM(inner).predict(PromptTemplate("Say {question}"), question=QUESTION)
    SkeletonOfThoughtLLM(inner).predict(ChatPromptTemplate(message_templates=asked(QUESTION)))
    assert inner.script.asked == [f"<s>Say {QUESTION}</s>", f"<m>user: {QUESTION}</m>"]


def test_options_mean_the_same_as_elsewhere():
    with pytest.raises(ConfigurationError, match="max_points"):
        SkeletonOfThoughtLLM(ChatLLM(), max_points=1)
    inner = ChatLLM()
    points = ChatLLM(Script(point="From another model."))
    response = SkeletonOfThoughtLLM(inner, point_model=points, max_points=2).chat(
        asked(QUESTION), temperature=0.3
    )
    assert response.message.content == "1. Soil: From another model.\n\n2. Water: From another model."
    assert [kwargs["temperature"] for kwargs in (*inner.script.kwargs, *points.script.kwargs)] == [0.3] * 3


class StepsLLM(ChatLLM):
    """Condenses and judges as it should, and writes all else as its script says."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Script(), window=8000, **options)
        write = self.script.answer

        def answer(prompt: str, kwargs: Any) -> list[str]:
            words = write(prompt, kwargs)
            if "tandalone question" in prompt:
                return [QUESTION]
            return ["YES"] if "YES" in prompt else ["4.0\nGood."] if "evaluation system" in prompt else words

        self.script.answer = answer

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="".join(self.script.answer(f"user: {prompt}", kwargs)))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="".join(self.script.answer(f"user: {prompt}", kwargs)))


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> VectorStoreIndex:
    monkeypatch.setattr(Settings, "_embed_model", MockEmbedding(embed_dim=3))
    return VectorStoreIndex.from_documents([Document(text=node.node.get_content()) for node in nodes(3)])


@pytest.mark.parametrize("mode", ["condense_plus_context", "context", "simple", "condense_question"])
async def test_chat_engines(index, mode):
    inner = StepsLLM()
    llm = SkeletonOfThoughtLLM(inner)
    engine = (
        SimpleChatEngine.from_defaults(llm=llm, memory=memory())
        if mode == "simple"
        else index.as_chat_engine(mode, llm=llm, memory=memory())
    )
    first = engine.chat(QUESTION)
    assert str(first).startswith("1. Soil:")
    assert (await engine.achat(QUESTION)).response.startswith("1. Soil:")
    if mode in {"condense_plus_context", "condense_question"}:
        condensing = [prompt for prompt in inner.script.asked if "tandalone question" in prompt]
        assert len(condensing) == 1  # and it has been asked once, as it is
        assert "skeleton" not in condensing[0].rsplit("user:", 1)[-1]
    streamed = engine.stream_chat(QUESTION)
    assert "".join(streamed.response_gen).startswith("1. Soil:")


async def test_evaluators_judge_with_the_model_itself():
    inner = StepsLLM()
    llm = SkeletonOfThoughtLLM(inner)
    for evaluator in (
        FaithfulnessEvaluator(llm=llm),
        RelevancyEvaluator(llm=llm),
        CorrectnessEvaluator(llm=llm),
    ):
        result = await evaluator.aevaluate(QUESTION, "Air and water.", ["Heaps need air."], reference="Air.")
        assert result.passing
    assert inner.script.asked
    assert not [prompt for prompt in inner.script.asked if "skeleton" in prompt]


class ToolLLM(ChatLLM, FunctionCallingLLM):
    """Calls the tool `seasons` once, then writes an answer."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=8000, is_chat_model=True, is_function_calling_model=True, model_name="fake"
        )

    def _prepare_chat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> Any:
        extra = (
            [ChatMessage(role="user", content=user_msg)]
            if isinstance(user_msg, str)
            else [user_msg]
            if user_msg
            else []
        )
        return {"messages": [*(chat_history or []), *extra], "tools": [tool.metadata.name for tool in tools]}

    def _called(self, messages: Any) -> bool:
        return any(message.role == MessageRole.TOOL for message in messages)

    async def astream_chat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> Any:
        prepared = self._prepare_chat_with_tools(tools, user_msg, chat_history)
        self.script.kwargs.append({"tools": prepared["tools"]})
        called = self._called(prepared["messages"])

        async def pieces() -> Any:
            block = ToolCallBlock(tool_call_id="1", tool_name="seasons", tool_kwargs={})
            message = ChatMessage(role="assistant", blocks=[] if called else [block])
            if called:
                message = ChatMessage(role="assistant", content="In four seasons.")
            yield ChatResponse(message=message, delta=message.content or "")

        return pieces()

    async def achat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> Any:
        *_, last = [each async for each in await self.astream_chat_with_tools(tools, user_msg, chat_history)]
        return last

    def get_tool_calls_from_response(self, response: Any, **_: Any) -> list[ToolSelection]:
        return [
            ToolSelection(tool_id="1", tool_name=block.tool_name, tool_kwargs={})
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]


async def test_an_agents_tools_go_through_untouched():
    calls = []

    def seasons() -> str:
        """The seasons."""
        calls.append(1)
        return "spring, summer"

    inner = ToolLLM()
    llm = SkeletonOfThoughtLLM(inner)
    assert llm.metadata.is_function_calling_model
    agent = FunctionAgent(tools=[seasons], llm=llm, streaming=True)
    assert str(await agent.run(QUESTION, memory=memory())) == "In four seasons."
    assert calls == [1]
    assert inner.script.kwargs == [{"tools": ["seasons"]}] * 2


async def test_a_reacting_agent_talks_to_the_model_itself():
    inner = ChatLLM(Script(), window=8000)
    inner.script.answer = lambda prompt, kwargs: (
        inner.script.asked.append(prompt) or ["Thought: I know.\nAnswer: Heat."]
    )
    agent = ReActAgent(tools=[], llm=SkeletonOfThoughtLLM(inner), streaming=False)
    assert str(await agent.run(QUESTION, memory=memory())) == "Heat."
    assert not [prompt for prompt in inner.script.asked if "skeleton" in prompt]


async def test_a_step_of_a_workflow_streams():
    class Flow(Workflow):
        @step
        async def answer(self, event: StartEvent) -> StopEvent:
            pieces = await SkeletonOfThoughtLLM(ChatLLM()).astream_chat(asked(event.question))
            return StopEvent(result="".join([piece.delta async for piece in pieces]))

    text: Any = await Flow().run(question=QUESTION)
    assert text.startswith(ANSWER)


def test_an_llm_without_tools_says_so():
    llm = SkeletonOfThoughtLLM(ChatLLM())
    with pytest.raises(ConfigurationError, match="calls no tools"):
        llm.chat_with_tools([], "How?")


async def test_closing_a_stream_stops_the_requests():
    inner = ChatLLM(Script(points=4, pause=0.01, words=200))
    stream = await SkeletonOfThoughtLLM(inner).astream_chat(asked(QUESTION))
    async for _ in stream:
        break
    await stream.aclose()
    assert inner.script.running == 0
    assert inner.script.cancelled
