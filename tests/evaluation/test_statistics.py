"""Figures with intervals, against cases counted by hand."""

from __future__ import annotations

import doctest
from statistics import fmean

import pytest

from skeleton_of_thought.evaluation import statistics
from skeleton_of_thought.evaluation.statistics import (
    balance,
    bootstrap,
    cohens_kappa,
    intercept,
    quantile,
    speed_up,
)
from skeleton_of_thought.routing.training.metrics import Scores


def test_examples():
    assert doctest.testmod(statistics).failed == 0


def test_one_value_is_its_own_interval():
    found = bootstrap([3.0], fmean)
    assert (found.value, found.low, found.high, found.count) == (3.0, 3.0, 3.0, 1)


def test_two_values_give_three_means():
    # Drawn twice from {0, 1}: mean 0 a quarter of the time, 1/2 half of it, 1 a quarter. The 2.5 % and 97.5 %
    # points are therefore 0 and 1.
    found = bootstrap([0.0, 1.0], fmean)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_a_rare_value_stays_out_of_the_interval():
    # One 1 among a hundred 0: it is drawn k times with a Poisson(1)-like chance; k = 0 has 37 %, k >= 4 has 1.8 %,
    # so that the 97.5 % point of the mean is 0.03.
    found = bootstrap([1.0] + [0.0] * 99, fmean, resamples=5000)
    assert (found.low, found.high) == (0.0, pytest.approx(0.03))


def test_the_ends_are_those_of_the_binomial_distribution():
    # A hundred throws of a fair coin: 40 and 60 are the 2.5 % and 97.5 % points (42 and 58 those of 90 %).
    found = bootstrap([0.0, 1.0] * 50, fmean, resamples=5000)
    assert (found.low, found.high) == (pytest.approx(0.4, abs=0.015), pytest.approx(0.6, abs=0.015))


def test_the_same_seed_draws_the_same():
    values = [float(value % 7) for value in range(40)]
    assert bootstrap(values, fmean) == bootstrap(values, fmean)
    assert bootstrap(values, fmean) != bootstrap(values, fmean, seed=1)


def test_thousands_are_drawn_fewer_times():
    drawn = []
    bootstrap([1.0] * 20_000, lambda values: drawn.append(len(values)) or 0.0)
    assert len(drawn) == 200 + 1  # and once as they are


def test_nothing_has_no_interval():
    assert bootstrap([], fmean) is None
    assert cohens_kappa([]) is None
    assert balance([]) is None
    assert balance([0, 0]) is None


def test_quantiles_interpolate():
    assert [quantile([1.0, 2.0, 4.0], share) for share in (0, 0.25, 0.5, 0.75, 1)] == [
        1.0,
        1.5,
        2.0,
        3.0,
        4.0,
    ]


def test_speed_up_is_symmetric():
    assert speed_up([(4.0, 2.0), (9.0, 1.0)]) == pytest.approx(18**0.5)
    assert speed_up([(2.0, 4.0), (1.0, 9.0)]) == pytest.approx(1 / 18**0.5)


def test_balance_is_the_share_of_the_longest():
    assert balance([5, 5, 5]) == 1
    assert balance([1, 2, 3]) == pytest.approx(2 / 3)


def test_kappa_of_judges_that_agree_oppose_and_know_one_answer():
    assert cohens_kappa([("a", "a"), ("b", "b")]) == 1
    assert cohens_kappa([("a", "b"), ("b", "a")]) == -1
    assert cohens_kappa([("a", "a"), ("a", "a")]) is None


def test_intercept_of_a_line_and_of_one_length():
    # x -1, 0, 2 with y 0, 1, 1: means 1/3 and 2/3, spread 14/3, product sum 4/3, slope 2/7, intercept 4/7.
    assert intercept([(-1, 0), (0, 1), (2, 1)]) == pytest.approx(4 / 7)
    assert intercept([(1, 0), (1, 1)]) == 0.5


def test_a_bootstrap_of_a_measure_that_is_no_mean_is_around_it():
    """F1 of a router: 25 right of the 30 it said yes to, none missed."""
    pairs = [(True, True)] * 25 + [(True, False)] * 5 + [(False, False)] * 30
    found = bootstrap(pairs, lambda drawn: Scores.of(*zip(*drawn, strict=True)).f1)
    assert found.value == pytest.approx(10 / 11)
    assert found.low < found.value < found.high
    assert 0.05 < found.high - found.low < 0.4
