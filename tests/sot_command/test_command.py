"""The command, with the real SDKs against a server on localhost."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from skeleton_of_thought import Answer
from skeleton_of_thought.fake_server import FakeReply, Pace
from sot_command.footer import footer
from sot_command.live import LiveView
from sot_command.notices import shown_notices

QUESTION = "How can I improve my time management skills?"
COMMAND = [sys.executable, "-c", "from sot_command import main; main()"]


@pytest.fixture
def server(server, sdks_ask):
    """The shared server, where the SDKs' environment variables lead."""
    return sdks_ask(server)


@pytest.fixture(params=["openai:gpt-4o-mini", "openai:gpt-5-mini", "anthropic:claude-haiku-4-5"])
def model(request):
    return request.param


# Answers.


def test_json_is_the_contract(sot, server, model):
    code, out, err = sot("ask", QUESTION, "--model", model, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert list(told) == [
        "question",
        "model",
        "answer",
        "route",
        "reason",
        "opening",
        "skeleton",
        "plan_notes",
        "finish_reason",
        "points",
        "seconds",
        "usage",
        "bill",
    ]
    assert (told["question"], told["model"], told["route"]) == (QUESTION, model, "sot")
    assert [point["index"] for point in told["points"]] == [1, 2, 3, 4]
    assert told["answer"].startswith(told["opening"])
    assert told["reason"] == "the model planned its answer"
    for point in told["points"]:
        assert point["status"] == "ok"
        assert f"**{point['title']}**\n\n{point['text']}" in told["answer"]
    usage = server.ledger.usage()
    assert told["usage"] == {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    assert set(told["seconds"]) == {"route", "skeleton", "points", "total", "first_token"}


def test_plain_text_where_there_is_no_terminal(sot, server, model):
    code, out, err = sot("ask", QUESTION, "--model", model)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    answer, _, footer = out.rstrip().rpartition("\n\n")
    assert answer.count("\n\n**") == 4
    assert re.fullmatch(
        rf"sot \(.+\) · 4 of 4 points · \d+ tokens in, \d+ out · \d+\.\d s, first text after \d+\.\d s · {model}",
        footer,
    )


@pytest.mark.torch
def test_the_packaged_model_answers(sot):
    code, out, err = sot("ask", QUESTION, "--route", "sot", "--json", "--max-points", "4")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["model"], told["route"]) == ("local", "sot")
    assert 3 <= len(told["points"]) <= 4
    for point in told["points"]:
        assert point["status"] == "ok"
        assert len(point["text"].split()) >= 5
        assert not re.search(rf"\n{point['index'] + 1}\.", point["text"]), "does not run on into the next"
    assert told["usage"]["output_tokens"] > 40


def test_route_and_max_points(sot, server):
    _, out, _ = sot("ask", QUESTION, "-m", "openai:m", "--route", "direct", "--json")
    told = json.loads(out)
    assert (told["route"], told["reason"], told["points"], told["skeleton"]) == (
        "direct",
        "chosen by --route",
        [],
        "",
    )
    assert told["answer"]
    assert [entry.stage for entry in server.ledger.entries] == ["direct"]
    _, out, _ = sot(
        "ask", "What is 2 + 2?", "-m", "openai:m", "--json", "--route", "sot", "--max-points", "2"
    )
    assert len(json.loads(out)["points"]) == 2


def test_a_base_url_needs_no_key(sot, server, no_keys):
    for name, url in (("openai:m", f"{server.url}/v1"), ("anthropic:m", server.url)):
        code, out, _ = sot("ask", QUESTION, "--model", name, "--base-url", url, "--json")
        assert code == 0
        assert json.loads(out)["model"] == name


def test_prompts_from_a_file(sot, server, tmp_path):
    file = tmp_path / "mine.json"
    prompts = {
        "outline_prompt": "MINE. An outline as a numbered list: {request}",
        "point_prompt": "MINE. {request}\n{outline}\nWrite only point {point}.",
    }
    file.write_text(json.dumps(prompts), encoding="utf-8")
    code, out, _ = sot("ask", QUESTION, "-m", "openai:m", "--prompts", str(file), "--json", "--route", "sot")
    assert code == 0
    assert len(json.loads(out)["points"]) == 4
    assert all("MINE." in entry.prompt for entry in server.ledger.entries)


def test_compare(sot, server, model):
    server.provider.pace = Pace(first_token=0.02, per_token=0.002)
    code, out, err = sot("compare", QUESTION, "--model", model, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert list(told) == ["question", "model", "speedup", "length_ratio", "direct", "sot"]
    assert (told["direct"]["route"], told["sot"]["route"]) == ("direct", "sot")
    seconds = {way: told[way]["seconds"]["total"] for way in ("direct", "sot")}
    assert told["speedup"] == pytest.approx(seconds["direct"] / seconds["sot"], rel=1e-3)
    assert told["length_ratio"] == len(told["sot"]["answer"]) / len(told["direct"]["answer"])


def test_compare_as_text(sot, server):
    code, out, _ = sot("compare", QUESTION, "--model", "openai:m")
    assert code == 0
    assert re.search(r"Speed-up \d+\.\d\dx at \d+\.\d\d times the length", out)
    assert "Plain answer" in out
    assert "Skeleton-of-Thought" in out


# Errors end with what fixes them.


@pytest.mark.parametrize("name", ["gpt-4o", "openai", "openai:", "anthropic:", "hf:", "mistral:7b", ""])
def test_an_unknown_model_lists_the_kinds(sot, name):
    code, out, err = sot("ask", QUESTION, "--model", name)
    assert (code, out) == (1, "")
    assert f"There is no model {name!r}." in err
    assert "Use local, hf:FOLDER_OR_HUB_ID, openai:NAME or anthropic:NAME." in err
    assert ("Did you mean openai:gpt-4o?" in err) == (name == "gpt-4o")


@pytest.mark.parametrize(
    ("name", "key"), [("openai:m", "OPENAI_API_KEY"), ("anthropic:m", "ANTHROPIC_API_KEY")]
)
def test_a_missing_key_is_named(sot, no_keys, name, key):
    code, _, err = sot("ask", QUESTION, "--model", name)
    assert code == 1
    assert f"Set {key}, or give --base-url" in err


def test_a_wrong_key(sot, server, model):
    server.faults.add("unauthorized")
    code, _, err = sot("ask", QUESTION, "--model", model)
    assert code == 1
    assert "401" in err
    assert err.endswith("Check the key in OPENAI_API_KEY or ANTHROPIC_API_KEY.")
    assert len(server.ledger.entries) == 1, "a wrong key does not pass"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_nobody_listens_at_the_base_url(sot, kind):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    code, _, err = sot("ask", QUESTION, "--model", f"{kind}:m", "--base-url", url)
    assert code == 1
    assert err.endswith("Check --base-url and the network.")
    assert time.monotonic() - started < 20


def test_a_base_url_for_a_local_model(sot):
    code, _, err = sot("ask", QUESTION, "--base-url", "http://localhost:1")
    assert code == 1
    assert "goes with openai:NAME or anthropic:NAME" in err


COMMANDS = {
    "ask": ("ask", QUESTION),
    "compare": ("compare", QUESTION),
    "doctor": ("doctor",),
    "explain": ("router", "explain", QUESTION),
    "profile": ("eval", "profile"),
    "speed": ("eval", "speed"),
    "serve": ("serve",),
    "demo": ("demo",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dtype_is_refused_before_anything_is_loaded_or_written(sot, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    code, out, err = sot(*COMMANDS[command], "--model", "local", "--dtype", "bf16")
    assert (code, out) == (1, "")
    assert "dtype 'bf16' is none of auto, float32, bfloat16, float16, int4, int8." in err
    code, out, err = sot(*COMMANDS[command], "--model", "openai:m", "--dtype", "int8")
    assert (code, out) == (1, "")
    assert "'openai:m'" in err
    assert list(tmp_path.iterdir()) == []


def test_documents_are_read_with_the_same_dtype(sot, tmp_path):
    code, _, err = sot("ask", "--docs", tmp_path, QUESTION, "--dtype", "bf16")
    assert code == 1
    assert "dtype 'bf16' is none of auto, float32" in err


@pytest.mark.parametrize("command", ["ask", "compare"])
def test_an_empty_question_is_refused_before_a_model_is_loaded(sot, monkeypatch, command):
    monkeypatch.setattr(f"sot_command.{command}.open_client", lambda *_, **__: pytest.fail("loaded"))
    code, out, err = sot(command, "  ")
    assert (code, out) == (2, "")
    assert "The question is empty" in err


def test_an_empty_question_is_not_explained(sot):
    code, out, err = sot("router", "explain", "")
    assert (code, out) == (2, "")
    assert "The question is empty" in err


def test_a_prompts_file_that_is_not_there(sot, server):
    code, _, err = sot("ask", QUESTION, "--model", "openai:m", "--prompts", "nowhere.json")
    assert code == 1
    assert "Cannot read the prompts file 'nowhere.json'" in err
    assert server.ledger.entries == ()


def test_a_provider_that_is_down(sot, server):
    server.faults.add("server_error")
    code, _, err = sot("ask", QUESTION, "--model", "openai:m")
    assert code == 1
    assert "500" in err
    assert err.endswith("try again later.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask"],
        ["ask", "x", "--max-points", "1"],
        ["ask", "x", "--route", "both"],
        ["nothing"],
        ["ask", "x", "--nothing"],
    ],
)
def test_wrong_usage_is_exit_code_2(sot, arguments):
    code, out, err = sot(*arguments)
    assert (code, out) == (2, "")
    assert "Usage:" in err


def test_help(sot):
    code, out, _ = sot("--help")
    assert code == 0
    assert all(command in out for command in ("ask", "compare", "router", "serve-fake"))


def test_flags_are_shown_without_a_type(sot):
    for arguments in (["--help"], ["ask", "--help"], ["serve", "--help"], ["router", "explain", "--help"]):
        code, out, _ = sot(*arguments)
        assert code == 0
        assert "--help" in out
        assert "bool" not in out


# What is waited for, and what is not whole.


def test_a_wait_is_said_on_standard_error(sot, server):
    server.faults.add("rate_limit", retry_after=2, times=1, stage="direct")
    code, out, err = sot("ask", QUESTION, "--model", "openai:gpt-4o-mini", "--route", "direct", "--json")
    assert code == 0
    assert json.loads(out)["answer"]
    assert re.fullmatch(r"The provider refuses requests; nothing is sent for \d s \(it asks for 2 s\)\.", err)


def test_a_wait_is_one_line_in_the_live_view_while_it_lasts(capsys):
    with shown_notices(), LiveView(Console(file=io.StringIO(), width=80, height=20)) as view:
        logger = logging.getLogger("skeleton_of_thought.limits")
        logger.info("nothing is sent for %.0f s", 30.0, extra={"pause": 30.0})
        console = Console(file=(shown := io.StringIO()), width=80)
        console.print(view.picture())
        assert re.search(r"^(29|30) s: nothing is sent for 30 s$", shown.getvalue(), re.MULTILINE)
        logger.info("over", extra={"pause": -1.0})
        console = Console(file=(shown := io.StringIO()), width=80)
        console.print(view.picture())
        assert "over" not in shown.getvalue()
    assert capsys.readouterr().err == ""


def answer_with(**point):
    """What `--json` says of an answer with one point."""
    whole = {"index": 1, "text": "Text.", "status": "ok", "error": None, "finish_reason": "stop"}
    return {
        "route": "sot",
        "reason": "why",
        "points": [{**whole, **point}],
        "seconds": {"total": 1.0, "first_token": 0.5},
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("length", "answer cut off by its length limit"),
        ("max_tokens", "answer cut off by its length limit"),
        ("content_filter", "answer broken off by the provider's filter"),
        ("stop", None),
        (None, None),
    ],
)
def test_the_footer_says_that_a_direct_answer_is_not_whole(reason, told):
    answer = Answer("It is", "direct", "a fact", finish_reason=reason)
    parts = footer(answer.to_dict(), "m").split(" · ")
    assert [part for part in parts if part.startswith("answer ")] == ([told] if told else [])


@pytest.mark.parametrize("model", ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"])
@pytest.mark.parametrize("way", [[], ["--route", "direct"]])
def test_a_direct_answer_that_is_cut_off_says_so(sot, server, model, way):
    server.provider.answer = lambda _: FakeReply("One two three four five six. " * 20)
    server.provider.faults.add("truncated", after_tokens=6)
    _, out, _ = sot("ask", QUESTION, "--model", model, *way)
    assert "· answer cut off by its length limit ·" in out
    _, out, _ = sot("ask", QUESTION, "--model", model, *way, "--json")
    assert json.loads(out)["finish_reason"] in {"length", "max_tokens"}


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ({}, ""),
        ({"finish_reason": None}, ""),
        ({"finish_reason": "length"}, "point 1 cut off by its length limit"),
        ({"finish_reason": "max_tokens"}, "point 1 cut off by its length limit"),
        (
            {"finish_reason": "content_filter", "status": "failed"},
            "point 1 broken off by the provider's filter",
        ),
        ({"finish_reason": None, "status": "failed"}, "point 1 broken off"),
        ({"text": "", "status": "skipped"}, "point 1 missing"),
    ],
)
def test_the_footer_names_points_that_are_not_whole(point, told):
    parts = footer(answer_with(**point), "m").split(" · ")
    assert [part for part in parts if part.startswith("point ")] == ([told] if told else [])


# Places that cannot be written.


def test_a_folder_that_cannot_be_written_is_one_line(sot, server, tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "results"
    code, _, err = sot("eval", "speed", "--model", "openai:gpt-4o-mini", "--limit", 1, "--out", out)
    assert code == 1
    assert "cannot be written: Not a directory. Choose a folder that can be, with --out" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["serve", "serve-fake", "demo"])
@pytest.mark.parametrize("port", [99999, -1])
def test_a_port_that_is_none_is_refused_before_anything_is_loaded(sot, command, port):
    code, _, err = sot(command, "--port", port)
    assert code == 2
    assert "or equal to" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--log-level", "verbose"), ("--grace", "inf"), ("--grace", "nan"), ("--grace", "-1")],
)
def test_an_option_of_serve_that_means_nothing_is_refused_before_anything_is_loaded(
    sot, monkeypatch, option, value
):
    monkeypatch.setattr("sot_command.server.open_service", lambda *_, **__: pytest.fail("loaded"))
    code, _, err = sot("serve", option, value)
    assert code == 2
    assert f"Invalid value for '{option}'" in err


def test_a_level_of_the_log_may_be_in_capitals(sot, monkeypatch):
    levels = []
    service = SimpleNamespace(application=lambda: None)
    monkeypatch.setattr("sot_command.server.log_to_stderr", levels.append)
    monkeypatch.setattr("sot_command.server.open_service", lambda *_, **__: service)
    monkeypatch.setattr("sot_command.server.serve", lambda *_, **__: None)
    assert sot("serve", "--log-level", "WARNING")[0] == 0
    assert levels == ["warning"]


def test_an_address_that_is_none_is_no_traceback(sot):
    code, _, err = sot("doctor", "--model", "openai:m", "--base-url", "http://me:hunter2@[::1/v1")
    assert code == 1
    assert "--base-url is no address" in err
    assert "hunter2" not in err


# Ctrl-C.


def test_an_interrupt_that_a_library_hides_is_an_interrupt(sot, monkeypatch):
    def import_of_a_library(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ModuleNotFoundError("Are this object's requirements defined correctly?") from None

    monkeypatch.setattr("sot_command.ask.open_client", import_of_a_library)
    assert sot("ask", QUESTION) == (130, "", "Stopped.")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_while_the_command_itself_loads(sot, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("sot_command.app.run", interrupted)
    assert sot("ask", QUESTION) == (130, "", "Stopped.")


def test_an_interrupt_that_an_import_of_the_command_hides(sot, monkeypatch):
    class Interrupted:
        def find_spec(self, name, *_):
            if name == "sot_command.app":
                with contextlib.suppress(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
                raise ImportError("a library was being loaded")

    monkeypatch.delitem(sys.modules, "sot_command.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert sot("ask", QUESTION) == (130, "", "Stopped.")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# In a terminal.


def in_terminal(*arguments, until=None, then=None, seconds=30):
    """Runs the command in a pseudo terminal of 100 columns; returns its exit code and all it wrote.

    When `until` has been written, the signal `then` is sent.
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    written = b""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            written += piece
            if until is not None and until in written:
                os.killpg(process.pid, then)
                until = None
        return process.wait(timeout=10), written.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_points_fill_in_at_the_same_time_in_a_terminal(server):
    server.provider.pace = Pace(first_token=0.05, per_token=0.02)
    code, written = in_terminal("ask", QUESTION, "--model", "openai:gpt-4o-mini")
    assert code == 0
    assert "Traceback" not in written
    plain = re.sub(r"\x1b\[[\d;]*m", "", written)
    frames = re.split(r"(?:\x1b\[1A|\x1b\[2K|\r)+", plain.replace("\r\n", "\n"))
    assert any(all(f"… {n}. " in frame for n in range(1, 5)) for frame in frames), (
        "four points grow in one picture"
    )
    assert any(all(f"{mark} {n}. " in frame for n, mark in ((1, "✓"), (2, "✓"))) for frame in frames)
    assert "4 of 4 points" in plain[plain.rindex("\x1b[?25h") :], "the cursor is back, and the answer stays"


@pytest.mark.parametrize("way", [[], ["--route", "direct"]])
def test_ctrl_c_in_a_terminal_ends_cleanly(server, way):
    server.provider.pace = Pace(first_token=0.05, per_token=0.2)
    server.ledger.clear()
    code, written = in_terminal(
        "ask",
        QUESTION,
        "--model",
        "openai:m",
        *way,
        until=b"sot:" if not way else b"direct:",
        then=signal.SIGINT,
    )
    assert code == 130
    assert "Traceback" not in written
    assert written.rstrip().endswith("Stopped.")
    assert written.count("\x1b[?25h") >= written.count("\x1b[?25l") > 0
    assert server.ledger.wait_until_idle(), "the requests were hung up"


def test_ctrl_c_in_a_pipe_ends_cleanly(server):
    server.provider.pace = Pace(first_token=0.05, per_token=0.2)
    process = subprocess.Popen(
        [*COMMAND, "ask", QUESTION, "--model", "openai:m", "--route", "direct"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.read(3)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.decode().strip() == "Stopped."


def test_a_reader_that_goes_away_is_no_error(server):
    command = " ".join(f"'{part}'" for part in [*COMMAND, "ask", QUESTION, "--model", "openai:m"])
    result = subprocess.run(
        f"{command} | head -c 5", shell=True, capture_output=True, check=False, timeout=60
    )
    assert result.stderr.decode() == ""
