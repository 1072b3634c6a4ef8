"""The paper's formula, on tables small enough to add up by hand."""

from __future__ import annotations

import doctest
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation import estimating
from skeleton_of_thought.evaluation.estimating import (
    Comparison,
    Estimate,
    LatencyTables,
    Lengths,
    compare_estimates,
    estimate_engine,
    estimate_plain,
    estimate_sot,
    grid_point,
    interpolate,
)

# Powers of two, so that every sum is exact.
PREFILL = {1: {1: 1.0, 11: 2.0, 21: 4.0, 31: 8.0}, 3: {1: 16.0, 11: 32.0, 21: 64.0, 31: 128.0}}
DECODE = {1: dict.fromkeys(range(1, 61), 0.25), 3: {k: 0.5 if k < 25 else 1.0 for k in range(1, 61)}}


@pytest.fixture
def tables():
    return LatencyTables(PREFILL, DECODE)


def test_examples():
    assert doctest.testmod(estimating).failed == 0


def test_the_grid_is_the_paper_s():
    """floor(l / 10) * 10 + 1, so that 10 tokens are looked up at 11, and 691 is the last row for 690 to 699."""
    assert [grid_point(n) for n in (0, 1, 9, 10, 11, 19, 20, 690, 691, 699)] == [
        1,
        1,
        1,
        11,
        11,
        11,
        21,
        691,
        691,
        691,
    ]


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "batch", "expected"),
    [
        (9, 4, 1, 1.0 + 4 * 0.25),
        (10, 4, 1, 2.0 + 4 * 0.25),  # the next row of the grid
        (25, 0, 1, 4.0),
        (20, 10, 3, 64.0 + 5 * 0.5 + 5 * 1.0),  # steps 20 .. 29: five before 25, five from there
        (31, 30, 3, 128.0 + 30 * 1.0),  # steps 31 .. 60, the last one there is
    ],
)
def test_a_request_is_the_grid_s_row_and_the_sum_of_its_steps(tables, tokens_in, tokens_out, batch, expected):
    assert tables.request(tokens_in, tokens_out, batch) == expected


def test_skeleton_of_thought_is_the_skeleton_alone_and_the_longest_point_in_a_batch(tables):
    lengths = Lengths((12, 0, 40), (20, 0, 8), ((30, 12, 10), (28, 12, 14), (31, 12, 4)))
    assert estimate_plain(tables, lengths) == 2.0 + 40 * 0.25
    # Skeleton: 4 + 8 * 0.25 = 6. Points: the longest request, 31, and the longest answer, 14, at batch 3.
    assert estimate_sot(tables, lengths) == 6.0 + 128.0 + 14 * 1.0


def test_an_engine_with_a_memory_and_a_batch_that_shrinks(tables):
    lengths = Lengths((12, 10, 40), (20, 10, 8), ((30, 12, 10), (28, 12, 14), (31, 12, 4)))
    assert estimate_plain(tables, lengths, use_memory=True) == 1.0 + 40 * 0.25
    # Skeleton: 10 new tokens read in 2, 8 steps: 4. Points: 19 new tokens at most, at batch 3: 32. Steps from 31:
    # four with three rows (1.0), six with two (half way from 0.25 to 1.0), four with one (0.25).
    assert estimate_engine(tables, lengths) == 4.0 + 32.0 + 4 * 1.0 + 6 * 0.625 + 4 * 0.25


def test_batch_sizes_between_and_beyond(tables):
    assert tables.request(1, 1, 2) == (1.25 + 16.5) / 2
    assert tables.request(1, 1, 9) == tables.request(1, 1, 3)


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "message"),
    [(40, 1, "this one has 40"), (31, 31, "goes from 31 to 61"), (0, 1, "goes from 0")],
)
def test_what_the_tables_do_not_reach_is_an_error_with_the_command(tables, tokens_in, tokens_out, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        tables.request(tokens_in, tokens_out)
    assert "sot eval profile --longest" in str(caught.value)


@given(st.integers(1, 39), st.integers(0, 21), st.sampled_from([1, 3]))
def test_any_request_is_what_a_loop_adds_up(tokens_in, tokens_out, batch):
    expected = PREFILL[batch][tokens_in // 10 * 10 + 1]
    for k in range(tokens_in, tokens_in + tokens_out):
        expected += DECODE[batch][k]
    assert LatencyTables(PREFILL, DECODE).request(tokens_in, tokens_out, batch) == expected


def test_a_round_trip_through_json(tables):
    again = LatencyTables.from_dict(json.loads(json.dumps(tables.to_dict())))
    assert (again.prefill, again.decode) == (PREFILL, DECODE)


@pytest.mark.parametrize(
    "content",
    [{}, {"prefill": {"1": {}}}, {"prefill": {"one": {}}, "decode": {}}, {"prefill": [], "decode": []}],
)
def test_something_else_is_refused(content):
    with pytest.raises(ConfigurationError, match="sot eval profile"):
        LatencyTables.from_dict(content)


@pytest.mark.parametrize(
    ("prefill", "decode", "message"),
    [
        ({1: {1: 1.0}}, {2: {1: 1.0}}, r"\[1\] and \[2\]"),
        ({2: {1: 1.0}}, {2: {1: 1.0}}, "1 among them"),
        ({1: {1: 1.0}}, {1: {1: 1.0, 3: 1.0}}, "from 1 to 3 tokens and has no row for 2"),
    ],
)
def test_tables_that_do_not_fit(prefill, decode, message):
    with pytest.raises(ConfigurationError, match=message):
        LatencyTables(prefill, decode)


def test_lines_between_measurements():
    assert interpolate([(1, 2.0), (5, 4.0)], (1, 2, 3, 5, 9)) == {1: 2.0, 2: 2.5, 3: 3.0, 5: 4.0, 9: 4.0}


def line(tokens_in, cached, tokens_out):
    return {"input_tokens": tokens_in, "cache_read_tokens": cached, "output_tokens": tokens_out}


def run(name, seconds, points):
    sot = {"stages": {"skeleton": line(20, 10, 8)}, "points": [line(*point) for point in points]}
    return {
        "id": name,
        "faults": {},
        "ways": {
            "direct": {"bill": {"stages": {"direct": line(12, 10, 40)}}, "seconds": {"total": seconds}},
            "sot": {"bill": sot, "points": points, "seconds": {"total": seconds}},
        },
    }


def test_a_run_is_compared_question_by_question(tables):
    points = [(30, 12, 10), (28, 12, 14), (31, 12, 4)]
    rows = [
        run("a", 10.0, points),
        run("b", 22.0, points),
        run("long", 1.0, [(60, 0, 10)]),
        run("without points", 1.0, []),
        {"id": "fault", "faults": {"sot": "x"}, "ways": {}},
    ]
    found = compare_estimates(rows, tables)
    assert ([one.id for one in found.estimates], found.beyond) == (["a", "b"], 1)
    assert found.estimates[0].plain == 11.0
    # 11 against 10 and 22: 10 % and 50 % off; 22 against 32 together.
    assert found.error("plain", "plain_measured") == pytest.approx((0.1 + 0.5) / 2)
    assert found.bias("plain", "plain_measured") == pytest.approx(22 / 32 - 1)


@pytest.mark.parametrize("content", [b"\x89PNG", b"{", b"[1]", b"[" * 100_000, b"{}"])
def test_tables_that_are_none_are_one_line(sot, tmp_path, content):
    (tmp_path / "tables").write_bytes(content)
    code, _, err = sot("eval", "estimate", "--tables", tmp_path / "tables", "--out", tmp_path)
    assert code == 1
    assert err.startswith("Error: ")


def test_nothing_to_compare():
    empty = Comparison((), 0)
    assert empty.error("plain", "plain_measured") is None
    assert empty.bias("plain", "plain_measured") is None
    assert Estimate("a", 1, 1, 1, 1, 1).id == "a"
