"""`sot eval speed`, with the real SDK against a server on localhost."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation import ModelFolder, ResultLines, SpeedWork, in_threads
from skeleton_of_thought.evaluation.judging import JudgeWork
from skeleton_of_thought.evaluation.report.content import gather
from skeleton_of_thought.evaluation.summary import summarise
from skeleton_of_thought.fake_server import Pace

from .conftest import MODEL, rows_of, without_times

COMMAND = [sys.executable, "-c", "from sot_command import main; main()"]


def results(out):
    return out / "openai-gpt-4o-mini" / "speed.jsonl"


@pytest.fixture
def nine(server, sot, tmp_path):
    """A run over one question of each category; returns its folder."""
    server.provider.pace = Pace(first_token=0.02, per_token=0.0005)
    code, out, err = sot("eval", "speed", "-m", MODEL, "--limit", 9, "--out", tmp_path / "run")
    assert code == 0, err
    assert "Speed-up" in out
    return tmp_path / "run"


def test_every_question_is_answered_in_three_ways_with_all_that_was_measured(nine):
    rows = rows_of(results(nine))
    assert len(rows) == 9
    row = rows["generic-01"]
    assert (row["label"], row["category"], row["faults"]) == (1, "generic", {})
    assert list(row["ways"]) == ["direct", "sot", "routed"]
    sot, direct, routed = row["ways"]["sot"], row["ways"]["direct"], row["ways"]["routed"]
    assert (sot["route"], direct["route"]) == ("sot", "direct")
    assert routed["route"] == routed["decision"]["route"]
    assert routed["decision"]["seconds"] == pytest.approx(routed["seconds"]["route"])
    assert len(sot["points"]) == 4
    for point in sot["timeline"]["points"]:
        assert point["sent"] < point["first_text"] <= point["ended"]
        assert point["ended"] <= sot["seconds"]["total"] + 0.01
    assert sot["timeline"]["points"][0]["sent"] < sot["timeline"]["skeleton"], "an early start"
    assert 0.02 <= direct["seconds"]["first_token"] < direct["seconds"]["total"]
    assert sot["bill"]["cost"]["total"] > direct["bill"]["cost"]["total"] > 0
    assert sot["bill"]["stages"]["points"]["calls"] == 4
    assert sot["peak_memory"] > 10_000_000


def test_the_ways_take_turns_in_being_first(nine, server):
    """By the ledger: with a skeleton first, plain first, ..."""
    kinds = [entry.stage for entry in server.ledger.entries]
    rows = list(rows_of(results(nine)).values())
    assert len(kinds) == 1 + sum(
        way["bill"]["calls"] for row in rows for way in row["ways"].values()
    )  # and one to warm up
    assert kinds[:3] == [
        "direct",
        "direct",
        "opening",
    ]  # to warm up; question 1, plainly; question 1, skeleton
    first_of_second = 1 + sum(way["bill"]["calls"] for way in rows[0]["ways"].values())
    assert kinds[first_of_second] == "opening"


def test_killed_half_way_and_started_again_it_ends_with_the_same_results(nine, server, tmp_path):
    out = tmp_path / "killed"
    server.provider.pace = Pace(first_token=0.05, per_token=0.001)
    arguments = ["eval", "speed", "-m", MODEL, "--limit", "9", "--out", str(out)]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=os.environ
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not results(out).exists() or len(rows_of(results(out))) < 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = results(out).read_bytes()
    assert 3 <= before.count(b"\n") < 9
    results(out).write_bytes(before + b'{"id": "know')  # as if it was killed while it wrote
    server.ledger.clear()
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=os.environ, check=True)
    assert "Speed-up" in done.stdout
    assert results(out).read_bytes().startswith(before)
    assert without_times(rows_of(results(out))) == without_times(rows_of(results(nine)))
    assert len(json.loads((results(out).parent / "conditions.json").read_text())["runs"]) == 2
    asked = server.ledger.entries
    again = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=os.environ, check=True)
    assert again.stdout == done.stdout
    assert len(server.ledger.entries) == len(asked) + 1  # to warm up, and no question


def test_a_longer_run_continues_a_shorter_one(nine, sot):
    code, _, err = sot("eval", "speed", "-m", MODEL, "--limit", 11, "--out", nine)
    assert code == 0, err
    assert len(rows_of(results(nine))) == 11


def test_a_fault_is_a_result_and_is_tried_again(server, sot, tmp_path):
    server.faults.add("unauthorized", contains="adopt a dog", stage="direct")
    code, out, err = sot("eval", "speed", "-m", MODEL, "--limit", 3, "--out", tmp_path)
    assert code == 0, err
    assert "2 questions" in out
    assert "; 1 faults." in out
    row = rows_of(results(tmp_path))["generic-01"]
    assert list(row["faults"]) == ["direct"]
    assert "AuthenticationError" in row["faults"]["direct"]
    assert list(row["ways"]) == ["sot", "routed"]
    server.faults.clear()
    code, out, err = sot("eval", "speed", "-m", MODEL, "--limit", 3, "--out", tmp_path)
    assert code == 0, err
    assert "3 questions" in out
    assert " faults" not in out
    assert results(tmp_path).read_text().count("\n") == 4


def test_several_questions_at_once_give_the_same_results_within_the_limit(nine, server, sot, tmp_path):
    server.ledger.clear()
    options = ("--concurrency", 4, "--max-requests", 3)
    code, _, err = sot("eval", "speed", "-m", MODEL, "--limit", 9, "--out", tmp_path / "four", *options)
    assert code == 0, err
    assert without_times(rows_of(results(tmp_path / "four"))) == without_times(rows_of(results(nine)))
    assert 1 < server.ledger.most_concurrent() <= 3


def test_results_under_other_conditions_are_not_mixed(nine, sot):
    code, _, err = sot("eval", "speed", "-m", MODEL, "--limit", 9, "--out", nine, "--max-points", 3)
    assert code == 1
    assert '"the prompts\' own", and now it is 3' in err
    assert "--out" in err


def test_a_file_whose_questions_changed_is_not_mixed_with_what_was_answered(server, sot, tmp_path):
    data = tmp_path / "q.jsonl"
    arguments = ("eval", "speed", "-m", MODEL, "--data", data, "--out", tmp_path / "run")
    data.write_text('{"request": "How do I sleep better?"}\n')
    assert sot(*arguments)[0] == 0
    data.write_text('{"request": "Why is the sky blue?"}\n')
    code, _, err = sot(*arguments)
    assert code == 1
    assert "'1'" in err
    assert "Why is the sky blue?" in err


def test_a_run_with_half_a_character_in_a_question_is_continued(server, sot, tmp_path):
    data = tmp_path / "q.jsonl"
    arguments = ("eval", "speed", "-m", MODEL, "--data", data, "--out", tmp_path / "run")
    data.write_text('{"request": "How do I sleep \\ud83d better?"}\n')
    assert sot(*arguments)[0] == 0
    data.write_text(f'{data.read_text()}{{"request": "Why?"}}\n')
    code, _, err = sot(*arguments)
    assert code == 0, err
    assert len(rows_of(results(tmp_path / "run"))) == 2


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"experiment": 1, "runs": []}', '{"experiment": {}}']
)
def test_damaged_conditions_are_named(server, sot, tmp_path, content):
    folder = tmp_path / "openai-gpt-4o-mini"
    folder.mkdir()
    (folder / "conditions.json").write_text(content)
    code, _, err = sot("eval", "speed", "-m", MODEL, "--limit", 1, "--out", tmp_path)
    assert code == 1
    assert "Mend it" in err
    assert server.ledger.entries == ()
    with pytest.raises(ConfigurationError, match=r"conditions\.json"):
        gather(tmp_path)


def test_a_bad_row_is_reported_before_anything_is_asked(server, sot, tmp_path):
    (tmp_path / "q.jsonl").write_text('{"request": "Why?"}\n{"query": "How?"}\n')
    code, _, err = sot(
        "eval", "speed", "-m", MODEL, "--data", tmp_path / "q.jsonl", "--out", tmp_path / "run"
    )
    assert code == 1
    assert "row 2" in err
    assert server.ledger.entries == ()
    assert not (tmp_path / "run").exists()


def test_thousands_of_tasks_are_drawn_one_by_one():
    drawn = 0

    class Echo:
        def open(self):
            return lambda task: task

    def tasks():
        nonlocal drawn
        for number in range(5000):
            drawn += 1
            yield {"id": number}

    rows = in_threads(Echo(), tasks(), concurrency=3)
    for _ in range(10):
        next(rows)
    assert drawn <= 14
    assert sum(1 for _ in rows) == 4990


def test_an_error_of_the_work_itself_reaches_the_caller():
    class Broken:
        def open(self):
            return lambda task: 1 / 0

    for concurrency in (1, 2):
        with pytest.raises(ZeroDivisionError):
            list(in_threads(Broken(), [{"id": 1}], concurrency=concurrency))


def test_the_last_line_of_a_question_counts(tmp_path):
    lines = ResultLines(tmp_path / "r.jsonl")
    assert list(lines) == []
    for row in ({"id": 1, "faults": {"sot": "x"}}, {"id": 2, "faults": {}}, {"id": 1, "faults": {}, "n": 2}):
        lines.append(row)
        assert lines.done() == ({"2"} if row["id"] == 2 else {"1", "2"} if "n" in row else set())
    assert [row["id"] for row in lines] == [2, 1]


@pytest.mark.parametrize("work", [SpeedWork(model=MODEL, max_points=5), JudgeWork(judges=(MODEL,))])
def test_the_work_can_travel(work):
    assert pickle.loads(pickle.dumps(work)) == work


def test_a_terminal_shows_how_far_it_is_and_ctrl_c_keeps_what_is_there(server, tmp_path):
    server.provider.pace = Pace(first_token=0.05, per_token=0.001)
    main, worker = pty.openpty()
    arguments = ["eval", "speed", "-m", MODEL, "--limit", "30", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stderr=worker, stdout=subprocess.DEVNULL, env=os.environ | {"TERM": "xterm"}
    )
    os.close(worker)
    shown, stopped = "", False
    with contextlib.suppress(OSError):  # Linux: the other end is closed
        while part := os.read(main, 4096).decode(errors="replace"):
            shown += part
            if not stopped and re.search(r"[3-9]/30\S* \S*0:00:\d\d", shown):
                process.send_signal(signal.SIGINT)
                stopped = True
    os.close(main)
    assert process.wait(timeout=60) == 130
    assert "Stopped." in shown
    assert stopped, shown[-500:]
    assert 3 <= len(rows_of(results(tmp_path))) < 30


def answer(seconds, *, points=(), length=100, route="direct", label_seconds=0.0, first=None):
    return {
        "text": "x" * length,
        "route": route,
        "reason": "the skeleton had no list" if route == "direct" else "chosen",
        "points": [
            {"index": number, "title": f"Title {number}", "text": text, "status": "ok"}
            for number, text in enumerate(points, 1)
        ],
        "seconds": {
            "route": label_seconds,
            "skeleton": 0.1,
            "points": 0.2,
            "total": seconds,
            "first_token": first or seconds / 2,
        },
        "usage": {"input_tokens": 10, "output_tokens": length // 4, "total_tokens": 0},
        "bill": {},
        "truncated": False,
    }


def row(name, direct, sot, routed, *, label=1, said="sot", **options):
    routed = answer(routed, label_seconds=0.01)
    routed["decision"] = {"route": said, "seconds": 0.01}
    return {
        "id": name,
        "category": options.pop("category", "generic"),
        "label": label,
        "faults": {},
        "ways": {"direct": answer(direct), "sot": answer(sot, route="sot", **options), "routed": routed},
    }


def test_the_summary_is_what_is_counted_by_hand():
    rows = [
        row(
            "a",
            4.0,
            2.0,
            4.0,
            points=("one two three", "one two three four five six"),
            length=150,
            said="direct",
        ),
        row("b", 9.0, 1.0, 1.0, points=("x", "y"), length=50),
        row("c", 1.0, 2.0, 1.0, label=0, category="math", said="sot", points=("p", "q")),
    ]
    rows[2]["ways"]["sot"] = answer(2.0)  # fell back
    found = summarise(
        [*rows, {"id": "d", "category": "math", "label": 1, "faults": {"sot": "x"}, "ways": {}}]
    )
    generic, everything = found.categories["generic"], found.categories["all"]
    assert list(found.categories) == ["all", "generic", "math"]
    assert generic.speed_up.value == pytest.approx((2 * 9) ** 0.5)
    assert (generic.speed_up.low, generic.speed_up.high) == (pytest.approx(2), pytest.approx(9))
    assert generic.routed_speed_up.value == pytest.approx(3)  # 1 and 9
    assert generic.length_ratio == pytest.approx((1.5 + 0.5) / 2)
    assert generic.time_saved == pytest.approx(13 / 3)
    assert generic.balance == pytest.approx(((13 + 27) / 2 / 27 + 1) / 2)
    assert everything.questions == 3
    assert everything.speed_up.value == pytest.approx((2 * 9 * 0.5) ** (1 / 3))
    assert everything.labelled_speed_up.value == pytest.approx((2 * 9 * 1) ** (1 / 3))
    assert everything.parsed == pytest.approx(2 / 3)
    assert found.categories["math"].speed_up.value == pytest.approx(0.5)
    assert found.faults == {"sot": 1}
    assert found.fallbacks == {"the skeleton had no list": 1}
    assert (found.router.true_positives, found.router.false_negatives, found.router.false_positives) == (
        1,
        1,
        1,
    )
    assert found.router_seconds == 0.01


def test_a_run_of_faults_only_says_so():
    found = summarise([{"id": "d", "category": "", "label": None, "faults": {"sot": "x"}, "ways": {}}])
    assert found.line() == "No question was answered in every way (1 faults)."


def test_all_models_of_a_folder(nine):
    assert [folder.path.name for folder in ModelFolder.all_in(nine)] == ["openai-gpt-4o-mini"]


def test_a_row_with_half_a_character_is_written(tmp_path):
    store = ModelFolder(tmp_path, "openai:m")
    store.speed.append({"id": "1", "request": "Why \ud83d?", "faults": {}})
    assert [row["request"] for row in store.speed] == ["Why ??"]
