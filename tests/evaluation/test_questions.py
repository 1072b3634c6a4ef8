"""The questions written for the evaluation, and the files it takes instead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections import Counter

import pytest

from skeleton_of_thought.errors import ConfigurationError, MissingExtraError
from skeleton_of_thought.evaluation import EvaluationQuestion, read_evaluation_questions
from skeleton_of_thought.routing.labels import read_questions, shipped_questions
from skeleton_of_thought.routing.training.near_duplicates import near_duplicates

CATEGORIES = [
    "generic",
    "knowledge",
    "roleplay",
    "common-sense",
    "fermi",
    "counterfactual",
    "coding",
    "math",
    "writing",
]


def read(path, **options):
    return list(read_evaluation_questions(path, **options))


def test_the_own_set_has_ten_labelled_questions_of_nine_categories():
    questions = read("own")
    assert Counter(question.category for question in questions) == dict.fromkeys(CATEGORIES, 10)
    assert len({question.id for question in questions}) == 90
    assert {question.suitable for question in questions} == {True, False}
    assert [question.category for question in read("own", limit=9)] == CATEGORIES


@pytest.mark.slow
def test_no_own_question_is_near_one_the_routers_were_trained_on():
    texts = [question.request for question in read("own")]
    trained_on = [question.request for question in read_questions(shipped_questions())]
    assert near_duplicates(texts, threshold=0.5) == []
    assert near_duplicates(texts, trained_on, threshold=0.5) == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.jsonl",
            '{"request": "Why?", "label": 1}\n\n{"request": "How?"}\n',
            [("1", "Why?", "", True), ("2", "How?", "", None)],
        ),
        (
            "vicuna.jsonl",  # the columns of Vicuna-80's question.jsonl
            '{"question_id": 7, "text": "Why?", "category": "generic"}\n',
            [("7", "Why?", "generic", None)],
        ),
        (
            "wizardlm.jsonl",  # the columns of WizardLM's test set
            '{"idx": 3, "Skill": "Math", "Difficulty": 2, "Instruction": "Add."}\n',
            [("3", "Add.", "Math", None)],
        ),
        (
            "b.json",
            '[{"question": "Why?"}, {"prompt": "How?"}]',
            [("1", "Why?", "", None), ("2", "How?", "", None)],
        ),
        ("c.csv", "label,category,request\n1,generic,Why?\n", [("1", "Why?", "generic", True)]),
        ("d.csv", 'label;request\n0;"a; b, c"\n', [("1", "a; b, c", "", False)]),
        ("e.csv", "\ufeffid,text\r\nx,Why?\r\n", [("x", "Why?", "", None)]),
    ],
)
def test_files(tmp_path, name, text, expected):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert [(q.id, q.request, q.category, q.suitable) for q in read(str(path))] == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"id": "a\\ud83d", "request": "Why \\ude00? \\ud83d\\ude00 \\\\ud83d"}\n'),
        ("a.json", '[{"id": "a\\uD83D", "request": "Why \\uDE00? \\uD83D\\uDE00 \\\\ud83d"}]'),
    ],
)
def test_half_characters_are_replaced_and_whole_ones_stay(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    (question,) = read(str(tmp_path / name))
    assert (question.id, question.request) == ("a\ufffd", "Why \ufffd? \N{GRINNING FACE} \\ud83d")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "[" * 100_000, "line 1 is no JSON: it is nested too deeply"),
        ("a.json", "[" * 100_000, "no JSON: it is nested too deeply"),
        ("a.jsonl", '{"request": "Why?"}\n{"request"', "line 2 is no JSON"),
        ("a.jsonl", '{"query": "Why?"}\n', r"no question in it .*query.* request, question"),
        ("a.jsonl", '{"request": "  "}\n', "row 1.*no question"),
        ("a.jsonl", '{"request": "Why?", "label": "maybe"}\n', "label 'maybe'"),
        ("a.jsonl", '{"request": "Why?", "label": ["sot"]}\n', "label \\['sot'\\]"),
        ("a.jsonl", '{"request": "Why?", "label": {"sot": 1}}\n', "label {'sot': 1}"),
        (
            "a.jsonl",
            '{"id": 1, "request": "Why?"}\n{"id": 1, "request": "How?"}\n',
            "row 2.*id '1' is there twice",
        ),
        ("a.jsonl", "", "holds no questions"),
        ("a.jsonl", "[1]\n", "row 1.*no question"),
        ("a.json", '{"a": 1}', "a list of objects"),
        ("a.csv", "id,query\n1,Why?\n", "no question in it"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_the_place(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(str(path))
    assert name in str(caught.value)


def test_a_missing_file_and_an_unknown_name(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nothing\.jsonl"):
        read(str(tmp_path / "nothing.jsonl"))
    with pytest.raises(ConfigurationError, match=r"'vicuna-80'.*own.*hf:"):
        read("vicuna-80")


def test_a_large_file_is_read_line_by_line(tmp_path):
    path = tmp_path / "many.jsonl"
    path.write_text('{"request": "Why?"}\n' * 3 + "no JSON\n", encoding="utf-8")
    questions = read_evaluation_questions(str(path))
    assert [next(questions).id for _ in range(3)] == ["1", "2", "3"]
    assert len(read(str(path), limit=2)) == 2


def test_a_hugging_face_dataset_is_streamed_by_its_name(monkeypatch):
    asked = []

    def load_dataset(name, config, *, split, streaming):
        asked.append((name, config, split, streaming))
        return iter([{"Instruction": "Why?", "Skill": "Math", "idx": 4}])

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    assert read("hf:someone/questions") == [EvaluationQuestion("4", "Why?", "Math", None)]
    assert read("hf:someone/questions:small:train")[0].id == "4"
    assert asked == [("someone/questions", None, "test", True), ("someone/questions", "small", "train", True)]


def test_without_datasets_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"skeleton-of-thought\[datasets\]"):
        read("hf:someone/questions")


@pytest.mark.slow
def test_a_real_dataset_of_hugging_face_s_library(tmp_path):
    """In a process of its own: the library warns, and opens files it leaves to the interpreter to close."""
    pytest.importorskip(
        "datasets", reason="datasets is not installed: pip install 'skeleton-of-thought[datasets]'"
    )
    (tmp_path / "test.jsonl").write_text(
        '{"Instruction": "Why?", "Skill": "Math"}\n{"Instruction": "How?"}\n'
    )
    program = (
        "from skeleton_of_thought.evaluation import read_evaluation_questions as read\n"
        f"print([(q.id, q.request, q.category) for q in read('hf:{tmp_path}')])"
    )
    offline = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=offline, check=False, timeout=120
    )
    assert done.stdout.strip() == "[('1', 'Why?', 'Math'), ('2', 'How?', '')]", done.stderr


def test_a_round_trip():
    question = EvaluationQuestion("a", "Why?", "generic", True)
    assert EvaluationQuestion.from_dict(json.loads(json.dumps(question.to_dict()))) == question
