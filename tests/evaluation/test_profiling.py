"""Latency tables of the packaged model, small ones; and the commands around them."""

from __future__ import annotations

import json

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation.estimating import LatencyTables
from skeleton_of_thought.evaluation.profiling import ProfileOptions


def test_profile_and_estimate_of_the_packaged_model(sot, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "out"
    code, printed, err = sot(
        "eval", "profile", "--out", out, "--batches", "1,3", "--longest", 200, "--repeats", 1
    )
    assert code == 0, err
    assert "profile.json" in printed
    content = json.loads((out / "local" / "profile.json").read_text())
    tables = LatencyTables.from_dict(content)
    assert list(tables.prefill) == [1, 3]
    assert list(tables.prefill[1]) == list(range(1, 201, 10))
    assert list(tables.decode[3]) == list(range(1, 201))
    assert content["about"]["model"] == "local"
    assert 0 < tables.request(20, 10) < tables.request(140, 60)
    # Three prompts at once take longer than one, and less than one after the other.
    assert tables.request(150, 40) < tables.request(150, 40, 3) < 3 * tables.request(150, 40)

    code, _, err = sot("eval", "estimate", "--out", out)
    assert code == 1
    assert "sot eval speed" in err


def test_without_tables_the_error_names_the_command(sot, tmp_path):
    code, _, err = sot("eval", "estimate", "--out", tmp_path)
    assert code == 1
    assert "sot eval profile -m local" in err


@pytest.mark.torch
def test_an_api_has_no_tables(sot, tmp_path):
    code, _, err = sot("eval", "profile", "-m", "openai:x", "--out", tmp_path)
    assert code == 1
    assert "'openai:x'" in err
    code, _, err = sot("eval", "profile", "--batches", "1;2", "--out", tmp_path)
    assert code == 1
    assert "'1;2'" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": (2, 4)}, "1 among them"),
        ({"longest": 10}, "longest is 10"),
        ({"repeats": 0}, "repeats is 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ConfigurationError, match=message):
        ProfileOptions(**options)
