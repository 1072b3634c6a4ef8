"""What a probe finds out, and how `sot doctor` says it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skeleton_of_thought.clients import open_client
from skeleton_of_thought.engines import ENGINES, engine_of
from skeleton_of_thought.fake_server import FakeReply, Pace
from skeleton_of_thought.probing import Batch, Report, Typical, probe
from skeleton_of_thought.routing.decision import Question
from sot_command.app import app
from sot_command.doctor import chain_line, describe


@pytest.fixture
def paced(fake):
    fake.provider.pace = Pace(first_token=0.05, per_token=0.004)
    yield fake
    fake.provider.slots = None


def probed(fake):
    return probe(open_client("openai:gpt-4o-mini", base_url=f"{fake.url}/v1"))


def batch(requests, seconds, first, last_first, *, ended=0):
    return Batch(requests, seconds, first, last_first, requests * 40, 40, ended)


AT_ONCE = Report(
    model="openai:m",
    plain=batch(1, 1.0, 0.2, 0.2),
    skeleton=batch(1, 1.0, 0.2, 0.2),
    batches=(batch(1, 1.0, 0.2, 0.2), batch(4, 1.2, 0.3, 0.4), batch(8, 1.5, 0.3, 0.5)),
)
IN_TURN = Report(
    model="openai:m",
    plain=batch(1, 1.0, 0.2, 0.2),
    skeleton=batch(1, 1.0, 0.2, 0.2),
    batches=(batch(1, 1.0, 0.2, 0.2), batch(4, 4.0, 0.2, 3.2, ended=3), batch(8, 8.0, 0.2, 7.2, ended=7)),
)


def test_a_server_that_answers_at_once_is_told_from_one_that_answers_in_turn(paced):
    assert probed(paced).in_turn is False
    paced.provider.slots = 1
    assert probed(paced).in_turn is True


def test_what_works_is_found_out(paced):
    report = probed(paced)
    assert report.reachable
    assert report.problem is None
    assert report.cancellation == "yes"
    assert report.schemas == "yes"


def test_a_server_that_refuses_partial_answers_or_closes_the_turn_is_noticed(fake):
    fake.provider.faults.add("prefill_rejected")
    assert probed(fake).partial_answers == "refused"
    fake.provider.faults.clear()
    assert probed(fake).partial_answers == "no"  # what the fake model writes does not go on counting


def test_the_fields_that_keep_a_turn_open_are_found_and_stand_in_the_line_of_python(fake):
    plausible = fake.provider.answer

    def answer(request):
        if not request.prefill:
            return plausible(request)
        return FakeReply(" 5, 6, 7" if request.body.get("continue_final_message") else "1, 2, 3, 4, 5")

    fake.provider.answer = answer
    report = probed(fake)
    fields = {"continue_final_message": True, "add_generation_prompt": False}
    assert (report.partial_answers, report.continue_fields) == ("yes", fields)
    line = chain_line("openai:m", None, report)
    assert line.startswith(
        'SkeletonOfThoughtChain(model=ChatOpenAI(model="m"), prompts="partial", options=Options('
    )
    assert f"continue_fields={fields}" in line
    assert '"continue_final_message": true' in told(report)
    assert json.loads(json.dumps(report.to_dict()))["continue_fields"] == fields


def test_a_server_that_is_not_there_is_no_traceback():
    result = CliRunner().invoke(app, ["doctor", "--model", "openai:m", "--base-url", "http://127.0.0.1:9/v1"])
    assert result.exit_code == 1
    assert "openai:m does not answer" in result.output
    assert "--base-url" in result.output


def test_the_papers_formula():
    lengths = Typical(points=4, point=40, skeleton=20)
    plain = 0.2 + 160 * 0.02
    skeleton = 0.2 + 20 * 0.02
    assert AT_ONCE.gain(lengths) == pytest.approx(plain / (skeleton + 0.3 + 40 * 0.9 / 40))
    assert AT_ONCE.gain() > 2
    assert IN_TURN.gain() < 1


def test_the_same_for_the_length_a_question_lets_expect():
    question = Question("What are the main benefits of learning a second language?")
    saving = AT_ONCE.saving(question)
    assert saving.pays
    assert saving.plain == pytest.approx(0.2 + round(saving.words * 1.5) * 0.02)
    assert not IN_TURN.saving(question).pays
    assert Report(model="m").saving(question) is None


def test_between_the_sizes_that_were_timed_lie_straight_lines():
    six = AT_ONCE.seconds_of_points(6, 40)
    assert six == pytest.approx((AT_ONCE.seconds_of_points(4, 40) + AT_ONCE.seconds_of_points(8, 40)) / 2)
    assert AT_ONCE.seconds_of_points(16, 40) == pytest.approx(2 * AT_ONCE.seconds_of_points(8, 40))


def test_points_that_end_early_make_room_for_the_others():
    assert AT_ONCE.seconds_of_points(8, 40, average=20) == pytest.approx(0.5 + 40 * 0.8 / 40)
    assert IN_TURN.seconds_of_points(8, 40, average=20) == pytest.approx(8 * (0.2 + 20 * 0.02))


def test_prompts_that_are_read_one_after_another_do_not_make_answers_come_in_turn():
    reading = replace(AT_ONCE, batches=(batch(1, 1.4, 0.7, 0.7), batch(8, 10.7, 0.8, 6.7)))
    assert reading.in_turn is False
    assert reading.seconds_of_points(8, 80) == pytest.approx(6.7 + 80 * 4.0 / 40)
    assert "8 at once take 7.6 times as long as one." in told(reading)
    assert "A plain answer is faster there." in told(reading)
    assert "A plain answer is faster there." not in told(AT_ONCE)


def told(report, engine=None):
    return "\n".join(
        describe(report, engine, listed_there=None, line=chain_line("openai:m", "http://x/v1", report))
    )


def test_a_person_reads_what_it_means():
    text = told(AT_ONCE)
    assert "8 at once take 1.5 times as long as one." in text
    assert "times as fast as a plain answer" in text
    assert (
        'SkeletonOfThoughtChain(model=ChatOpenAI(model="m", base_url="http://x/v1", api_key="none"))' in text
    )
    assert len(text.splitlines()) < 24
    assert all(len(line) < 110 for line in text.splitlines())


def test_a_server_that_answers_in_turn_is_told_how_to_start():
    assert "They are answered one after another: start it with" in told(IN_TURN)
    assert "OLLAMA_NUM_PARALLEL" in told(IN_TURN)
    assert "load_aware=True" in told(IN_TURN)


def test_json_has_every_figure(paced):
    command = ["doctor", "--model", "openai:gpt-4o-mini", "--base-url", f"{paced.url}/v1", "--json"]
    result = CliRunner().invoke(app, command)
    told = json.loads(result.stdout)
    assert told["reachable"] is True
    assert told["in_turn"] is False
    assert told["listed"] is True
    assert [each["requests"] for each in told["batches"]] == [1, 4, 8]
    assert told["gain"] > 1
    assert told["chain"].startswith("SkeletonOfThoughtChain(")


def test_explain_says_what_a_skeleton_would_save_there(paced):
    there = ["--model", "openai:gpt-4o-mini", "--base-url", f"{paced.url}/v1"]
    asked = ["router", "explain", "What are the main benefits of tea?", *there]
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert told["sot_seconds"] < told["plain_seconds"]
    assert told["plain_words"] > 100
    gone = CliRunner().invoke(app, [*asked[:-1], "http://127.0.0.1:9/v1"])
    assert "could not be timed" in str(gone.exception or gone.output)


# The table of engines.


def test_every_engine_says_where_everything_is_from():
    assert set(ENGINES) == {
        "vLLM",
        "SGLang",
        "llama.cpp",
        "Ollama",
        "transformers serve",
        "LiteLLM",
        "Ray Serve LLM",
    }
    for engine in ENGINES.values():
        for fact in (engine.start, engine.at_once, engine.partial_answers, engine.disconnect):
            assert fact.text
            assert fact.source
            assert fact.tried in {"tried", "untried"}


def test_an_engine_is_known_by_its_models():
    assert engine_of("llamacpp").name == "llama.cpp"
    assert engine_of("vllm").name == "vLLM"
    assert engine_of("somebody") is None


def test_the_pages_say_what_the_table_says():
    pages = Path(__file__).parents[2] / "docs" / "engines"
    texts = {
        page.read_text().partition("\n")[0].removeprefix("# "): page.read_text()
        for page in pages.glob("*.md")
    }
    for engine in ENGINES.values():
        for fact in (engine.start, engine.at_once, engine.prefix, engine.partial_answers, engine.disconnect):
            assert fact.text in texts[engine.name]
            assert fact.source in texts[engine.name]
