from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.fake_server import PlausibleAnswers, stage_of
from skeleton_of_thought.fake_server import wire_openai as wire
from skeleton_of_thought.fake_server.request import count, split
from skeleton_of_thought.messages import Message
from skeleton_of_thought.opening import OpeningReader
from skeleton_of_thought.prompts import PROMPTS, OpeningPrompts, Prompts
from skeleton_of_thought.routing.prompting import ROUTER_PROMPT
from skeleton_of_thought.skeleton import parse_skeleton

from .asking import GPT

LIST = "1. Plan early\n2. Eat **well**\n3. Sleep enough\n4. Ask a friend"
ITEM = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)


def request(*texts, **fields):
    roles = ["user", "assistant"]
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]
    return wire.read({"model": GPT, "messages": messages, **fields}, client="")


@given(st.text())
def test_tokens_are_the_text_again(text):
    assert "".join(split(text)) == text
    assert len(split(text)) == count(text)


@pytest.mark.parametrize(
    ("text", "kind", "numbers"),
    [
        ("Why do we sleep?", "direct", []),
        ("Write the skeleton of an answer, 3 to 10 points: why do we sleep?", "skeleton", []),
        ("Answer with a numbered list of short points. Question: why?", "skeleton", []),
        ("Is it A, B or C? Answer with one letter. The outline: ...", "router", []),
        (f"Skeleton:\n{LIST}\nContinue only point 3, nothing else.", "point", [3]),
        (f"Skeleton:\n{LIST}\nContinue and only continue the writing of point **2**.", "point", [2]),
        (f"Skeleton:\n{LIST}\nWrite points 2, 3 and 4 of it.", "point", [2, 3, 4]),
        (f"Skeleton:\n{LIST}\nThe points are 2 and 4.", "point", [2, 4]),
        (f"Skeleton:\n{LIST}\nWrite points 1-3 of it.", "point", [1, 2, 3]),
        (f"Skeleton:\n{LIST}\nWrite point 9 of the skeleton.", "skeleton", []),
    ],
)
def test_stages_are_recognised(text, kind, numbers):
    stage = stage_of(request(text))
    assert stage.kind == kind
    assert [number for number, _ in stage.points] == numbers


def test_a_partial_line_of_the_list_is_a_point():
    stage = stage_of(request(f"Skeleton:\n{LIST}", "3. **Sleep enough**"))
    assert stage.points == ((3, "Sleep enough"),)
    assert stage_of(request("The skeleton, please.", "1.")).kind == "skeleton"


def test_the_skeleton_may_stand_anywhere_in_the_conversation():
    stage = stage_of(request("An example:\n1. Cook\n2. Serve", LIST, "Write point 2."))
    assert stage.points == ((2, "Eat **well**"),)


@given(st.text(min_size=1), st.integers(1, 12))
def test_skeletons_have_the_points_asked_for(question, points):
    answers = PlausibleAnswers(points=points)
    asked = request(f"Give the skeleton of an answer.\n{question}")
    if stage_of(asked).kind != "skeleton":
        return
    text = answers(asked).text
    assert [int(number) for number, _ in ITEM.findall(text)] == list(range(1, points + 1))
    assert len(set(ITEM.findall(text))) == points
    assert answers(asked).text == text


def test_points_carry_their_titles_and_differ():
    answers = PlausibleAnswers()
    skeleton = answers(request("Give a skeleton: why do we sleep?")).text
    texts = {}
    for number, title in ITEM.findall(skeleton):
        text = answers(request(f"Skeleton:\n{skeleton}\nWrite point {number}.")).text
        assert title in text
        assert 1 <= text.count(".") <= 3
        texts[number] = text
    assert len(set(texts.values())) == len(texts) >= 3
    several = answers(request(f"Skeleton:\n{skeleton}\nWrite points 1 and 3.")).text
    assert [number for number, _ in ITEM.findall(several)] == ["1", "3"]


CONVERSATION = [
    Message("system", "Be kind."),
    Message("user", "How do I sleep better?\n1. Now\n2. In winter"),
]


def asked(messages):
    wired = [{"role": message.role, "content": message.text} for message in messages]
    return wire.read({"model": GPT, "messages": wired}, client="")


@pytest.mark.parametrize(
    "family", sorted(name for name, prompts in PROMPTS.items() if isinstance(prompts, Prompts))
)
def test_the_projects_own_prompts_are_recognised(family):
    prompts, answers = PROMPTS[family], PlausibleAnswers(points=5)
    first = asked(prompts.skeleton_messages(CONVERSATION))
    assert stage_of(first).kind == "skeleton"
    skeleton = parse_skeleton(prompts.skeleton_start + answers(first).text)
    assert len(skeleton) == 5
    for point in skeleton:
        request = asked(prompts.point_messages(CONVERSATION, skeleton, point))
        assert stage_of(request).points == ((point.index, point.title),)
        assert point.title in answers(request).text
    routed = asked([Message("user", ROUTER_PROMPT.replace("{question}", CONVERSATION[-1].text))])
    assert answers(routed).text == "A"


@pytest.mark.parametrize(
    "family", sorted(name for name, prompts in PROMPTS.items() if isinstance(prompts, OpeningPrompts))
)
def test_the_projects_own_opening_prompts_are_recognised(family):
    prompts, answers = PROMPTS[family], PlausibleAnswers(points=5, plans=True)
    first = asked(prompts.opening_messages(CONVERSATION))
    assert stage_of(first).kind == "opening"
    reader = OpeningReader(CONVERSATION[-1].text)
    shown = reader.feed(answers(first).text)
    plan = reader.finish()[1]
    assert plan.managed
    assert shown.strip()
    assert len(plan.points) == 5
    for point in plan.points:
        request = asked(prompts.part_messages(CONVERSATION, plan.opening, plan.points, point))
        assert stage_of(request).points == ((point.index, point.title),)
        assert point.title in answers(request).text


def test_a_direct_answer_is_as_long_as_its_points_would_be():
    text = PlausibleAnswers(points=6, sentences=2)(request("Why do we sleep?")).text
    assert text.count(".") == 12
