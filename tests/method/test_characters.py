"""A model's text is whole characters, however its pieces are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought import Message, SkeletonOfThought
from skeleton_of_thought.events import AnswerText
from skeleton_of_thought.messages import well_formed
from skeleton_of_thought.routing import FixedRouter

DIRECT = FixedRouter("direct").route([])


def halves(text):
    """A text as the code units of UTF-16, which is how careless servers cut it."""
    units = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(units[at : at + 2], "little")) for at in range(0, len(units), 2)]


def answered(pieces, whole=None):
    run = SkeletonOfThought([Message("user", "Why?")], decision=DIRECT)
    run.start()
    for piece in pieces:
        run.text("direct", piece)
    run.done("direct", whole)
    shown = "".join(event.text for event in run.events() if isinstance(event, AnswerText))
    assert shown == run.answer.text
    return shown


texts = st.text(st.sampled_from("a\n\U0001f600\U0001f9ca\ufffd"), min_size=1)
units = st.text(st.sampled_from("a\ud83d\ude00\udbff\udc00"), min_size=1)


@given(texts)
def test_halves_that_come_apart_are_put_together(text):
    assert answered(halves(text)) == text


@given(units, st.data())
def test_lone_halves_are_replaced_wherever_the_pieces_end(text, data):
    cut = data.draw(st.integers(0, len(text)))
    shown = answered([text[:cut], text[cut:]])
    assert shown == well_formed(text)
    shown.encode()
    assert answered([text[:cut]], whole=text) == shown
    assert answered([], whole=text) == shown


@pytest.mark.parametrize(
    ("text", "whole"),
    [("a\ud83d\ude00b", "a\U0001f600b"), ("a\ud83d", "a\ufffd"), ("\ude00\ud83d", "\ufffd\ufffd"), ("\ud83da", "\ufffda")],
)  # fmt: skip
def test_half_characters(text, whole):
    assert well_formed(text) == whole


@pytest.mark.parametrize("reading", ["streamed", "whole"])
def test_a_point_with_half_a_character_can_be_written_down(reading):
    run = SkeletonOfThought([Message("user", "Why?")])
    run.start()
    run.done("skeleton", "1. Dark \ud83d room\n2. No coffee")
    for number in (1, 2):
        if reading == "streamed":
            run.text(f"point:{number}", "Cur\ud83d")
            run.text(f"point:{number}", "\ude00tains \ud83d")
        run.done(f"point:{number}", None if reading == "streamed" else "Cur\ud83d\ude00tains \ud83d")
    assert run.answer.points[0].text == "Cur\U0001f600tains \ufffd"
    run.answer.text.encode()
    run.answer.skeleton.encode()
