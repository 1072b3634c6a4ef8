"""How many threads a step gets, on machines that are only numbers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch

from skeleton_of_thought.decoding import thread_tuner as module
from skeleton_of_thought.decoding.thread_tuner import ThreadTuner, threads_for_a_while, usable_cpus

if TYPE_CHECKING:
    from pathlib import Path

QUIET = {1: 1.7, 2: 1.0, 4: 0.6}
BUSY = {1: 2.0, 2: 19.0, 4: 30.0}


def run(tuner: ThreadTuner, machine: dict[int, float], steps: int, rows: int = 1) -> tuple[float, list[int]]:
    """Seconds of so many steps, and the threads of each."""
    seconds, threads = 0.0, []
    for _ in range(steps):
        threads.append(tuner.threads)
        seconds += machine[tuner.threads]
        tuner.took(rows, machine[tuner.threads])
    return seconds, threads


def test_a_quiet_machine_is_used_whole() -> None:
    tuner = ThreadTuner(2, lambda: False)
    seconds, threads = run(tuner, QUIET, 100)
    assert threads[-80:] == [2] * 80
    assert seconds < 100 * 1.05


def test_a_neighbour_is_noticed_in_one_step_and_gone_in_a_few() -> None:
    tuner = ThreadTuner(2, lambda: False)
    run(tuner, QUIET, 50)
    seconds, threads = run(tuner, BUSY, 200)
    assert threads[1] == 1
    assert threads.count(2) <= 6
    assert seconds < 200 * 2.5
    _, threads = run(tuner, QUIET, 600)
    assert threads[-1] == 2


def test_a_neighbour_who_was_there_first_is_noticed_too() -> None:
    seconds, threads = run(ThreadTuner(2, lambda: True), BUSY, 100)
    assert threads.count(2) <= 4
    assert seconds < 100 * 2.7


def test_while_others_want_to_run_more_threads_are_hardly_tried() -> None:
    asked = []
    tuner = ThreadTuner(2, lambda: asked.append(1) or True)
    run(tuner, QUIET, 50)
    _, threads = run(tuner, BUSY, 400)
    assert asked
    assert threads.count(2) <= 3


def test_a_hiccup_changes_nothing() -> None:
    tuner = ThreadTuner(2, lambda: False)
    run(tuner, QUIET, 50)
    for _ in range(20):
        tuner.took(1, 6.0)
        assert run(tuner, QUIET, 4)[1] == [2] * 4


@pytest.mark.parametrize("hiccup", range(3))
def test_a_hiccup_while_all_threads_are_tried_does_not_leave_it_with_fewer(hiccup) -> None:
    tuner = ThreadTuner(2, lambda: False)
    run(tuner, QUIET, 50)
    tuner.took(1, 6.0)
    tuner.took(1, 6.0)
    assert run(tuner, QUIET, 3)[1] == [1] * 3
    for step in range(3):
        assert tuner.threads == 2
        tuner.took(1, 1.8 if step == hiccup else 1.0)
    assert run(tuner, QUIET, 50)[1] == [2] * 50


def test_a_trial_while_texts_end_compares_only_what_can_be_compared() -> None:
    tuner = ThreadTuner(2, lambda: False)
    run(tuner, QUIET, 50, rows=8)
    tuner.took(8, 40.0)
    run(tuner, {1: 0.5}, 3, rows=1)
    run(tuner, {2: 1.0}, 3, rows=8)
    assert tuner.threads == 2


def test_texts_that_grow_longer_are_no_sign() -> None:
    tuner = ThreadTuner(2, lambda: False)
    run(tuner, QUIET, 50)
    for step in range(2000):
        tuner.took(1, 1.0 + step / 1000)
        assert tuner.threads == 2


def test_more_rows_are_no_sign_and_other_steps_are_not_compared() -> None:
    tuner = ThreadTuner(2, lambda: False)
    run(tuner, QUIET, 50)
    tuner.took(16, 9.0)
    tuner.took(0, 50.0)
    assert tuner.threads == 2


def test_one_thread_is_left_alone() -> None:
    tuner = ThreadTuner(1, lambda: False)
    assert run(tuner, BUSY, 30)[1] == [1] * 30


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 4),
        ({"box/cpu.max": "300000 100000", "cpu.max": "max 100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu.max": "10000 100000"}, 1),
        ({}, 4),
    ],
)
def test_a_control_groups_quota_counts(monkeypatch, tmp_path: Path, files: dict[str, str], expected) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    (tmp_path / "cgroup").write_text("0::/box\n")
    monkeypatch.setattr(module, "_GROUPS", tmp_path)
    monkeypatch.setattr(module, "_OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert usable_cpus() == expected


def test_a_process_bound_to_one_core_uses_one_thread(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    monkeypatch.setattr(module, "_quota", lambda: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert module.threads_to_use() == 1


@pytest.mark.parametrize(("crowded", "threads"), [(True, 1), (False, 2)])
def test_loading_takes_one_thread_while_others_want_to_run(monkeypatch, crowded: bool, threads: int) -> None:
    monkeypatch.setattr(module, "_others_want_to_run", lambda: crowded)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for_a_while():
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
