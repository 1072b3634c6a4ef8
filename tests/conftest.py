"""What every test begins with."""

import signal

import pytest

from skeleton_of_thought import quirks

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch):
    """No test knows what another one learned about a model."""
    monkeypatch.setattr(quirks, "_KNOWN", {})
