"""`sot report`: what is in the page, as a browser shows it."""

from __future__ import annotations

import hashlib
import re
from html import escape
from pathlib import Path
from types import SimpleNamespace

import pytest

from skeleton_of_thought.evaluation.estimating import LatencyTables
from skeleton_of_thought.evaluation.report import content, writing
from skeleton_of_thought.evaluation.report.drawing import draw
from skeleton_of_thought.evaluation.results import ModelFolder, write_json
from skeleton_of_thought.fake_server import Pace, PlausibleAnswers

from .conftest import MODEL

SCRIPT = "<script>document.title = 'taken over'</script>"


def replies(request):
    """Plausible answers with text that must not become markup, and a judge that draws lots."""
    if request.model == "judge":
        draw_lots = hashlib.sha256(request.prompt.encode()).digest()[0] % 4
        if "Scores:" in request.prompt:
            return ("Scores: A=5 B=5", "Scores: A=6 B=3", "Scores: A=2 B=7", "Hm.")[draw_lots]
        return ("Ranking: A > B", "Ranking: B > A", "Ranking: A = B", "Hm.")[draw_lots]
    reply = PlausibleAnswers(points=4)(request)
    if reply.text.lstrip().startswith("1.") or "\n2. " in reply.text:
        return reply.text.replace("\n2. ", "\n2. Pay $5 & keep $9, ", 1)
    return f"{reply.text} {SCRIPT} | $x$"


@pytest.fixture(scope="module")
def folder(shared_server, tmp_path_factory):
    """A run with everything in it: two models, judges, latency tables, a fault and a fallback."""
    patch = pytest.MonkeyPatch()
    provider = shared_server.provider
    provider.answer, provider.pace = replies, Pace(first_token=0.005, per_token=0.0001)
    provider.faults.clear()
    patch.setenv("OPENAI_BASE_URL", f"{shared_server.url}/v1")
    patch.setenv("OPENAI_API_KEY", "fake")
    out = tmp_path_factory.mktemp("report")
    from sot_command.app import app

    def sot(*arguments):
        app([*map(str, arguments)], standalone_mode=False)

    provider.faults.add("unauthorized", contains="holiday fairly", stage="direct", model="gpt-4o-mini")
    sot("eval", "speed", "-m", MODEL, "--limit", 18, "--out", out)
    sot("eval", "speed", "-m", "openai:gpt-5-mini", "--limit", 9, "--out", out)
    sot(
        "eval",
        "quality",
        "--out",
        out,
        "--judge",
        "openai:judge",
        "--metric",
        "general",
        "--metric",
        "relevance",
    )
    steps = dict.fromkeys(range(1, 3000), 0.001)
    tables = LatencyTables({1: dict.fromkeys(range(1, 3000, 10), 0.02)}, {1: steps})
    write_json(ModelFolder(out, MODEL).profile, tables.to_dict())
    sot("report", out)
    patch.undo()
    return out


@pytest.fixture
def shown(page, folder):
    page.goto(f"file://{folder / 'report.html'}")
    return page


def test_every_figure_has_its_data_its_caption_and_its_conditions(shown):
    names = [figure.get_attribute("id") for figure in shown.query_selector_all("figure")]
    assert names[:8] == [
        "speed-up",
        "win-rate",
        "metrics",
        "latency",
        "router-model0",
        "router-model1",
        "estimate-model0",
        "timeline-model0-0",
    ]
    assert len(names) == 7 + 2 * 4
    for figure in shown.query_selector_all("figure"):
        box = figure.query_selector("svg").bounding_box()
        assert box["width"] > 200
        assert box["height"] > 100
        assert len(figure.query_selector("figcaption").inner_text()) > 40
        conditions = figure.query_selector(".conditions").inner_text()
        assert "openai:gpt-" in conditions
        assert "cores" in conditions
        assert "one question at a time" in conditions
        assert len(figure.query_selector_all("tbody tr")) > 0


def marks(page, figure, kind):
    return page.eval_on_selector_all(
        f"#{figure} svg [id^='{figure}-{kind}-']",
        "marks => marks.map(mark => mark.getBoundingClientRect().width)",
    )


def test_every_number_is_drawn(shown):
    bars = marks(shown, "speed-up", "bar")
    assert (
        len(bars) == len(shown.query_selector_all("#speed-up tbody tr")) == 2 * 10
    )  # all, and nine categories
    assert all(width > 5 for width in bars)
    assert len(marks(shown, "win-rate", "dot")) == len(shown.query_selector_all("#win-rate tbody tr")) > 9
    assert len(marks(shown, "metrics", "bar")) == 2 * 3  # scores, and two rankings, of two models
    assert len(marks(shown, "latency", "points")) == 2
    assert len(marks(shown, "router-model0", "cell")) == 4
    assert len(marks(shown, "timeline-model0-0", "point")) == 4
    assert len(shown.query_selector_all("#timeline-model0-0 tbody tr")) == 4


def test_nothing_comes_from_outside_and_nothing_is_run(shown):
    requested = []
    shown.on("request", lambda request: requested.append(request.url))
    shown.reload()
    shown.wait_for_load_state("networkidle")
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in requested if url.startswith("file:")]) == 1
    assert shown.outside == []
    assert shown.complaints == []
    assert shown.title() == "Skeleton-of-Thought: speed and quality"
    assert shown.query_selector_all("script") == []


def test_no_id_is_there_twice(shown):
    ids = shown.eval_on_selector_all("[id]", "all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_what_models_write_is_shown_as_they_wrote_it(shown):
    texts = [element.inner_text() for element in shown.query_selector_all(".text")]
    assert any(SCRIPT in text for text in texts)
    assert any("Pay $5 & keep $9" in text for text in texts)
    assert "Pay $5" in shown.query_selector("#timeline-model0-0 svg").text_content()


def test_answers_stand_side_by_side_and_below_each_other_on_a_phone(shown):
    def places():
        return [side.bounding_box() for side in shown.query_selector_all(".sides > div")[:2]]

    plain, skeleton = places()
    assert plain["y"] == skeleton["y"]
    assert plain["x"] < skeleton["x"]
    shown.set_viewport_size({"width": 390, "height": 800})
    plain, skeleton = places()
    assert plain["x"] == skeleton["x"]
    assert plain["y"] < skeleton["y"]
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390  # wide tables scroll by themselves


def test_labels_of_charts_can_be_read_on_a_phone(shown):
    shown.set_viewport_size({"width": 390, "height": 800})
    heights = shown.eval_on_selector_all(
        "figure svg text",
        "all => all.filter(one => one.textContent.trim()).map(one => one.getBoundingClientRect().height)",
    )
    assert len(heights) > 50
    assert min(heights) >= 10
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390


def test_few_questions_are_a_warning_before_the_number_and_stand_beside_it(shown):
    (warning,) = [
        element.inner_text()
        for element in shown.query_selector_all("#model1 .warning")
        if "only" in element.inner_text()
    ]
    assert warning.startswith("Measured on 9 questions only")
    assert shown.inner_text("#model1 .tile:first-child b") == "9"
    assert shown.inner_text("#model1 .tile:first-child span") == "questions"


@pytest.mark.parametrize(
    ("questions", "load", "words"),
    [
        (19, 0.1, ["19 questions only"]),
        (1, None, ["1 question only"]),
        (20, 3.0, ["was busy"]),
        (20, 0.5, []),
    ],
)
def test_warnings(questions, load, words):
    told = content._warnings(
        [{"load": load, "cores": 2}],
        SimpleNamespace(categories={"all": SimpleNamespace(questions=questions)}),
    )
    assert len(told) == len(words)
    assert all(word in sentence for word, sentence in zip(words, told, strict=True))


def test_a_clipped_answer_has_a_sign():
    assert writing._start("word " * 100) == "word " * 100
    assert writing._start("word " * 1000).endswith("word …")
    assert writing._whole_or_cut({"text": "It is", "truncated": True, "points": []}) == "It is […]"
    assert writing._whole_or_cut({"text": "It is.", "truncated": False, "points": []}) == "It is."


def test_faults_and_fallbacks_are_told(shown):
    text = shown.inner_text("main")
    assert "Faults: direct 1. Run the same command again" in text
    assert re.search(r"although a skeleton was asked for: the model answered plainly \(\d+\)", text)
    assert "position bias" in text.lower()
    assert "net win rate" in text


def test_markdown_says_the_same(folder):
    text = (folder / "report.md").read_text(encoding="utf-8")
    for title in (
        "## openai:gpt-4o-mini",
        "## Speed-up by category",
        "## Quality against speed",
        "Conditions: ",
    ):
        assert title in text
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| ")]
    assert min(widths) >= 3
    assert SCRIPT not in text
    assert escape(SCRIPT, quote=False) in text
    assert not re.search(r"<[A-Za-z/!?]", text)


def test_markdown_writes_no_text_as_it_is():
    """A model's name, a caption or a reason stands outside of cells, and may be anything."""
    template = (Path(writing.__file__).parent / "templates" / "report.md").read_text(encoding="utf-8")
    ours = {"written", "count", '" --- |" * (header | length)', '", " if not loop.last'}
    for expression in map(str.strip, re.findall(r"\{\{(.+?)\}\}", template)):
        written = expression.startswith("table(") or expression in ours or expression.endswith("_seconds")
        assert "cell" in expression or written, expression
    assert writing._cell("<img src=x> | a\nb") == "&lt;img src=x&gt; \\| a b"


def test_a_report_without_results_names_the_command(sot, tmp_path):
    code, _, err = sot("report", tmp_path)
    assert code == 1
    assert "sot eval speed --limit 3 --out" in err


def test_two_pictures_share_no_id():
    def paint(axes):
        axes.barh(0, 1)[0].set_gid("bar")

    first, second = (
        set(re.findall(r'id="([^"]+)"', draw(name, paint, width=2, height=1))) for name in ("a", "b")
    )
    assert not first & second
    assert "a-bar" in first
