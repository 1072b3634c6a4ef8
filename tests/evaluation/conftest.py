"""The command in this process, and a server that answers like a model, the same way every time."""

from __future__ import annotations

import json
import sys

import pytest

from skeleton_of_thought.fake_server import FakeServer, Pace, PlausibleAnswers, Quota
from sot_command import main

MODEL = "openai:gpt-4o-mini"


@pytest.fixture(scope="session")
def shared_server():
    with FakeServer() as server:
        yield server


@pytest.fixture
def server(shared_server, monkeypatch):
    provider = shared_server.provider
    assert provider.ledger.wait_until_idle()
    provider.answer, provider.pace, provider.quota = PlausibleAnswers(points=4), Pace(), Quota()
    provider.faults.clear()
    provider.ledger.clear()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{shared_server.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "fake")
    return shared_server


@pytest.fixture
def sot(monkeypatch, capsys):
    """Runs the command in this process; returns its exit code, output and errors (each on one line)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sot", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        return code, " ".join(printed.out.split()), " ".join(printed.err.split())

    return run


def rows_of(path):
    """The rows of a file of results, by question."""
    return {row["id"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}


TIMES = {"seconds", "start", "timeline", "peak_memory", "sent", "first_text", "ended", "cache_read_tokens"}


def without_times(value):
    """Results without what a clock or a cache decides: all that is left must be the same in every run."""
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if name not in TIMES}
    if isinstance(value, list):
        return [without_times(part) for part in value]
    return value
