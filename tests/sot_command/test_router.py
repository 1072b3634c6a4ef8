import importlib.util
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skeleton_of_thought.routing import ClassifierRouter, LexicalRouter
from skeleton_of_thought.routing.labels import shipped_questions
from sot_command.router import app


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments], catch_exceptions=False, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    """Every tenth shipped question, as CSV."""
    import csv

    rows = [json.loads(line) for line in shipped_questions().read_text("utf-8").splitlines()][::10]
    file = tmp_path_factory.mktemp("data") / "sample.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=";")
        writer.writerow(["label", "category", "request"])
        writer.writerows([row["label"], row["category"], row["request"]] for row in rows)
    return file


@pytest.mark.slow
def test_evaluate_prints_and_says_the_same_as_json(sample: Path) -> None:
    figures = json.loads(run("evaluate", "--data", str(sample), "--router", "lexical", "--json"))
    assert figures["questions"] == len(shipped_questions().read_text("utf-8").splitlines()[::10])
    wanted = {
        "accuracy",
        "precision",
        "recall",
        "f1",
        "false_positive_rate",
        "ece",
        "median_seconds",
        "p95_seconds",
    }
    assert wanted <= {*figures}
    assert figures["accuracy"] > 0.8
    table = run("evaluate", "--data", str(sample), "--router", "lexical")
    assert f"{figures['accuracy']:.3f}" in table
    assert "false positive rate" in table
    assert "ms" in table


@pytest.mark.slow
def test_evaluate_takes_a_threshold_and_labels(sample: Path) -> None:
    nobody = json.loads(run("evaluate", "--data", str(sample), "--threshold", "1", "--json"))
    assert nobody["recall"] == 0.0
    human = json.loads(run("evaluate", "--data", str(sample), "--router", f"labels:{sample}", "--json"))
    assert human["accuracy"] == 1.0


@pytest.mark.slow
def test_calibrate_prints_the_curve_and_follows_the_prices(sample: Path) -> None:
    cheap = json.loads(run("calibrate", "--data", str(sample), "--cost-no", "20", "--json"))
    dear = json.loads(run("calibrate", "--data", str(sample), "--cost-yes", "20", "--json"))
    assert dear["best"]["threshold"] > cheap["best"]["threshold"]
    assert dear["best"]["false_positive_rate"] <= cheap["best"]["false_positive_rate"]
    shown = run("calibrate", "--data", str(sample), "--cost-yes", "20")
    assert f"Best threshold at these prices: {dear['best']['threshold']:.3f}" in shown
    assert shown.count("\n") > 15


def test_explain_shows_what_decided() -> None:
    shown = run("explain", "What are the main benefits of tea?")
    assert "sot" in shown
    assert "asks for several points" in shown
    found = json.loads(run("explain", "Write a poem about tea.", "--json"))
    assert found["route"] == "direct"
    assert min(found["features"].values()) < 0
    assert "direct" in run("explain", "What are the main benefits of tea?", "--threshold", "1")


@pytest.mark.slow
def test_train_lexical_writes_weights_and_measures_them(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    shown = run("train", "--base", "lexical", "--data", str(sample), "--test", str(sample), "--out", str(out))
    assert "left_out_5" in shown
    assert "On sample.csv: accuracy" in shown
    assert LexicalRouter(weights=out).model.about["questions"] > 100


def test_train_an_encoder_by_the_recipe(tiny_encoder, tmp_path: Path) -> None:
    few, out = tmp_path / "few.jsonl", tmp_path / "classifier"
    few.write_text("\n".join(shipped_questions().read_text("utf-8").splitlines()[::60]))
    arguments = ["train", "--base", str(tiny_encoder), "--data", str(few), "--out", str(out), "--epochs", "1"]
    shown = run(*arguments, "--test", str(few), "--device", "cpu", "--resume", "--longest", "24")
    assert "On few.jsonl: accuracy" in shown
    assert json.loads((out / "router.json").read_text())["longest"] == 24
    assert ClassifierRouter(out, device="cpu").route([]).route == "direct"


@pytest.fixture(scope="module")
def routing_tables():
    file = Path(__file__).parents[2] / "benchmarks" / "routing.py"
    spec = importlib.util.spec_from_file_location("routing_benchmark", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_benchmark_shows_every_router_by_category(
    routing_tables, sample: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "180")
    routing_tables.main(sample, router=["never", "lexical"], published="none", as_json=True)
    found = json.loads(capsys.readouterr().out)
    never, lexical = found["routers"]
    assert never["recall"] == 0.0
    assert lexical["f1"] > 0.7
    low, high = lexical["f1_interval"]
    assert low < lexical["f1"] < high
    assert found["categories"]["never"]["code"] == 1.0
    routing_tables.main(sample, router=["lexical"], published="vicuna80", as_json=False)
    shown = capsys.readouterr().out
    assert "GPT-4" in shown
    assert "RoBERTa" in shown


def test_the_published_counts_are_those_of_the_paper(routing_tables) -> None:
    figures = {
        (name, entry.name.split(",")[0]): (
            pytest.approx(entry.scores.accuracy, abs=0.001),
            pytest.approx(entry.scores.f1, abs=0.001),
            pytest.approx(entry.scores.false_positive_rate, abs=0.001),
        )
        for name, entries in routing_tables.PUBLISHED.items()
        for entry in entries
    }
    assert figures == {
        ("vicuna80", "GPT-4"): (0.938, 0.937, 0.116),
        ("vicuna80", "RoBERTa"): (0.863, 0.853, 0.140),
        ("wizardlm", "GPT-4"): (0.683, 0.614, 0.413),
        ("wizardlm", "RoBERTa"): (0.743, 0.491, 0.156),
    }
