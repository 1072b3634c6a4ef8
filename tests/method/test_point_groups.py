"""Several points per request."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought import ConfigurationError, Message, Prompts, RunSettings, SkeletonOfThought, Usage
from skeleton_of_thought.errors import DeadlineError
from skeleton_of_thought.events import PointEnded, PointStarted
from skeleton_of_thought.method.point import _divide

PROMPTS = Prompts(skeleton="List: {request}", point="Write {point}. {point_outline}", group="Write {points}.")
QUESTION = [Message("user", "How do I sleep better?")]
TITLES = ("Dark room", "No coffee", "Same hours", "Cool air", "Short naps")
SKELETON = "\n".join(f"{index}. {title}" for index, title in enumerate(TITLES, 1))


class FakeError(Exception):
    is_retryable = True


def begin(points_per_call=2, titles=5, **options):
    """A run whose points are out, and their requests."""
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(points_per_call=points_per_call, **options))
    run.start()
    return run, run.done("skeleton", "\n".join(SKELETON.splitlines()[:titles]), Usage(10, 5))


def outcomes(run):
    return [(point.index, point.text, point.status) for point in run.answer.points]


def test_a_request_asks_for_several_points():
    run, requests = begin()
    assert [request.id for request in requests] == ["point:1,2", "point:3,4", "point:5"]
    assert [request.points for request in requests] == [(1, 2), (3, 4), (5,)]
    assert [request.messages[-1].text for request in requests] == [
        "Write 1 and 2.",
        "Write 3 and 4.",
        "Write 5. Short naps",
    ]
    starts = {point.index: f"\n{point.index}. {point.title}" for point in run.skeleton}
    assert requests[0].stop == (starts[3], starts[4], starts[5]), "not where its own second point begins"
    assert requests[1].stop == (starts[5], starts[2]), "where it would run on comes first"
    assert requests[0].messages[:-1] == requests[1].messages[:-1]
    _, (request,) = begin(points_per_call=9, titles=3)
    assert request.messages[-1].text == "Write 1, 2 and 3."


def test_each_point_gets_its_own_text():
    run, _ = begin(titles=4)
    run.done("point:3,4", "3. Same hours: Every day.\n\n4. Cool air: Open a window.", Usage(20, 30))
    run.done("point:1,2", "**1. Dark room:** Curtains.\n**2. No coffee:** Tea.", Usage(22, 9, 11, 1))
    assert run.finished
    assert run.answer.text == (
        "1. Dark room: Curtains.\n\n2. No coffee: Tea.\n\n3. Same hours: Every day.\n\n4. Cool air: Open a window."
    )
    points = run.answer.points
    assert [point.usage.input_tokens for point in points] == [11, 11, 10, 10]
    assert sum((point.usage for point in points), Usage()) == Usage(42, 39, 11, 1)
    assert points[3].usage.output_tokens > points[2].usage.output_tokens, "by their lengths"
    bill = run.answer.bill.to_dict()
    assert bill["stages"]["points"]["calls"] == 2
    assert [(line["calls"], line["input_tokens"]) for line in bill["points"]] == [
        (1, 11),
        (0, 11),
        (1, 10),
        (0, 10),
    ]
    assert run.answer.usage == Usage(52, 44, 11, 1)


def test_a_group_is_read_live():
    run, _ = begin(titles=4)
    run.text("point:3,4", "3. Same hours: Every day.\n4. Cool air: Open")
    run.text("point:1,2", "1. Dark room: Curtains.\n2. No coffee: Tea ")
    assert run._stream.text == "1. Dark room: Curtains.\n\n2. No coffee: Tea"
    run.done("point:1,2", None, Usage(1, 1))
    assert run._stream.text.endswith("2. No coffee: Tea\n\n3. Same hours: Every day.\n\n4. Cool air: Open")


def test_what_a_group_leaves_out_is_asked_for_again_alone():
    run, _ = begin(titles=4)
    (again,) = run.done("point:1,2", "1. Dark room: Curtains.", Usage(5, 5))
    assert (again.id, again.points, again.attempt) == ("point:2", (2,), 2)
    assert again.messages[-1].text == "Write 2. No coffee"
    run.done("point:2", "Tea.", Usage(4, 4))
    assert run.done("point:3,4", "nothing of the sort", Usage(6, 6))[0].points == (4,)
    run.done("point:4", "Open a window.", Usage(3, 3))
    assert outcomes(run) == [
        (1, "Curtains.", "ok"),
        (2, "Tea.", "ok"),
        (3, "nothing of the sort", "ok"),
        (4, "Open a window.", "ok"),
    ]
    bill = run.answer.bill.to_dict()
    assert (bill["calls"], bill["retries"], bill["input_tokens"]) == (5, 2, 28)


def test_a_failed_group_keeps_what_was_complete():
    run, _ = begin(titles=4, retries=0)
    run.text("point:3,4", "3. Same hours: Every day.\n4. Cool air: Op")
    run.failed("point:3,4", FakeError("gone"))
    run.done("point:1,2", "1. Dark room: Curtains.\n2. No coffee: Tea.")
    assert [status for _, _, status in outcomes(run)] == ["ok", "ok", "ok", "failed"]
    assert run.answer.points[2].text == "Every day."


def test_a_failed_group_is_sent_again_whole():
    run, _ = begin(titles=4)
    (again,) = run.failed("point:1,2", FakeError("gone"))
    assert (again.id, again.attempt, again.points) == ("point:1,2", 2, (1, 2))
    run.done("point:1,2", "1. Dark room: Curtains.\n2. No coffee: Tea.")
    run.done("point:3,4", "3. Same hours: Every day.\n4. Cool air: Open a window.")
    assert {status for _, _, status in outcomes(run)} == {"ok"}
    started = [(event.index, event.attempt) for event in run.events() if isinstance(event, PointStarted)]
    assert started == [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2)]


def test_a_deadline_closes_all_of_a_group():
    run, _ = begin(titles=4)
    run.done("point:1,2", "1. Dark room: Curtains.\n2. No coffee: Tea.")
    run.expire(DeadlineError("too late"))
    assert [status for _, _, status in outcomes(run)] == ["ok", "ok", "failed", "failed"]


def test_a_function_renders_every_point_of_a_group():
    run, _ = begin(titles=2, answer_format=lambda point: f"<{point.title}|{point.text}>")
    run.done("point:1,2", "1. Dark room: Curtains.\n2. No coffee: Tea.")
    assert run.answer.text == "<Dark room|Curtains.>\n\n<No coffee|Tea.>"


def test_lengths_grow_with_the_group():
    _, requests = begin(titles=3, point_max_tokens=40)
    assert [request.max_tokens for request in requests] == [80, 40]


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_the_number_is_checked(count):
    with pytest.raises(ConfigurationError, match="points_per_call is"):
        RunSettings(points_per_call=count)


def test_the_template_is_checked():
    with pytest.raises(ConfigurationError, match=r"several points has no \{points\}"):
        Prompts(skeleton="{request}", point="{point}", group="Write them.")


@given(st.data())
def test_no_text_is_in_the_wrong_point(data):
    """Points left out, in another order, or not asked for, however the stream is cut: each text has its own mark."""
    per_call = data.draw(st.integers(1, 5))
    run, requests = begin(per_call, retries=0)
    for request in requests:
        asked = data.draw(st.permutations(request.points))
        written = [
            *asked[: data.draw(st.integers(0, len(asked)))],
            *data.draw(st.lists(st.integers(1, 6), max_size=2)),
        ]
        lines = [
            data.draw(
                st.sampled_from(
                    [
                        f"{n}. mark{n} here",
                        f"**{n}.** mark{n}.",
                        f"{n}) {[*TITLES, 'Another'][n - 1]}: mark{n}",
                    ]
                )
            )
            for n in written
        ]
        text = "\n".join(lines)
        cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=6))})
        for start, end in pairwise(cuts):
            run.text(request.id, text[start:end])
        run.done(request.id, None, Usage(7, 5))
    assert run.finished
    if run.answer.route == "sot":
        several = {index for request in requests if len(request.points) > 1 for index in request.points}
        for point in (point for point in run.answer.points if point.index in several):
            marks = {f"mark{n}" for n in range(1, 7) if f"mark{n}" in point.text}
            assert marks <= {f"mark{point.index}"}
        assert run.answer.usage == Usage(10 + 7 * len(requests), 5 + 5 * len(requests))
        ended = [event.result.index for event in run.events() if isinstance(event, PointEnded)]
        assert sorted(ended) == [1, 2, 3, 4, 5]


@given(st.integers(0, 1000), st.lists(st.integers(0, 50), min_size=1).filter(any))
def test_nothing_is_lost_in_dividing(amount, weights):
    parts = _divide(amount, weights)
    assert sum(parts) == amount
    assert all(part >= 0 for part in parts)
    assert len(parts) == len(weights)
    random.shuffle(weights)
    assert sum(_divide(amount, weights)) == amount
