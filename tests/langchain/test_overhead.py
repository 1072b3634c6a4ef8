"""The chain costs next to nothing. A generous bound: the measurement itself is `benchmarks/overhead.py`."""

from __future__ import annotations

import runpy
from pathlib import Path

MEASURE = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "overhead.py"))["measure"]


def test_ten_points_take_the_skeleton_and_the_slowest_point():
    seconds = MEASURE(points=10, latency=0.1, runs=3)
    assert set(seconds) >= {"invoke", "stream", "ainvoke", "astream"}
    for way, median in seconds.items():
        assert 0.2 <= median < 0.2 + 0.2, f"{way}; one after the other they take 1.1 s"
