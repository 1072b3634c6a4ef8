"""What every test begins with."""

import signal

import pytest
from hypothesis import settings

from skeleton_of_thought import provider_errors, speeds

from .browser import browser, page  # noqa: F401 - fixtures for tests of pages

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; the tests of Ctrl-C need it.
# The same examples in every run; `make test ARGS=--hypothesis-profile=default` looks for new ones.
settings.load_profile("ci")

signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch):
    """No test knows what another one learned about a model."""
    monkeypatch.setattr(provider_errors, "_KNOWN", {})
    monkeypatch.setattr(speeds, "_KNOWN", {})
