"""The faces of the method, each asked in the same way: a question and a way in, text and the contract out.

A new face is a class with `make`, `model` and `ask`, in `FACES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtChain
from llamaindex_sot import SkeletonOfThoughtLLM, SkeletonOfThoughtQueryEngine, SkeletonOfThoughtSynthesizer
from skeleton_of_thought.asking import Asker

from .models import ScriptedChatModel, ScriptedClient, ScriptedLLM
from .script import PROMPTS, QUESTION, Script

WAYS = ("whole", "stream", "awhole", "astream")


@dataclass(frozen=True)
class Answered:
    """What came back: the text, and the metadata under `"sot"`."""

    text: str
    sot: dict[str, Any]


class LangChainFace:
    """The chain, or the chat model."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.name = kind.__name__

    def model(self, script: Script) -> ScriptedChatModel:
        return ScriptedChatModel(script=script)

    def make(self, script: Script, way: str, **options: Any) -> Any:
        return self.kind(**{"model": self.model(script), "router": "always", "prompts": PROMPTS, **options})

    async def ask(self, script: Script, way: str, **options: Any) -> Answered:
        face = self.make(script, way, **options)
        if way == "whole":
            message = face.invoke(QUESTION)
        elif way == "awhole":
            message = await face.ainvoke(QUESTION)
        else:
            pieces = (
                list(face.stream(QUESTION))
                if way == "stream"
                else [piece async for piece in face.astream(QUESTION)]
            )
            message = pieces[0]
            for piece in pieces[1:]:
                message += piece
        return Answered(str(message.text), message.response_metadata["sot"])


class LlamaIndexFace:
    """The query engine or the synthesizer."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.name = kind.__name__

    def model(self, script: Script) -> ScriptedLLM:
        return ScriptedLLM(script)

    def make(self, script: Script, way: str, **options: Any) -> Any:
        given = {"router": "always", "prompts": PROMPTS, "streaming": way.endswith("stream"), **options}
        return self.kind(self.model(script), **given)

    async def ask(self, script: Script, way: str, **options: Any) -> Answered:
        face = self.make(script, way, **options)
        answer = {"whole": face.query, "stream": face.query, "awhole": face.aquery, "astream": face.aquery}[
            way
        ]
        response = answer(QUESTION)
        if way.startswith("a"):
            response = await response
        if way == "stream":
            text = "".join(response.response_gen)
        elif way == "astream":
            text = "".join([piece async for piece in response.async_response_gen()])
        else:
            text = str(response)
        return Answered(text, response.metadata["sot"])


class LLMFace(LlamaIndexFace):
    """The LLM in front of LLMs."""

    def make(self, script: Script, way: str, **options: Any) -> Any:
        return self.kind(self.model(script), **{"router": "always", "prompts": PROMPTS, **options})

    async def ask(self, script: Script, way: str, **options: Any) -> Answered:
        face, question = self.make(script, way, **options), [ChatMessage(content=QUESTION)]
        if way == "stream":
            *_, response = face.stream_chat(question)
        elif way == "astream":
            *_, response = [piece async for piece in await face.astream_chat(question)]
        else:
            response = face.chat(question) if way == "whole" else await face.achat(question)
        return Answered(response.message.content or "", response.additional_kwargs["sot"])


class PlainFace:
    """`ask`, `stream`, `aask` and `astream`: without a framework."""

    kind = Asker
    name = "Asker"

    def model(self, script: Script) -> ScriptedClient:
        return ScriptedClient(script)

    def make(self, script: Script, way: str, **options: Any) -> Asker:
        return Asker(self.model(script), **{"router": "always", "prompts": PROMPTS, **options})

    async def ask(self, script: Script, way: str, **options: Any) -> Answered:
        asker = self.make(script, way, **options)
        if way == "stream":
            pieces = asker.stream(QUESTION)
            text, answer = "".join(pieces), pieces.answer
        elif way == "astream":
            written = asker.astream(QUESTION)
            text = "".join([piece async for piece in written])
            answer = written.answer
        else:
            answer = asker.ask(QUESTION) if way == "whole" else await asker.aask(QUESTION)
            text = answer.text
        return Answered(text, answer.to_dict())


class Sourced(SkeletonOfThoughtSynthesizer):
    """The synthesizer, asked like a query engine."""

    def query(self, question: str) -> Any:
        return self.synthesize(question, [NodeWithScore(node=TextNode(text="Heaps need air."))])

    async def aquery(self, question: str) -> Any:
        return await self.asynthesize(question, [NodeWithScore(node=TextNode(text="Heaps need air."))])


FACES = (
    LangChainFace(SkeletonOfThoughtChain),
    LangChainFace(ChatSkeletonOfThought),
    LlamaIndexFace(SkeletonOfThoughtQueryEngine),
    LlamaIndexFace(Sourced),
    LLMFace(SkeletonOfThoughtLLM),
    PlainFace(),
)
