"""The same evaluation on a local Ray cluster of two workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from skeleton_of_thought.errors import MissingExtraError
from skeleton_of_thought.evaluation.spreading import on_ray

from .conftest import MODEL, rows_of, without_times

COMMAND = [sys.executable, "-c", "from sot_command import main; main()"]


def evaluate(out, *options):
    return subprocess.run(
        [*COMMAND, "eval", "speed", "-m", MODEL, "--limit", "12", "--out", str(out), *options],
        capture_output=True,
        text=True,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
        timeout=240,
        check=False,
    )


def warm_ups(server):
    """How many processes opened the work: each asks once for nothing."""
    return sum("Hello" in entry.prompt for entry in server.ledger.entries)


def test_two_workers_end_with_the_results_of_one_process(server, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'skeleton-of-thought[ray]'")
    server.faults.add("unauthorized", contains="rigging", stage="skeleton")
    alone = evaluate(tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    assert warm_ups(server) == 1
    server.ledger.clear()
    spread = evaluate(tmp_path / "spread", "--workers", "2")
    assert spread.returncode == 0, spread.stderr
    first, second = (rows_of(next((tmp_path / name).glob("*/speed.jsonl"))) for name in ("alone", "spread"))
    assert len(first) == 12
    assert without_times(second) == without_times(first)
    conditions = json.loads(next((tmp_path / "spread").glob("*/conditions.json")).read_text())
    assert conditions["experiment"]["workers"] == 2
    assert warm_ups(server) == 2


LISTENING = """
import psutil
from skeleton_of_thought.evaluation.spreading import on_ray

class Work:
    def open(self):
        return lambda task: task

for row in on_ray(Work(), [{"id": "a"}, {"id": "b"}]):
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        for each in process.net_connections(kind="inet"):
            if each.status == "LISTEN":
                print(row["id"], each.laddr.ip)
"""


@pytest.mark.slow
def test_a_local_cluster_listens_on_this_machine_only():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'skeleton-of-thought[ray]'")
    pytest.importorskip("psutil")
    ran = subprocess.run(
        [sys.executable, "-c", LISTENING],
        capture_output=True,
        text=True,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    heard = [line.split() for line in ran.stdout.splitlines()]
    assert {name for name, _ in heard} == {"a", "b"}
    assert {address.removeprefix("::ffff:") for _, address in heard} <= {"127.0.0.1", "::1"}


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"skeleton-of-thought\[ray\]"):
        list(on_ray(object(), []))


def test_workers_and_threads_are_not_mixed(server, sot, tmp_path):
    code, _, err = sot("eval", "speed", "-m", MODEL, "--out", tmp_path, "--workers", 2, "--concurrency", 3)
    assert code == 1
    assert "--workers 3" in err
    assert list(tmp_path.iterdir()) == []
