"""What a probe finds out, and how `sot doctor` says it."""

from __future__ import annotations

import http.server
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skeleton_of_thought.clients import open_client
from skeleton_of_thought.engines import ENGINES, engine_of
from skeleton_of_thought.fake_server import FakeReply, Pace, stage_of
from skeleton_of_thought.probing import Batch, Report, Typical, probe
from skeleton_of_thought.routing.decision import Question
from sot_command.app import app
from sot_command.doctor import chain_line, describe, listed


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


@pytest.mark.parametrize("seconds", [1.1, 4.4], ids=["fast", "half as fast"])
def test_answers_that_come_in_one_piece_do_not_come_in_turn_for_that(seconds):
    one = batch(1, 1.0, 1.0, 1.0, ended=1)
    whole = replace(AT_ONCE, batches=(one, batch(8, seconds, 0.95 * seconds, seconds, ended=8)))
    assert whole.in_turn is False
    assert "8 at once take" in told(whole)
    in_turn = replace(AT_ONCE, batches=(one, batch(8, 8.0, 1.0, 8.0, ended=8)))
    assert in_turn.in_turn is True


@pytest.mark.parametrize("silent", ["plain", "points"])
def test_a_model_that_only_thinks_is_no_measurement(fake, silent):
    plausible = fake.provider.answer

    def answer(request):
        quiet = stage_of(request).kind == "point" if silent == "points" else True
        return FakeReply("", thinking="Hm. " * 200) if quiet else plausible(request)

    fake.provider.answer = answer
    report = probed(fake)
    assert report.reachable
    assert report.problem.startswith(f"it wrote no text within {120 if silent == 'plain' else 40} tokens")
    assert report.gain() is None
    assert report.in_turn is None
    assert "To expect" not in told(report)
    assert "turn that off" in told(report)


def test_a_model_that_only_thinks_where_few_tokens_are_asked_for_is_measured(paced):
    plausible = paced.provider.answer
    short = {8, 12}  # tokens of what is asked after a cancellation, and of a partial answer

    def answer(request):
        return FakeReply("", thinking="Hm. " * 20) if request.max_tokens in short else plausible(request)

    paced.provider.answer = answer
    report = probed(paced)
    assert report.problem is None
    assert report.cancellation == "yes"


ODD_BODIES = [b"", b"[", b"[" * 100_000, b"[]", b"5", b'{"data": 7}', b'{"data": {"a": 1}}', b'{"data": [5]}']
ODD_BODIES += [b'{"data": [{"owned_by": {}}]}', b'{"data": "abc"}', b"\xff"]


class Odd(http.server.BaseHTTPRequestHandler):
    """Answers with the body that its path says the number of; HTTP itself is wrong without one."""

    def do_GET(self):
        number = self.path.strip("/").split("/")[0]
        if number.isdigit():
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ODD_BODIES[int(number)])
        else:
            self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    def log_message(self, *_):
        """Nothing is logged."""


@pytest.fixture(scope="module")
def odd():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", [*map(str, range(len(ODD_BODIES))), "ssh"])
def test_what_is_no_list_of_models_lists_none(odd, path):
    owner, names = listed(f"{odd}/{path}")
    assert owner is None
    assert set(names) <= {"None"}


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1/v1",
        "http://a b/v1",
        "http://host:port/v1",
        "http://ex\u00e4mple:9/v\u00e4",
        "ftp://x",
        "",
    ],
)
def test_an_address_that_is_none_lists_no_models(address):
    assert listed(address) == (None, ())


def test_a_password_in_the_address_is_shown_nowhere(paced):
    address = f"{paced.url}/v1".replace("//", "//me:hunter2@")
    for more in ((), ("--json",)):
        result = CliRunner().invoke(
            app, ["doctor", "--model", "openai:gpt-4o-mini", "--base-url", address, *more]
        )
        assert result.exit_code == 0, result.output
        assert "SkeletonOfThoughtChain(" in result.output
        assert "hunter2" not in result.output
        assert f"{paced.url}/v1" in result.output


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
