"""Any file of answers before scripted judges and people, from the file to what is printed."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation.answer_files import pairs_of, read_answers, two_ways
from skeleton_of_thought.evaluation.blind_pairs import export_pairs, key_of, read_verdicts
from skeleton_of_thought.evaluation.judge_prompts import CRITERIA, judge_messages
from skeleton_of_thought.evaluation.judging import told_by_criterion
from skeleton_of_thought.evaluation.quality import Reason, judge_results, reasons_of
from skeleton_of_thought.evaluation.verdicts import Opinion, opinions, preference
from sot_command.judged import _write_reasons

JUDGE = "openai:reader"


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def answers(tmp_path):
    """Four questions; ours says OURS."""
    return lines(
        tmp_path / "answers.jsonl",
        *({"question": f"Question {n}?", "plain": f"Plain {n}.", "ours": f"OURS {n}."} for n in range(4)),
    )


def fair_reader(request):
    """Prefers ours in depth and the plain answer in length, wherever they stand; finds the first better in style."""
    ours = "A" if "[Answer A]\nOURS" in request.prompt else "B"
    plain = "AB".replace(ours, "")
    found = dict.fromkeys(CRITERIA, "A = B")
    found |= {
        "depth": f"{ours} > {plain}",
        "length": f"{plain} > {ours}",
        "style": "A > B",
        "overall": f"{ours} > {plain}",
    }
    return "I read both.\n" + "\n".join(
        f"{name}: {said} | answer {ours} is like that" for name, said in found.items()
    )


# The command.


def test_a_judge_says_who_won_by_every_criterion_and_why(server, sot, answers, tmp_path):
    server.provider.answer = fair_reader
    out = tmp_path / "out"
    arguments = ("eval", "quality", "--answers", answers, "--judge", JUDGE, "--out", out)
    code, printed, err = sot(*arguments)
    assert code == 0, err
    assert len(server.ledger.entries) == 4 * 2  # one request a pair and order
    assert "depth 4 0 0 +1.00 +1.00 to +1.00 4/0/0 4/0/0 0" in printed
    assert "length 0 0 4 -1.00 -1.00 to -1.00 0/0/4 0/0/4 0" in printed
    assert "style 0 4 0 +0.00 +0.00 to +0.00 4/0/0 0/0/4 0" in printed  # the first both times: nobody won
    assert "overall 4 0 0 +1.00" in printed
    assert "length, lost: ours is like that" in printed
    assert "100% the same in both orders" not in printed  # style is not
    reasons = (out / "answers-answers" / "reasons.md").read_text("utf-8")
    assert reasons.count("- ours is like that") == 7 * 8
    server.ledger.clear()
    again = sot(*arguments)[1]
    assert server.ledger.entries == ()  # all judged
    assert "depth 4 0 0 +1.00" in again


def test_reasons_are_written_as_text(monkeypatch, tmp_path):
    reason = Reason("people", "depth", "win", "<b>1</b>", "<script>x</script>")
    monkeypatch.setattr("sot_command.judged.reasons_of", lambda _: [reason])
    _write_reasons([], tmp_path / "reasons.md")
    written = (tmp_path / "reasons.md").read_text("utf-8")
    assert "&lt;script&gt;x" in written
    assert "<" not in written


def test_another_text_is_judged_anew_and_the_old_verdict_does_not_count(server, sot, answers, tmp_path):
    server.provider.answer = fair_reader
    arguments = ("eval", "quality", "--answers", answers, "--judge", JUDGE, "--out", tmp_path / "out")
    sot(*arguments)
    server.ledger.clear()
    answers.write_text(answers.read_text().replace("Plain 1.", "Another 1."))
    code, printed, _ = sot(*arguments, "--json")
    assert (code, len(server.ledger.entries)) == (0, 2)
    found = {one["metric"]: one for one in json.loads(printed)["judgements"] if one["category"] == "all"}
    assert (found["general"]["wins"], found["depth"]["wins"], found["length"]["losses"]) == (4, 4, 4)


def test_any_two_ways_and_measures_of_their_points(sot, tmp_path):
    points = [
        {"title": "Sleep enough", "text": "Sleep enough, as all say.", "form": "2 bullets"},
        {"title": "Eat well", "text": "Carrots are good for eyes and teeth."},
        {"title": "Move", "text": "Carrots are good for your eyes and teeth."},
    ]
    file = lines(
        tmp_path / "rows.jsonl",
        {"question": "Q?", "way": "a", "answer": "A text"},
        {"question": "Q?", "way": "b", "answer": "B text"},
        {"question": "Q?", "way": "c", "answer": "C text", "points": points},
    )
    code, _, err = sot("eval", "quality", "--answers", file, "--out", tmp_path)
    assert code == 1
    assert "a, b, c" in err
    assert "--against" in err
    code, printed, err = sot(
        "eval", "quality", "--answers", file, "--way", "c", "--against", "b", "--out", tmp_path
    )
    assert code == 0, err
    assert "33% of the sentences are said twice" in printed
    assert "33% of the points open by restating" in printed
    assert "100% of the planned forms are ignored" in printed


def test_people_judge_blind_and_their_verdicts_come_back(sot, answers, tmp_path):
    folder = tmp_path / "pairs"
    code, _, err = sot("eval", "quality", "--answers", answers, "--export", folder, "--out", tmp_path / "out")
    assert code == 0, err
    files = sorted(folder.glob("pair-*.md"))
    assert len(files) == 4
    assert not any("ours" in file.read_text("utf-8") for file in [*files, folder / "verdicts.csv"])
    with (folder / "verdicts.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    for row, file in zip(rows, files, strict=True):
        ours = "A" if "# Answer A\n\nOURS" in file.read_text("utf-8") else "B"
        row |= {
            "reader": "Kim",
            "overall": ours,
            "depth": ours.lower(),
            "style": "=",
            "reason": f"answer {ours} helps",
        }
    rows[3] |= dict.fromkeys(("overall", "depth", "style"), "")  # not read
    with (folder / "verdicts.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    code, printed, err = sot(
        "eval", "quality", "--verdicts", folder / "verdicts.csv", "--out", tmp_path / "out"
    )
    assert code == 0, err
    assert "by Kim" in printed
    assert "depth 3 0 0 +1.00" in printed
    assert "style 0 3 0 +0.00" in printed
    assert "overall 3 0 0 +1.00" in printed
    assert "length 0 0 0 –" in printed  # left empty is no tie
    assert "overall, won: ours helps" in printed


def test_judges_and_exports_need_answers(sot, tmp_path):
    code, _, err = sot("eval", "quality", "--export", tmp_path / "pairs", "--out", tmp_path)
    assert code == 1
    assert "--answers FILE" in err


def test_the_answers_of_a_speed_run_by_every_criterion(server, sot, tmp_path):
    row = {
        "id": "1",
        "request": "Q?",
        "faults": {},
        "ways": {
            way: {"text": text, "points": [], "reason": ""}
            for way, text in {"direct": "Plain.", "sot": "OURS.", "routed": "Other."}.items()
        },
    }
    lines(tmp_path / "m" / "speed.jsonl" if (tmp_path / "m").mkdir() is None else "", row)
    (tmp_path / "m" / "conditions.json").write_text('{"experiment": {}, "runs": []}')
    server.provider.answer = fair_reader
    arguments = ("eval", "quality", "--judge", JUDGE, "--form", "criteria", "--out", tmp_path)
    code, printed, err = sot(*arguments)
    assert code == 0, err
    assert "depth 1 0 0 +1.00" in printed
    assert "sot against routed" in sot(*arguments, "--against", "routed")[1]
    assert sot(*arguments, "--against", "sot")[0] == 1


# Files.


def test_shapes_of_answers_files(tmp_path):
    nested = {
        "id": 7,
        "question": "Q?",
        "answers": {"x": "X", "y": {"answer": "Y", "points": [{"text": "p"}]}},
    }
    (row,) = read_answers(lines(tmp_path / "a.jsonl", nested))
    assert (row["id"], row["ways"]["x"]["text"], row["ways"]["y"]["text"]) == ("7", "X", "Y")
    assert row["ways"]["y"]["points"] == [{"index": 1, "title": "", "text": "p", "status": "ok"}]
    rows = read_answers(
        lines(
            tmp_path / "b.jsonl",
            {"request": "Q?", "way": "x", "text": "X"},
            {"request": "R?", "way": "x", "text": "X"},
            {"request": "Q?", "way": "y", "text": "Y"},
        )
    )
    assert [sorted(row["ways"]) for row in rows] == [["x", "y"], ["x"]]
    assert [row["request"] for row in pairs_of(rows, way="x", against="y")] == ["Q?"]


@pytest.mark.parametrize(
    ("points", "kept"), [(7, []), ("two", []), ({"text": "p"}, []), (["p", {"text": "q"}, None], ["q"])]
)
def test_points_of_another_shape_are_left_out(tmp_path, points, kept):
    row = {"question": "Q?", "answers": {"x": "X", "y": {"text": "Y", "points": points}}}
    (found,) = read_answers(lines(tmp_path / "a.jsonl", row))
    assert found["ways"]["y"]["text"] == "Y"
    assert [point["text"] for point in found["ways"]["y"]["points"]] == kept


@pytest.mark.parametrize("odd", [7, "x", ["x"], {"x": 1}])
def test_odd_faults_and_categories_cost_no_answers(tmp_path, odd):
    row = {"question": "Q?", "category": odd, "answers": {"x": "X", "y": "Y"}, "faults": odd}
    (found,) = read_answers(lines(tmp_path / "a.jsonl", row))
    assert isinstance(found["category"], str)
    assert found["faults"] == (odd if isinstance(odd, dict) else {})


def test_half_a_character_in_an_answers_file_is_replaced(tmp_path):
    file = lines(tmp_path / "a.jsonl", {"question": "Why \ud83d?", "x": "So \ude00.", "y": "Y"})
    rows = read_answers(file)
    (pair,) = pairs_of(rows, way="x", against="y")
    assert (pair["request"], pair["ways"]["x"]["text"]) == ("Why \ufffd?", "So \ufffd.")
    assert pair["version"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"plain": "a", "ours": "b"}], "line 1 has no question"),
        ([{"question": "Q?"}], "no question with answers"),
        ([{"question": "Q?", "way": "x", "text": "X"}] * 2, "already"),
        ([], "holds no answers"),
    ],
)
def test_files_that_hold_none(rows, said, tmp_path):
    with pytest.raises(ConfigurationError, match=said):
        read_answers(lines(tmp_path / "a.jsonl", *rows))


def test_which_two_ways():
    def of(*names):
        return [{"ways": dict.fromkeys(names)}]

    assert two_ways(of("plain", "sot")) == ("sot", "plain")
    assert two_ways(of("x", "y")) == ("x", "y")
    assert two_ways(of("x", "y"), way="y") == ("y", "x")
    assert two_ways(of("x", "y"), against="x") == ("y", "x")
    assert two_ways(of("x", "y", "direct"), way="y") == ("y", "direct")
    for names, chosen in (
        (("x",), {}),
        (("x", "y", "z"), {"way": "x"}),
        (("x", "y"), {"way": "q"}),
        (("x", "y"), {"way": "x", "against": "x"}),
    ):
        with pytest.raises(ConfigurationError, match="--way"):
            two_ways(of(*names), **chosen)


# Blind pairs.


def test_letters_are_even_and_an_export_is_never_overwritten(tmp_path):
    rows = [
        {"id": str(n), "request": "Q?", "category": "", "ways": {"x": {"text": "X"}, "y": {"text": "Y"}}}
        for n in range(10)
    ]
    key = export_pairs(rows, tmp_path / "p", way="x", against="y", seed=1)
    assert key == key_of(tmp_path / "p")
    assert key.parent == tmp_path  # apart from the folder
    letters = [pair["A"] for pair in json.loads(key.read_text())["pairs"].values()]
    assert letters.count("x") == 5
    with pytest.raises(ConfigurationError, match="already"):
        export_pairs(rows, tmp_path / "p", way="x", against="y")


def test_several_readers_agree_or_not_and_mistakes_are_named(tmp_path):
    rows = [
        {"id": str(n), "request": "Q?", "category": "", "ways": {"x": {"text": "X"}, "y": {"text": "Y"}}}
        for n in range(2)
    ]
    key = export_pairs(rows, tmp_path / "p", way="x", against="y", seed=1)
    pairs = json.loads(key.read_text())["pairs"]
    for_x = {name: "A" if pair["A"] == "x" else "B" for name, pair in pairs.items()}
    file = lines(
        tmp_path / "said.jsonl",
        *({"pair": name, "reader": who, "overall": letter} for who in "jk" for name, letter in for_x.items()),
    )
    found = judge_results(read_verdicts(file, key=key))
    assert [(one.pairs, one.same) for one in found.agreement] == [(2, 1.0)]
    general = [one for one in found.judgements if (one.metric, one.category) == ("general", "all")]
    assert [(one.way, one.judge, one.wins) for one in general] == [("x against y", who, 2) for who in "jk"]
    assert {how.consistent for how in found.reliability} == {None}
    for wrong, said in (
        ({"pair": "pair-001", "overall": "C"}, "'C'"),
        ({"pair": "pair-9", "overall": "A"}, "pair-001"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            list(read_verdicts(lines(tmp_path / "wrong.jsonl", wrong), key=key))
    with pytest.raises(ConfigurationError, match="--key"):
        list(read_verdicts(file))
    for content, said in (
        ("no JSON", "is no JSON"),
        ("[1]", "no JSON object"),
        ('{"pairs": 1}', "--key FILE"),
    ):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(ConfigurationError, match=said):
            list(read_verdicts(file, key=tmp_path / "other.json"))


# Replies.


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("depth: A > B | answer A says why", Opinion("first", "answer A says why")),
        ("- **Depth**: B > A - more detail.", Opinion("second", "more detail.")),
        ("| Depth | A = B | alike |", Opinion("neither", "alike")),
        ("3. DEPTH: Answer B (by far)", Opinion("second", "(by far)")),
        ("Depth: tie", Opinion("neither")),
        ("depth: A < B", Opinion("second")),
        ("depth: A is better than it looks", Opinion(None)),
        ("depth: A > A", Opinion(None)),
        ("depth: A ? B | reason", Opinion(None)),
        ("Depth matters here.\ndepth: A > B", Opinion("first")),
        ("", Opinion(None)),
    ],
)
def test_a_line_for_a_criterion(line, expected):
    assert opinions(line)["depth"] == expected


def test_no_repetition_has_several_names_and_overall_decides():
    for name in ("no repetition", "No-repetition", "Repetition"):
        assert opinions(f"{name}: A > B")["no repetition"].preferred == "first"
    assert preference("depth: A > B\noverall: B > A", "criteria") == "second"
    assert preference("depth: A > B", "criteria") is None


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("answer A says why", "ours says why"),
        ("Answer B is vague, answer A is not", "plain is vague, ours is not"),
        ("both answer a question nobody asked", "both answer a question nobody asked"),
        ("to answer b) first is odd", "to answer b) first is odd"),
    ],
)
def test_only_a_letter_in_capitals_is_an_answer_in_a_reason(reason, told):
    found = told_by_criterion({"depth": Opinion("first", reason)}, ("ours", "plain"), skeleton_first=True)
    assert found["depth"] == {"verdict": "win", "reason": told}


def test_the_prompt_names_every_criterion_and_no_way():
    system, user = judge_messages("Q?", "one", "two", form="criteria", metric="general", category="math")
    assert all(f"\n{name}: A ? B" in system.text for name in CRITERIA)
    assert user.text.index("one") < user.text.index("two")


def test_a_criterion_that_cannot_be_read_is_no_tie_and_spoils_no_other():
    told = {name: {"verdict": "win", "reason": "r"} for name in CRITERIA} | {
        "depth": {"verdict": "unparsable", "reason": ""}
    }
    row: dict[str, Any] = {
        "id": "1",
        "way": "sot",
        "judge": "j",
        "form": "criteria",
        "metric": "general",
        "lengths": {"plain": 1, "other": 1},
        "orders": [{"skeleton_first": first, "verdict": "win", "criteria": told} for first in (True, False)],
        "verdict": "win",
    }
    failed = {**row, "id": "2", "orders": [{"skeleton_first": True, "verdict": "failed"}, row["orders"][1]]}
    found = {one.metric: one for one in judge_results([row, failed]).judgements if one.category == "all"}
    assert (found["depth"].ties, found["depth"].unparsable, found["depth"].failed) == (0, 1, 1)
    assert (found["style"].wins, found["style"].failed) == (1, 1)
    assert len(reasons_of([row])) == 2 * (len(CRITERIA) - 1)
