"""The command in this process, and a server that answers like a model, the same way every time."""

from __future__ import annotations

import json

import pytest

MODEL = "openai:gpt-4o-mini"


@pytest.fixture
def server(server, sdks_ask):
    """The shared server, where the SDKs' environment variables lead."""
    return sdks_ask(server)


@pytest.fixture
def sot(sot):
    """Runs the command in this process; returns its exit code, output and errors (each on one line)."""

    def run(*arguments):
        code, output, errors = sot(*arguments)
        return code, " ".join(output.split()), errors

    return run


def rows_of(path):
    """The rows of a file of results, by question."""
    return {row["id"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}


TIMES = {
    "seconds",
    "start",
    "timeline",
    "peak_memory",
    "sent",
    "first_text",
    "ended",
    "cache_read_tokens",
    "cost",
}


def without_times(value):
    """Results without what a clock or a cache decides: all that is left must be the same in every run."""
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if name not in TIMES}
    if isinstance(value, list):
        return [without_times(part) for part in value]
    return value
