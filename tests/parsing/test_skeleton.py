"""The skeleton parser: written examples of what models write, and properties that hold for any text."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought import skeleton as module
from skeleton_of_thought.skeleton import Point, Skeleton, parse_skeleton
from tests.fixtures.work import is_linear

FOLDER = Path(__file__).parent / "skeletons"


def examples():
    """The examples of the folder: `=== name`, the text, then `--> title` or `--> title :: description`.

    `smollm2.txt` is what SmolLM2-135M-Instruct wrote; the others are written by hand after the habits of models.
    """
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        for block in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name, _, rest = block.partition("\n")
            text, *expected = re.split(r"^--> ", rest, flags=re.MULTILINE)
            points = [] if expected[0].strip() == "(none)" else [line.strip() for line in expected]
            found.append(pytest.param(text.removesuffix("\n"), points, id=f"{path.stem}: {name}"))
    return found


EXAMPLES = examples()


def titles(text):
    return [point.title for point in parse_skeleton(text)]


def check_shape(skeleton):
    """What holds for every skeleton, whatever the text was."""
    assert [point.index for point in skeleton] == list(range(1, len(skeleton) + 1))
    for point in skeleton:
        assert point.title
        assert point.title == point.title.strip()
        assert len(point.title.splitlines()) == 1
        assert len(point.description.splitlines()) <= 1


class TestExamples:
    @pytest.mark.parametrize(("text", "expected"), EXAMPLES)
    def test_points(self, text, expected):
        found = [
            f"{point.title} :: {point.description}" if " :: " in wanted else point.title
            for point, wanted in zip(parse_skeleton(text), expected + [""] * 99, strict=False)
        ]
        assert found == expected

    @pytest.mark.parametrize(("text", "expected"), EXAMPLES)
    def test_what_holds_for_any_text(self, text, expected):
        skeleton = parse_skeleton(text)
        check_shape(skeleton)
        assert titles(skeleton.as_text()) == [point.title for point in skeleton]
        assert parse_skeleton(text.replace("\n", "\r\n")) == skeleton
        assert parse_skeleton(text.replace("\n", "\r")) == skeleton

    def test_there_are_many_examples(self):
        assert len(EXAMPLES) >= 80


MARKERS = {
    "1.": lambda number: f"{number}. ",
    "1)": lambda number: f"{number}) ",
    "(1)": lambda number: f"({number}) ",
    "1.)": lambda number: f"{number}.) ",
    "1:": lambda number: f"{number}: ",
    "1 -": lambda number: f"{number} - ",
    "**1.**": lambda number: f"**{number}.** ",
    "1、": lambda number: f"{number}、",
    "１．": lambda number: "".join(chr(ord(digit) + 0xFEE0) for digit in str(number)) + "．",
    "१.": lambda number: "".join(chr(ord(digit) + 0x936) for digit in str(number)) + ". ",
    "١-": lambda number: "".join(chr(ord(digit) + 0x630) for digit in str(number)) + "- ",
    "①": lambda number: chr(0x245F + number) + " ",
    "一、": lambda number: "一二三四五六七八九十"[number - 1] + "、",
    "A.": lambda number: chr(64 + number) + ". ",
    "a)": lambda number: chr(96 + number) + ") ",
    "I.": lambda number: ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"][number - 1] + ". ",
    "-": lambda number: "- ",
    "*": lambda number: "* ",
    "•": lambda number: "• ",
    "–": lambda number: "– ",
    "##": lambda number: "## ",
    "## 1.": lambda number: f"## {number}. ",
    "- 1.": lambda number: f"- {number}. ",
    "Point 1:": lambda number: f"Point {number}: ",
    "Step 1 -": lambda number: f"Step {number} - ",
    "Schritt 1:": lambda number: f"Schritt {number}: ",
    "1. 1.": lambda number: f"{number}. {number}. ",
    "1. always": lambda number: "1. ",
}
ON_ONE_LINE = ["1.", "1)", "(1)", "**1.**", "1、", "①", "Point 1:", "A."]
WORDS = "Energy water Food Schlaf déjeuner Über планы 能源 节约用电 エネルギー 건강 الطاقة ऊर्जा пища C++ Node.js 2024".split()  # noqa: SIM905
words = st.sampled_from(WORDS) | st.text("abcdefghijklmnopqrstuvwxyzäéß", min_size=3, max_size=12)
simple_titles = (
    st.lists(words, min_size=1, max_size=5)
    .map(" ".join)
    .filter(lambda title: not title[0].isdigit() and title not in {"skeleton", "outline"})
)
title_lists = st.lists(simple_titles, min_size=2, max_size=9, unique=True)


class TestRoundTrip:
    @given(title_lists, st.sampled_from(sorted(MARKERS)), st.sampled_from(["\n", "\n\n", "\r\n", "\r"]))
    def test_lists(self, wanted, marker, newline):
        lines = (MARKERS[marker](number) + title for number, title in enumerate(wanted, 1))
        assert titles(newline.join(lines)) == wanted

    @given(title_lists, st.sampled_from(sorted(MARKERS)))
    def test_preamble_and_trailing_prose(self, wanted, marker):
        lines = (MARKERS[marker](number) + title for number, title in enumerate(wanted, 1))
        text = "Sure! Here is the skeleton:\n\n{}\n\nLet me know if you want me to write it out."
        assert titles(text.format("\n".join(lines))) == wanted

    @given(title_lists, st.sampled_from(sorted(MARKERS)))
    def test_bold_titles_with_descriptions(self, wanted, marker):
        lines = (
            f"{MARKERS[marker](number)}**{title}**: what it is" for number, title in enumerate(wanted, 1)
        )
        points = parse_skeleton("\n".join(lines))
        assert [point.title for point in points] == wanted
        assert {point.description for point in points} == {"what it is"}

    @given(title_lists, st.sampled_from(sorted(MARKERS)), st.integers(2, 8))
    def test_indented_sub_points(self, wanted, marker, indent):
        lines = (
            f"{MARKERS[marker](number)}{title}\n{' ' * indent}- one\n{' ' * indent}- two"
            for number, title in enumerate(wanted, 1)
        )
        assert titles("\n".join(lines)) == wanted

    @given(
        title_lists.filter(lambda found: len(found) > 2),
        st.sampled_from(ON_ONE_LINE),
        st.sampled_from([" ", "; "]),
    )
    def test_one_line(self, wanted, marker, separator):
        items = (MARKERS[marker](number) + title for number, title in enumerate(wanted, 1))
        assert titles(separator.join(items)) == wanted

    @given(title_lists)
    def test_the_first_number_was_given_to_the_model(self, wanted):
        text = "\n".join(f"{number}. {title}" for number, title in enumerate(wanted, 1))
        assert titles(text.removeprefix("1.")) == wanted

    @given(title_lists)
    def test_json(self, wanted):
        assert titles(json.dumps(wanted)) == wanted
        assert titles(json.dumps({"skeleton": [{"title": title} for title in wanted]}, indent=2)) == wanted

    @given(title_lists, st.sampled_from(sorted(MARKERS)))
    def test_thoughts_and_fences(self, wanted, marker):
        lines = "\n".join(MARKERS[marker](number) + title for number, title in enumerate(wanted, 1))
        assert titles(f"<think>\n1. No\n2. No\n</think>\n\n```\n{lines}\n```") == wanted


# Fragments that mean something to the parser, so that random texts reach its corners.
FRAGMENTS = r"""
1. 2. 3) (1) 1.1 12. 2023. I. ii) A. b) ① 一、 第二， ３． - * • – ** __ ` ``` # ## > | |-| : ： ; . … 、 " “ ” ' [ ] { } ( ) , \
<think> </think> <li> <ol> <b> </b> <|im_end|> <answer> </answer> Point Step Skeleton: Question: final title name 1️⃣ ✅ 🔋
Energy water save the 能源 الطاقة [a](b) {"title": ["a", "b"]
""".split()  # noqa: SIM905
fragments = st.sampled_from(
    [*FRAGMENTS, " ", "  ", "\n", "\n\n", "\r\n", "\t", "    ", "\u2028", "\u200b", "\x00"]
)
any_text = st.lists(fragments | st.text(max_size=3), max_size=60).map("".join) | st.text()


class TestAnyText:
    @given(any_text)
    def test_shape(self, text):
        check_shape(parse_skeleton(text))

    @given(any_text)
    def test_canonical_text_gives_the_same_titles(self, text):
        skeleton = parse_skeleton(text)
        assert titles(skeleton.as_text()) == [point.title for point in skeleton]

    @pytest.mark.slow
    def test_random_strings(self):
        """A sample of the survival run, which takes any count."""
        program = Path(__file__).parents[2] / "benchmarks" / "parse_random.py"
        run = subprocess.run([sys.executable, program, "20000"], check=False, capture_output=True, text=True)
        assert run.stderr == ""
        assert run.stdout.startswith("20000 strings")


UNITS = pytest.mark.parametrize(
    "unit",
    [
        "1",
        " ",
        "1. ",
        "1. a\n",
        "1. 1. ",
        "- a\n",
        "**a",
        "__",
        "[",
        "[\n",
        '{"a":',
        '["a',
        "'",
        "<think>\n",
        "<li>",
        "| a ",
        "(1",
        "a: ",
        "a:\n- b\n",
        "I. ",
        "1.1.",
        "一",
        "第",
        "> ",
        "• a ",
        "2. a ",
        "- - ",
        "“",
        '1. ["a", 1]\n',
        '- {"a": 1}\n',
        '["a", "b"]\n',
        '1. {"a": "b"\n',
        '"title": "a", ',
        "```\n",
        "---\n",
        "([",
    ],
)
"""What, said over and over, could make a parser look at a text again and again."""


@pytest.mark.slow
class TestTime:
    @UNITS
    def test_linear(self, unit):
        """Twice the text is twice the work, also within a list."""
        assert is_linear(parse_skeleton, unit)
        assert is_linear(lambda text: parse_skeleton(f"1. A\n{text}\n2. B\n3. C"), unit)

    @UNITS
    def test_a_long_text_ends(self, unit):
        """Of a regular expression that goes back over the text, this takes longer than a test may."""
        parse_skeleton(unit * (300_000 // len(unit)))


class TestSkeleton:
    def test_is_a_sequence(self):
        skeleton = parse_skeleton("1. Energy: save power\n2. Water")
        first, second = Point(1, "Energy", "save power"), Point(2, "Water")
        assert list(skeleton) == [first, second]
        assert len(skeleton) == 2
        assert skeleton[1] == second
        assert skeleton[:1] == (first,)
        assert first in skeleton
        assert not Skeleton()

    def test_text(self):
        skeleton = parse_skeleton("- Energy: save power\n- Water")
        assert skeleton.as_text() == str(skeleton) == "1. Energy\n2. Water"

    def test_docstrings(self):
        assert doctest.testmod(module).failed == 0
