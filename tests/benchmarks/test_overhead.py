"""The measurement of what the chain costs runs; what it measures is bounded by `make overhead`, not by a test."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

PROGRAM = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "overhead.py"))
FOUR = ("invoke", "stream", "ainvoke", "astream")


@pytest.mark.parametrize(
    ("questions", "ways"),
    [
        (1, {"by hand", "by hand, async", *FOUR, *(f"{way} of the chat model" for way in FOUR)}),
        (3, {"by hand, async", "ainvoke", "astream"}),
    ],
)
def test_every_way_is_measured(questions, ways):
    seconds = PROGRAM["measure"](points=2, latency=0.001, runs=1, questions=questions)
    assert set(seconds) == ways
    assert all(value >= 0.002 for value in seconds.values()), "a skeleton, then points: twice the latency"


def test_a_way_above_the_bound_is_an_error():
    assert PROGRAM["above"]({"invoke": 0.4, "stream": 0.5}, least=0.4, most=1.2) == ["stream"]
