import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import LabelledQuestion, LabelRouter, get_router, read_questions

EXPECTED = [
    LabelledQuestion("What are the risks?", suitable=True, category="list"),
    LabelledQuestion('A; "quoted", thing\nwith two lines', suitable=False, category="code"),
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "semicolons.csv",
            'label;category;request\n1;list;What are the risks?\n0;code;"A; ""quoted"", thing\nwith two lines"\n',
        ),
        (
            "commas.csv",
            '\ufeffrequest,label,category\nWhat are the risks?,sot,list\n"A; ""quoted"", thing\nwith two lines",FALSE,code\n',
        ),
        (
            "lines.jsonl",
            '{"request": "What are the risks?", "label": 1, "category": "list"}\n\n{"request": "A; \\"quoted\\", thing\\nwith two lines", "label": 0, "category": "code", "more": 1}\n',
        ),
    ],
)
def test_every_format_reads_the_same(tmp_path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    assert read_questions(file) == EXPECTED


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "label,question\n1,Why?\n", "lacks the column request"),
        ("a.csv", "label,request\n2,Why?\n", "row 1: label '2'"),
        ("a.csv", "label,request\n", "holds no questions"),
        ("a.csv", "label;request\n1\n", "row 1"),
        ("a.jsonl", "{nope\n", "line 1 is no JSON"),
        ("a.jsonl", "[1]\n", "row 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name: str, content: str, message: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        read_questions(file)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.csv cannot be read"):
        read_questions(tmp_path / "nothing.csv")


async def test_labels_are_looked_up_whatever_the_blanks(tmp_path) -> None:
    router = LabelRouter(EXPECTED)
    assert router.route([Message("user", " What  are the\nrisks? ")]).route == "sot"
    assert (await router.aroute(list(EXPECTED[1].messages))).route == "direct"
    unknown = [Message("user", "Something else?")]
    assert router.route(unknown).route == "direct"
    assert LabelRouter(EXPECTED, unknown="sot").route(unknown).route == "sot"
    file = tmp_path / "q.csv"
    file.write_text("label,request\n1,Why?\n")
    assert get_router(f"labels:{file}").route([Message("user", "Why?")]).route == "sot"


def test_a_follow_up_is_a_conversation() -> None:
    assert len(LabelledQuestion("And then?", suitable=False, follows=True).messages) == 3
