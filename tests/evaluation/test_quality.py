"""Judges that are scripted, and what their verdicts come to, counted by hand."""

from __future__ import annotations

import doctest
import hashlib
import json

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation import measures, verdicts
from skeleton_of_thought.evaluation.judge_prompts import METRICS, applies, judge_messages
from skeleton_of_thought.evaluation.judging import pairs_to_judge
from skeleton_of_thought.evaluation.measures import EmbeddingMeasures, measure_points
from skeleton_of_thought.evaluation.quality import judge_results
from skeleton_of_thought.evaluation.results import ResultLines
from skeleton_of_thought.evaluation.verdicts import combine, preference, verdict_of
from skeleton_of_thought.fake_server import PlausibleAnswers

from .conftest import MODEL

FIRST, RANDOM, SILENT, FAILING, LONGER = (
    f"openai:{name}-judge" for name in ("first", "random", "silent", "failing", "longer")
)


def scripted(request):
    """Answers for the model; for the judges, what their name says."""
    name = request.model.removesuffix("-judge")
    if name == request.model:
        return PlausibleAnswers(points=4)(request)
    scores = "Scores:" in request.prompt
    if name == "silent":
        return "Both have their merits, and I would not want to choose."
    if name == "first":
        return "Clear.\nScores: A=9 B=2" if scores else "Ranking: A > B"
    if name == "longer":
        first, second = (
            request.prompt.partition(f"[Answer {letter}]\n")[2].partition(f"\n[End of answer {letter}]")[0]
            for letter in "AB"
        )
        better = "A" if len(first) >= len(second) else "B"
        return (
            f"Scores: A={9 if better == 'A' else 4} B={9 if better == 'B' else 4}"
            if scores
            else f"Ranking: {better} > {'AB'.replace(better, '')}"
        )
    draw = hashlib.sha256(request.prompt.encode()).digest()[0] % 3
    return ("Scores: A=5 B=5", "Scores: A=6 B=3", "Scores: A=2 B=7")[draw]


@pytest.fixture
def answered(server, sot, tmp_path):
    server.provider.answer = PlausibleAnswers(points=4, plans=True)  # else short questions get none
    code, _, err = sot("eval", "speed", "-m", MODEL, "--limit", 9, "--out", tmp_path)
    assert code == 0, err
    server.provider.answer = scripted
    return tmp_path


def judged(out):
    return judge_results(
        ResultLines(out / "openai-gpt-4o-mini" / "quality.jsonl", key=lambda row: row["key"])
    )


def of(quality, judge, *, form="scores", metric="general", category="all"):
    (found,) = (
        one
        for one in quality.judgements
        if (one.judge, one.form, one.metric, one.category) == (judge, form, metric, category)
    )
    return found


def test_four_scripted_judges(answered, server, sot):
    server.faults.add("unauthorized", model="failing-judge")
    arguments = ["eval", "quality", "--out", answered]
    for judge in (FIRST, RANDOM, SILENT, FAILING, LONGER):
        arguments += ["--judge", judge]
    code, out, err = sot(*arguments, "--metric", "general", "--concurrency", 4)
    assert code == 0, err
    assert "100% of the skeletons gave points" in out
    found = judged(answered)
    rows = list(ResultLines(answered / "openai-gpt-4o-mini" / "quality.jsonl", key=lambda row: row["key"]))
    assert len(rows) == 5 * (9 + 7)  # scores for all; no rankings for coding and math

    first = of(found, FIRST)
    assert (first.wins, first.ties, first.losses, first.unparsable, first.failed) == (0, 9, 0, 0, 0)
    bias = {one.judge: one for one in found.reliability if one.form == "scores"}
    assert (bias[FIRST].first, bias[FIRST].position_bias, bias[FIRST].consistent) == (1.0, 1.0, 0.0)

    silent = of(found, SILENT)
    assert (silent.ties, silent.unparsable, silent.net_win_rate) == (0, 9, None)
    assert (bias[SILENT].opinions, bias[SILENT].unparsable) == (0, 1.0)

    failing = of(found, FAILING)
    assert (failing.ties, failing.failed, failing.net_win_rate) == (0, 9, None)
    assert bias[FAILING].failed == 18

    verdicts_of_random = [
        row["verdict"] for row in rows if row["judge"] == RANDOM and row["form"] == "scores"
    ]
    random = of(found, RANDOM)
    assert random.wins == verdicts_of_random.count("win")
    assert random.losses == verdicts_of_random.count("lose")
    assert random.net_win_rate.value == pytest.approx((random.wins - random.losses) / 9)
    assert random.net_win_rate.low <= random.net_win_rate.value <= random.net_win_rate.high

    longer = of(found, LONGER)
    speed = [
        json.loads(line)
        for line in (answered / "openai-gpt-4o-mini" / "speed.jsonl").read_text().splitlines()
    ]
    by_hand = [len(row["ways"]["sot"]["text"]) > len(row["ways"]["direct"]["text"]) for row in speed]
    assert (longer.wins, longer.losses) == (by_hand.count(True), by_hand.count(False))
    assert bias[LONGER].consistent == 1
    assert bias[LONGER].position_bias == 0


def test_a_judge_that_failed_is_asked_again_and_nobody_else(answered, server, sot):
    server.faults.add("unauthorized", model="first-judge", times=1)
    arguments = ("eval", "quality", "--out", answered, "--judge", FIRST, "--form", "scores")
    assert sot(*arguments)[0] == 0
    assert of(judged(answered), FIRST).failed == 1
    server.ledger.clear()
    assert sot(*arguments)[0] == 0
    assert len(server.ledger.entries) == 2  # one pair, both orders
    found = of(judged(answered), FIRST)
    assert (found.ties, found.failed) == (9, 0)


def test_all_metrics_are_asked_and_code_and_sums_have_prompts_of_their_own(answered, server, sot):
    server.ledger.clear()
    code, _, err = sot("eval", "quality", "--out", answered, "--judge", FIRST)
    assert code == 0, err
    prompts = [entry.prompt for entry in server.ledger.entries]
    assert len(prompts) == 2 * (9 + 7 * len(METRICS))
    assert sum("as a computer would" in prompt for prompt in prompts) == 2
    assert sum("Solve it yourself first" in prompt for prompt in prompts) == 2
    for metric in METRICS:
        assert sum(f"one quality only, {metric}:" in prompt for prompt in prompts) == 14
    assert of(judged(answered), FIRST, form="ranking", metric="immersion").ties == 7


def test_an_unknown_metric_costs_nothing(answered, server, sot):
    server.ledger.clear()
    code, _, err = sot("eval", "quality", "--out", answered, "--judge", FIRST, "--metric", "beauty")
    assert (code, server.ledger.entries) == (1, ())
    assert "beauty" in err
    assert "coherence" in err


def test_without_results_the_error_names_the_command(sot, tmp_path):
    code, _, err = sot("eval", "quality", "--out", tmp_path)
    assert code == 1
    assert "sot eval speed" in err


# Verdicts.


def test_examples():
    assert doctest.testmod(verdicts).failed == 0
    assert doctest.testmod(measures).failed == 0


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Scores: A=8 B=9", "second"),
        ("**Scores: A=8, B=8**", "neither"),
        ("Scores: 8, 9", "second"),  # what the public code calls invalid, and a naive reader a tie
        ("8 9\nThe second is better.", "second"),
        ("Some words.\n\n9, 8", "first"),
        ("Scores: A=7/10 B=6.5/10", "first"),
        ("Scores: A = 10 B = 1", "first"),
        ("Answer A: 4\nAnswer B: 6", "second"),
        ("I first thought Scores: A=9 B=1.\nScores: A=2 B=5", "second"),
        ("Answer A has 3 points and answer B has 5.", None),
        ("Scores: A=11 B=2", None),
        ("Scores: A=0 B=2", None),
        ("Scores: A=8", None),
        ("Scores: A=<n> B=<n>", None),
        ("", None),
        ("In 2019 there were 8, 9 or 10.", None),
    ],
)
def test_scores(reply, expected):
    assert preference(reply, "scores") == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Ranking: A > B", "first"),
        ("Ranking: B>A", "second"),
        ("**Ranking: A = B**", "neither"),
        ("Ranking: A < B", "second"),
        ("Ranking: Answer B > Answer A", "second"),
        ("At first A > B, but no.\nRanking: B > A", "second"),
        ("A is better than B.", None),
        ("Ranking: A > A", None),
        ("", None),
    ],
)
def test_rankings(reply, expected):
    assert preference(reply, "ranking") == expected


def test_verdicts_are_seen_from_the_skeleton():
    assert verdict_of("first", skeleton_first=True) == "win"
    assert verdict_of("first", skeleton_first=False) == "lose"
    assert verdict_of("neither", skeleton_first=False) == "tie"
    assert verdict_of(None, skeleton_first=True) == "unparsable"


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("win", "win"), "win"),
        (("win", "tie"), "win"),
        (("win", "lose"), "tie"),
        (("tie", "tie"), "tie"),
        (("lose", "tie"), "lose"),
        (("win", "unparsable"), "unparsable"),
        (("unparsable", "failed"), "failed"),
    ],
)
def test_two_orders_make_one_verdict(pair, expected):
    assert combine(pair) == expected


# Statistics by hand.


def verdict_row(name, orders, *, judge="j", form="scores", category="generic", lengths=(100, 100)):
    return {
        "id": name,
        "key": f"{judge}{form}{name}",
        "category": category,
        "way": "sot",
        "judge": judge,
        "form": form,
        "metric": "general",
        "lengths": {"plain": lengths[0], "other": lengths[1]},
        "orders": [{"verdict": verdict} for verdict in orders],
        "verdict": combine(orders),
    }


def test_rates_bias_and_length_are_what_is_counted_by_hand():
    found = judge_results(
        [
            verdict_row("a", ("win", "win"), lengths=(100, 200)),  # ln 2, +1
            verdict_row("b", ("lose", "lose"), lengths=(200, 100)),  # -ln 2, -1
            verdict_row("c", ("lose", "win"), category="math"),  # 0, 0: the second answer both times
            verdict_row("d", ("win", "tie"), category="math"),  # 0, +1
            verdict_row("e", ("unparsable", "win"), category="math"),
        ]
    )
    everything, math = of(found, "j"), of(found, "j", category="math")
    assert (everything.wins, everything.ties, everything.losses, everything.unparsable) == (2, 1, 1, 1)
    assert everything.net_win_rate.value == pytest.approx(1 / 4)
    assert everything.net_win_rate.count == 4
    # Lengths are balanced around 0, so the line meets it at the mean of the points.
    assert everything.at_equal_length.value == pytest.approx(1 / 4)
    assert math.net_win_rate.value == pytest.approx(1 / 2)
    (how,) = found.reliability
    # Readable: a win/win = first, second; b lose/lose = second, first; c second, second; d first, neither; e second.
    assert how.opinions == 9
    assert how.first == pytest.approx(3 / 9)
    assert how.second == pytest.approx(5 / 9)
    assert how.position_bias == pytest.approx(-2 / 9)
    assert how.consistent == pytest.approx(2 / 4)
    assert how.unparsable == pytest.approx(1 / 10)


def test_a_preference_for_length_vanishes_at_equal_length():
    found = judge_results(
        [
            verdict_row("a", ("win", "win"), lengths=(100, 200)),
            verdict_row("b", ("win", "win"), lengths=(100, 200)),
            verdict_row("c", ("win", "win"), lengths=(100, 200)),
            verdict_row("d", ("lose", "lose"), lengths=(200, 100)),
        ]
    )
    assert of(found, "j").net_win_rate.value == pytest.approx(0.5)
    assert of(found, "j").at_equal_length.value == pytest.approx(0)


def test_agreement_of_two_judges():
    said = {"a": ("win", "win"), "b": ("win", "lose"), "c": ("lose", "lose"), "d": ("lose", "lose")}
    rows = [
        verdict_row(name, (verdict, verdict), judge=judge)
        for name, both in said.items()
        for judge, verdict in zip("jk", both, strict=True)
    ]
    rows += [verdict_row("e", ("unparsable", "win"), judge="j"), verdict_row("e", ("win", "win"), judge="k")]
    (found,) = judge_results(rows).agreement
    assert (found.pairs, found.same, found.kappa) == (4, 0.75, pytest.approx(0.5))


# Prompts.


def test_a_prompt_shows_the_answers_in_their_order_and_nothing_is_filled_twice():
    system, user = judge_messages(
        "{first}?", "{second} one", "two", form="ranking", metric="relevance", category=""
    )
    assert user.text.index("{first}?") < user.text.index("{second} one") < user.text.index("two")
    assert user.text.count("two") == 1
    assert METRICS["relevance"] in system.text


def test_a_metric_that_is_not_there_is_an_error():
    with pytest.raises(ConfigurationError, match=r"'beauty'.*coherence"):
        judge_messages("q", "a", "b", form="ranking", metric="beauty", category="")


def test_what_applies():
    assert applies("scores", "general", "math")
    assert not applies("scores", "coherence", "generic")
    assert not applies("ranking", "general", "coding")


def test_questions_with_faults_are_not_judged():
    row = {"id": "a", "request": "q", "faults": {"routed": "x"}, "ways": {}}
    assert list(pairs_to_judge([row], judges=["j"])) == []


# Without a judge.


def point(index, title, text, status="ok"):
    return {"index": index, "title": title, "text": text, "status": status}


def test_points_that_leave_their_point():
    points = [
        point(1, "Sleep enough", "Go to bed early.\n2. Eat less sugar: it helps."),  # writes the next item
        point(2, "Eat less sugar", "Sugar wakes you. Then sleep enough."),  # says another title
        point(3, "Move", "Walk for 2. 5 km every day."),  # a number that is no item
        point(4, "Breathe", ""),
        point(5, "Laugh", "Laugh", status="failed"),
        point(
            6, "Light and sleep enough", "Sleep enough, and let the light in."
        ),  # its own title holds another's
    ]
    assert measures.point_measures(points).stays == (False, False, True, False, False, True)


def test_measures_of_a_run():
    good = {
        "points": [point(1, "A b", "one two three four"), point(2, "C d", "two three four five")],
        "reason": "",
    }
    fell_back = {"points": [], "reason": "the skeleton had no list"}
    found = measure_points([{"ways": {"sot": good}}, {"ways": {"sot": fell_back}}, {"ways": {}}])
    assert (found.answers, found.parsed, found.points, found.stays) == (2, 0.5, 2, 1.0)
    assert found.word_overlap == pytest.approx(1 / 3)
    assert found.fallbacks == {"the skeleton had no list": 1}
    assert measure_points([]).line() == "no answer with a skeleton"


def test_embeddings_tell_points_apart():
    measure = EmbeddingMeasures()
    apart = [
        point(1, "Healthy food", "Vegetables and fruit keep you well fed."),
        point(2, "Bicycle repair", "Oil the chain and check the brakes."),
    ]
    alike = [point(1, "Healthy food", "Eat vegetables."), point(2, "Bicycle repair", "Eat more vegetables.")]
    assert measure.overlap(apart) < 0.6
    assert measure.overlap(alike) > 0.8
    assert measure.near_own_title(apart) == [True, True]
    assert measure.near_own_title(alike) == [True, False]
    assert measure.overlap([point(1, "A", "")]) == 0
