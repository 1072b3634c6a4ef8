"""What models, documents and their names say reaches a terminal as text, and gives it no orders."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.fake_server import PlausibleAnswers
from sot_command.live import LiveView
from sot_command.terminal import Console, plain, plain_name

from .test_command import in_terminal

QUESTION = "How can I improve my time management skills?"
NASTY = (
    "\x1b]0;taken over\x07\x1b[2J\x9b31m\x1b]8;;http://evil\x1b\\LINKED\x1b]8;;\x1b\\\x08\x0c\u202etxt.exe"
)
ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e]")
OURS = re.compile(r"\x1b\[[\d;?]*[A-Za-z]|\r")
"""What Rich itself writes: colours, the cursor, a line cleared."""


@given(st.text(st.sampled_from("\x1b\x9b\x9d\x07\\[]0;mP^ab\n\t\r\u202e\u2067é")))
def test_nothing_but_newlines_and_tabs_is_left(text):
    shown = plain(text)
    assert not ORDERS.search(shown)
    assert plain(shown) == shown
    assert re.findall(r"[\n\t]", shown) == re.findall(r"[\n\t]", text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[1;31mb\x1b[0mc", "abc"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9dtitle\x9ctext", "text"),
        ("\x1b]0;no end, and what follows is kept", "]0;no end, and what follows is kept"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("שלום \u2067עולם\u2069", "שלום \u2067עולם\u2069"),
    ],
)
def test_whole_sequences_go_and_text_stays(text, shown):
    assert plain(text) == shown


def test_a_name_is_one_line_in_its_own_order():
    assert plain_name("in\x1b[31m\nvoice\u202efdp.exe\u2067") == "in voicefdp.exe"


@pytest.fixture
def server(server, sdks_ask):
    answers = PlausibleAnswers(points=4)

    def nasty(request):
        return answers(request).text.replace("\n## ", f"\n## {NASTY}").replace(". ", f". {NASTY}")

    server.provider.answer = nasty
    return sdks_ask(server)


@pytest.mark.parametrize("model", ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"])
@pytest.mark.parametrize("command", [["ask"], ["ask", "--route", "direct"], ["compare"]])
def test_an_answers_orders_stay_out_of_a_pipe(sot, server, command, model):
    code, out, err = sot(*command, QUESTION, "--model", model)
    assert code == 0
    assert "LINKED" in out
    assert not ORDERS.search(out + err)
    code, out, _ = sot(*command, QUESTION, "--model", model, "--json")
    assert "\\u001b]0;taken over" in out
    assert json.loads(out)
    assert not ORDERS.search(out)


def test_an_answers_orders_stay_out_of_a_terminal(server):
    code, written = in_terminal("ask", QUESTION, "--model", "openai:gpt-4o-mini")
    assert code == 0
    assert "LINKED" in written
    assert not ORDERS.search(OURS.sub("", written))
    for order in ("\x1b[2J", "\x1b]0;", "\x1b]8;"):
        assert order not in written


@pytest.mark.parametrize("command", [["ask"], ["ask", "--route", "direct"], ["compare"]])
def test_names_between_colons_are_no_emojis_in_a_terminal(server, command):
    server.provider.answer = lambda _: "Set :warning: and :bug: as they are."
    code, written = in_terminal(*command, QUESTION, "--model", "openai:gpt-4o-mini")
    assert code == 0
    assert ":warning: and :bug: as they are." in OURS.sub("", written)
    assert "🐛" not in written


def test_the_live_view_shows_no_orders():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60, height=20)
    view = LiveView(console)
    view._written = view._status = NASTY
    console.print(view.picture())
    assert not ORDERS.search(OURS.sub("", screen.getvalue()))
    assert "LINKED" in screen.getvalue()


def test_errors_and_logs_give_no_orders(sot, server, monkeypatch):
    def broken(*_, **__):
        logging.getLogger("skeleton_of_thought").warning("a log says %s", NASTY)
        raise OSError(28, "no room", f"/tmp/{NASTY}")

    monkeypatch.setattr("sot_command.ask.open_client", broken)
    code, _, err = sot("ask", QUESTION)
    assert code == 1
    assert err.count("LINKED") == 2
    assert not ORDERS.search(err)


def test_an_error_nobody_foresaw_and_logs_of_others_give_no_orders():
    script = (
        "import sot_command.ask as ask\n"
        "def broken(*_, **__):\n"
        f"    __import__('logging').getLogger('elsewhere').warning({NASTY!r})\n"
        f"    raise LookupError({NASTY!r})\n"
        "ask.open_client = broken\n"
        "from sot_command import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, "ask", QUESTION],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    err = ran.stderr.decode()
    assert ran.returncode == 1
    assert err.startswith("LINKED")
    assert "LookupError: LINKED" in err
    assert not ORDERS.search(err)


def test_documents_and_their_names_give_no_orders(sot, server, tmp_path, monkeypatch):
    pytest.importorskip("llama_index.core")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "documents"
    folder.mkdir()
    name = "notes \x1b]0;taken over\x07\u202egpj.md"
    (folder / name).write_text(f"Compost needs air. {NASTY}\n" * 5, encoding="utf-8")
    (folder / "broken\x1b[2J.pdf").write_bytes(b"%PDF-1.4 nothing")
    code, out, err = sot("ask", QUESTION, "--docs", folder, "--model", "openai:gpt-4o-mini")
    assert code == 0, err
    assert "Written from: notes" in out or "[1] notes" in out
    assert "broken" in err
    assert not ORDERS.search(out + err)


def test_a_judges_words_give_no_orders(sot, tmp_path):
    folder = tmp_path / "pairs"
    answers = tmp_path / "answers.jsonl"
    row = {"question": f"How? {NASTY}", "answers": {f"one{NASTY}": "Text.", "two": f"Other. {NASTY}"}}
    answers.write_text(json.dumps(row) + "\n", encoding="utf-8")
    code, out, err = sot(
        "eval", "quality", "--answers", answers, "--out", tmp_path / "out", "--export", folder
    )
    assert code == 0, err
    assert not ORDERS.search(out + err)
