"""What every test begins with."""

import pytest

from skeleton_of_thought import quirks


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch):
    """No test knows what another one learned about a model."""
    monkeypatch.setattr(quirks, "_KNOWN", {})
