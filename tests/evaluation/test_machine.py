"""What is said of the machine, and how memory is measured."""

from __future__ import annotations

import json
import platform
import socket
from pathlib import Path

import pytest

from skeleton_of_thought.evaluation.machine import PeakMemory, describe_machine


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux lets a process forget its peak memory")
def test_a_peak_is_that_of_its_own_time():
    peak = PeakMemory()
    peak.start()
    before = peak.read()
    block = bytearray(200_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert peak.read() - before > 150_000_000
    del block
    assert peak.read() - before > 150_000_000
    peak.start()
    assert peak.read() - before < 100_000_000


def test_the_machine_is_described_and_not_named():
    told = describe_machine()
    assert told["cores"] >= 1
    assert told["packages"]["skeleton-of-thought"]
    text = json.dumps(told)
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
