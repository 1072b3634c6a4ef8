"""API models, over the wire formats of OpenAI and Anthropic and their real SDKs."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler

from llamaindex_sot import SkeletonOfThoughtLLM, SkeletonOfThoughtSynthesizer
from llamaindex_sot.llms.client_llm import ClientLLM
from llamaindex_sot.model_defaults import max_stops, named_llm
from skeleton_of_thought import ConfigurationError, Delta, Usage
from skeleton_of_thought.asking import Asker
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.fake_server import FakeReply, FakeServer, PlausibleAnswers
from sot_command import main

from .fakes import is_point, nodes
from .test_documents import DOCUMENTS, WordEmbedding

QUESTION = "How do members keep slugs and other pests away?"
MODELS = ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"]


class Citing:
    """Plausible answers whose points cite a chunk that was given, and one that was not."""

    def __call__(self, request):
        reply = PlausibleAnswers(points=4)(request)
        if "The point is" in request.messages[-1].text:
            return FakeReply(f"{reply.text} Said by [2] and [14].")
        return reply


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "fake")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "fake")
    with FakeServer(answer=Citing()) as server:
        yield server


def address(server: FakeServer, model: str) -> str:
    return server.url + ("/v1" if model.startswith("openai") else "")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("model", MODELS)
async def test_points_are_asked_over_the_wire_and_counted_once(server, model, streaming):
    counter = TokenCountingHandler()
    llm = named_llm(model, base_url=address(server, model))
    llm.callback_manager = CallbackManager([counter])
    synthesizer = SkeletonOfThoughtSynthesizer(llm, router="always", streaming=streaming)
    first, second = (
        synthesizer.synthesize(QUESTION, nodes(8)),
        await synthesizer.asynthesize(QUESTION, nodes(8)),
    )
    text = str(first)
    again = "".join([p async for p in second.async_response_gen()]) if streaming else str(second)
    assert text == again
    assert server.provider.ledger.wait_until_idle()
    entries = server.ledger.entries
    assert [entry.stage for entry in entries].count("skeleton") == 2
    assert len(entries) == 10
    for response in (first, second):
        sot = response.metadata["sot"]
        assert [point["status"] for point in sot["points"]] == ["ok"] * 4
        assert sot["citations"] == {"2": "node-2"}
        assert sot["removed_citations"] == 4
        assert 2 * sot["usage"]["input_tokens"] == sum(entry.input_tokens for entry in entries)
        assert 2 * sot["usage"]["output_tokens"] == sum(entry.output_tokens for entry in entries)
    assert counter.prompt_llm_token_count == sum(entry.input_tokens for entry in entries)
    assert counter.completion_llm_token_count == sum(entry.output_tokens for entry in entries)


@pytest.mark.parametrize("model", MODELS)
def test_what_all_requests_share_is_one_prefix_on_the_wire(server, model):
    llm = named_llm(model, base_url=address(server, model))
    SkeletonOfThoughtSynthesizer(llm).synthesize(QUESTION, nodes(8))
    skeleton, *points = [entry.prompt for entry in server.ledger.entries]
    assert "[8] " in skeleton
    assert len(points) == 4
    assert all(point.startswith(skeleton) for point in points)


@pytest.mark.parametrize("model", MODELS)
async def test_every_method_answers(server, model):
    llm = named_llm(model, base_url=address(server, model))
    asked = [ChatMessage(content="What is mulch?")]
    text = llm.chat(asked).message.content
    assert text
    assert "".join(piece.delta for piece in llm.stream_chat(asked)) == text
    assert llm.complete("What is mulch?").text == text
    assert list(llm.stream_complete("What is mulch?"))[-1].text == text
    assert (await llm.achat(asked)).message.content == text
    assert (await llm.acomplete("What is mulch?")).text == text
    assert [p async for p in await llm.astream_complete("What is mulch?")][-1].text == text
    with pytest.raises(ConfigurationError, match="not 'max_token'"):
        llm.chat(asked, max_token=3)
    cut = llm.chat(asked, max_tokens=3)
    assert cut.raw["finish_reason"] == "length"
    assert cut.raw["usage"]["completion_tokens"] == 3
    assert max_stops(llm) == 4
    assert llm.chat(asked, stop=[text.split()[1]]).message.content.strip() == text.split()[0]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_gives_reasons_elsewhere_gives_them_here_too(server, model, streaming):
    Asker(open_client(model, base_url=address(server, model)), router="never").ask("What is mulch?")
    llm = named_llm(model, base_url=address(server, model))
    response = SkeletonOfThoughtSynthesizer(llm, router="always", streaming=streaming, retries=0).synthesize(
        QUESTION, nodes(3)
    )
    assert str(response)
    points = response.metadata["sot"]["points"]
    assert [point["status"] for point in points] == ["ok"] * 4
    assert {point["finish_reason"] for point in points} == {"stop" if "openai" in model else "end_turn"}


class ScriptedClient:
    """Lists two points; ends with a reason, except that of the point it is told to break off."""

    prompts = None
    load = 0.0

    def __init__(self, name: str, *, breaks: str = "-", max_stops: int | None = None) -> None:
        self.name = name
        self.max_stops = max_stops
        self.breaks = breaks
        self.stops: list[tuple[str, ...]] = []

    def stream(self, request):
        asked = next(message.text for message in reversed(request.messages) if message.role == "user")
        self.stops.append(request.stop)
        whole = self.breaks not in asked
        for text in ("1. Soil\n", "2. Water") if not is_point(asked) else ("Half ", "of it."):
            yield Delta(text, Usage(1, 1))
        yield Delta(finish_reason="stop" if whole else None)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_point_whose_stream_ends_without_a_reason_is_half_of_one(streaming):
    llm = ClientLLM(ScriptedClient(f"half-{streaming}", breaks="The point is 2"))
    synthesizer = SkeletonOfThoughtSynthesizer(llm, router="always", streaming=streaming, retries=0)
    response = synthesizer.synthesize(QUESTION, nodes(3))
    assert str(response)
    points = response.metadata["sot"]["points"]
    assert [(point["status"], point["finish_reason"]) for point in points] == [
        ("ok", "stop"),
        ("failed", None),
    ]


@pytest.mark.parametrize(("breaks", "reason"), [("-", "stop"), ("mulch", None)])
def test_an_answer_has_the_reason_its_model_gave_and_no_other(breaks, reason):
    llm = ClientLLM(ScriptedClient("reasons", breaks=breaks))
    for response in (llm.complete("What is mulch?"), list(llm.stream_complete("What is mulch?"))[-1]):
        assert response.raw["finish_reason"] == reason


@pytest.mark.parametrize("of_call", [{}, {"stop": "END"}, {"stop": ["END", "STOP", "###", "---"]}])
@pytest.mark.parametrize("of_every_call", [{}, {"stop": "OVER"}])
def test_the_callers_stops_are_sent_whole_and_with_no_more_than_a_model_takes(of_call, of_every_call):
    client = ScriptedClient("stops", max_stops=4)
    llm = SkeletonOfThoughtLLM(
        ClientLLM(client), router="always", prompts="partial", llm_kwargs=of_every_call
    )
    llm.chat([ChatMessage(content=QUESTION)], **of_call)
    (given,) = {**of_every_call, **of_call}.values() or [()]
    stops = (given,) if isinstance(given, str) else tuple(given)
    assert len(client.stops) == 3
    for sent in client.stops:
        assert sent[: len(stops)] == stops
        assert len(sent) <= 4


@pytest.fixture
def sot(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        "llamaindex_sot.documents.folder.PackagedEmbedding", lambda: WordEmbedding(embedded=[])
    )
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sot", "ask", "--docs", str(DOCUMENTS), *arguments])
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("model", MODELS)
def test_the_command_answers_from_documents_with_an_api_model(server, sot, model):
    arguments = (QUESTION, "--route", "sot", "--model", model, "--base-url", address(server, model))
    code, out, err = sot(*arguments)
    assert (code, err) == (0, "")
    *points, files, footer = out.strip().split("\n\n")
    assert len(points) == 4
    assert all(point.endswith("Said by [2] and.") for point in points)
    assert files.startswith("[2] ")
    assert footer.startswith("sot (")
    assert footer.endswith(model)
    code, out, err = sot(*arguments, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["files"] == {"2": files.removeprefix("[2] ")}
    assert answer["files"]["2"] in answer["given_files"]
    assert len(answer["points"]) == 4


@pytest.mark.parametrize("way", ["direct", "auto"])
def test_the_command_says_that_a_direct_answer_from_documents_is_cut_off(server, sot, way):
    server.provider.answer = lambda _: FakeReply("One two three four five six.")
    server.provider.faults.add("truncated", after_tokens=4)
    arguments = ("--model", MODELS[0], "--base-url", address(server, MODELS[0]), "--route", way)
    assert "· answer cut off by its length limit ·" in sot(QUESTION, *arguments)[1]


def test_the_command_names_the_sources_of_a_direct_answer_and_what_it_does_not_read(server, sot, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "bees.md").write_text("Bees drink water.")
    (folder / "slides.pptx").write_bytes(b"no")
    arguments = ("--model", MODELS[0], "--base-url", address(server, MODELS[0]), "--route", "direct")
    code, out, err = sot(QUESTION, "--docs", str(folder), *arguments)
    assert code == 0
    assert "\nWritten from: bees.md\n" in out
    assert "Not read: 1 .pptx. What is read: .csv, .docx" in err
    code, out, err = sot(QUESTION, "--docs", str(folder / "bees.md"), *arguments, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["files"], answer["given_files"]) == ({}, ["bees.md"])


def test_the_command_takes_prompts_for_documents(server, sot, tmp_path):
    file = tmp_path / "prompts.json"
    prompts = {
        "outline_prompt": "{request} Give the skeleton, as a numbered list, my way.",
        "point_prompt": "{request} My way, too. {outline} The point is {point}. {point_outline}",
    }
    file.write_text(json.dumps(prompts))
    model = MODELS[0]
    sot(QUESTION, "--model", model, "--base-url", address(server, model), "--prompts", str(file))
    skeleton, *points = [entry.prompt for entry in server.ledger.entries]
    assert "Give the skeleton, as a numbered list, my way." in skeleton
    assert points
    assert all("My way, too." in point and "[12] " in point for point in points)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "nothing"), "openai:NAME"),
        (("--base-url", "http://127.0.0.1:1"), "goes with openai:NAME"),
        (("--model", "openai:gpt-4o-mini"), "OPENAI_API_KEY"),
    ],
)
def test_models_that_cannot_answer_are_refused(sot, monkeypatch, arguments, says):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    code, out, err = sot(QUESTION, *arguments)
    assert (code, out) == (1, "")
    assert says in " ".join(err.split())
