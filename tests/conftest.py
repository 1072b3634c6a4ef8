"""What every test begins with."""

import signal

import pytest
from hypothesis import settings

from skeleton_of_thought import provider_errors, speeds

from .fixtures.browser import browser, page  # noqa: F401
from .fixtures.command import sot  # noqa: F401
from .fixtures.encoder import tiny_encoder  # noqa: F401
from .fixtures.needs import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_ignore_collect,
    pytest_xdist_make_scheduler,
)
from .fixtures.provider import no_keys, sdks_ask, server, shared_server  # noqa: F401

# The same examples in every run; `make test ARGS=--hypothesis-profile=default` looks for new ones.
settings.load_profile("ci")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch):
    """No test knows what another one learned about a model."""
    monkeypatch.setattr(provider_errors, "_KNOWN", {})
    monkeypatch.setattr(speeds, "_KNOWN", {})
