"""An answer as Jupyter shows it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from llama_index.core.llms import MockLLM

from langchain_sot import SkeletonOfThoughtChain
from llamaindex_sot import SkeletonOfThoughtQueryEngine
from skeleton_of_thought import Answer, AnswerView, ConfigurationError, PointResult, Seconds, Usage, view

POINTS = (
    PointResult(1, "Dark room", "Curtains.", start=1.5, seconds=2.0, usage=Usage(9, 4)),
    PointResult(2, "No coffee", "", "failed", "FakeError: <gone> | really", start=1.5, seconds=0.5),
    PointResult(3, "Same *hours*", "Every day.", start=2.5, seconds=1.5),
)
ANSWER = Answer(
    "1. Dark room: Curtains.\n\n3. Same *hours*: Every day.",
    "sot",
    "no router",
    "1. Dark room\n2. No coffee\n3. Same *hours*",
    POINTS,
    Seconds(route=0.5, skeleton=1.0, points=2.5, total=4.0, first_token=2.0),
    Usage(1050, 30),
)


class Page(HTMLParser):
    """Reads tags, texts and the places of the bars; complains about tags that do not close."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "\n".join(self.texts)

    @property
    def bars(self):
        styles = [attrs["style"] for _, attrs in self.tags if "left:" in attrs.get("style", "")]
        return [
            tuple(float(re.search(rf"{name}:([\d.]+)%", s)[1]) for name in ("left", "width")) for s in styles
        ]


def test_html_shows_text_skeleton_and_timeline():
    page = Page(ANSWER._repr_html_())
    assert "Skeleton-of-Thought, 2 of 3 points" in page.text
    assert "4.0 s, first text after 2.0 s · 1,050 tokens in, 30 out" in page.text
    for label in ("skeleton", "1. Dark room", "2. No coffee", "3. Same *hours*"):
        assert label in page.text
    assert ANSWER.text in page.text
    assert page.bars == [(12.5, 25.0), (37.5, 50.0), (37.5, 12.5), (62.5, 37.5)]
    assert "1.50 – 3.50 s" in page.text


def test_html_needs_nothing_from_outside_and_no_style_sheet():
    page = Page(ANSWER._repr_html_())
    assert {tag for tag, _ in page.tags} <= {"div", "span", "b"}
    assert {name for _, attrs in page.tags for name in attrs} <= {"style", "title"}
    assert "http" not in ANSWER._repr_html_()
    assert "url(" not in ANSWER._repr_html_()


def test_html_takes_its_colours_from_the_page():
    frame = Page(ANSWER._repr_html_()).tags[0][1]["style"]
    assert "color:inherit" in frame
    assert "background:transparent" in frame


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b"])
def test_what_a_model_wrote_is_escaped(evil):
    point = replace(POINTS[1], title=evil, error=evil)
    answer = replace(ANSWER, text=evil, reason=evil, points=(point,))
    page = Page(answer._repr_html_())
    assert {tag for tag, _ in page.tags} <= {"div", "span", "b"}
    assert page.text.count(evil) == 4
    markdown = answer._repr_markdown_()
    assert "<script" not in markdown
    assert "<img" not in markdown


def test_markdown_shows_the_same():
    lines = ANSWER._repr_markdown_().splitlines()
    assert lines[0].startswith("**Skeleton-of-Thought, 2 of 3 points** · no router · 4.0 s")
    table = [line for line in lines if line.startswith("| ")]
    assert [len(re.split(r"(?<!\\)\|", line)) for line in table] == [6] * 5, "four cells each"
    assert table[2].startswith("| 1. Dark room | `·········████████████···` | 1.50 | 3.50 |")
    assert r"FakeError: &lt;gone&gt; \| really" in table[3]
    assert r"3. Same \*hours\*" in table[4]
    assert "\n".join(lines).endswith(ANSWER.text)


def test_a_plain_answer():
    answer = Answer("It is 4.", "direct", "a sum", seconds=Seconds(route=0.5, total=2.0, first_token=0.6))
    page = Page(answer._repr_html_())
    assert "Plain answer" in page.text
    assert page.bars == [(25.0, 75.0)]
    assert "answer | `······██████████████████` | 0.50 | 2.00 |" in answer._repr_markdown_()


def test_an_answer_without_any_time():
    answer = Answer("It is 4.", "direct", "a sum")
    assert Page(answer._repr_html_()).bars == [(0.0, 0.5)]
    assert "`█·" in answer._repr_markdown_()


@pytest.fixture
def chain():
    responses = ["1. Set goals\n2. Take breaks", "Goals help.", "Breaks help."]
    return SkeletonOfThoughtChain(model=FakeListChatModel(responses=responses))


def test_a_langchain_message(chain):
    message = chain.invoke("How?")
    shown = view(message)
    assert isinstance(shown, AnswerView)
    assert (shown.text, shown.sot) == (message.text, message.response_metadata["sot"])
    page = Page(shown._repr_html_())
    assert "2. Take breaks" in page.text
    assert "Breaks help." in page.text


def test_langchain_chunks_added_up(chain):
    chunks = list(chain.stream("How?"))
    whole = sum(chunks[1:], chunks[0])
    assert len(Page(view(whole)._repr_html_()).bars) == 3


def test_llama_index_responses():
    for streaming in (False, True):
        engine = SkeletonOfThoughtQueryEngine(MockLLM(max_tokens=4), router="always", streaming=streaming)
        shown = view(engine.query("How?"))
        assert shown.text == "text text text text"
        assert shown.sot["route"] == "direct"
        assert "the skeleton had only one point" in shown._repr_markdown_()


def test_what_the_command_prints():
    told = json.loads(json.dumps({"question": "How?", "answer": ANSWER.text, **ANSWER.to_dict()}))
    assert view(told)._repr_html_() == ANSWER._repr_html_()


@pytest.mark.parametrize("other", [AIMessage("Hello"), "Hello", {"answer": "Hello"}, None, 3])
def test_anything_else_is_refused_with_what_is_taken(other):
    with pytest.raises(ConfigurationError, match=f"in this {type(other).__name__}. Pass an Answer"):
        view(other)
