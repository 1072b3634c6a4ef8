"""What a server counts, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.limits import Limiter

_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Histogram:
    """Seconds, counted below some limits."""

    def __init__(self) -> None:
        self._below = [0] * len(_BUCKETS)
        self._sum, self._count = 0.0, 0

    def add(self, seconds: float) -> None:
        """One more."""
        self._sum += seconds
        self._count += 1
        for place, limit in enumerate(_BUCKETS):
            self._below[place] += seconds <= limit

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """The lines of this histogram."""
        for limit, count in zip((*_BUCKETS, "+Inf"), (*self._below, self._count), strict=True):
            yield f'{name}_bucket{{{labels},le="{limit}"}} {count}'
        yield f"{name}_sum{{{labels}}} {self._sum:.6f}"
        yield f"{name}_count{{{labels}}} {self._count}"


class Metrics:
    """Counts of one server; only its event loop touches them."""

    def __init__(self, limiter: Limiter | None = None) -> None:
        self._limiter = limiter
        self.in_flight = 0
        self._requests: Counter[tuple[str, str]] = Counter()
        self._tokens: Counter[str] = Counter()
        self._points: Counter[str] = Counter()
        self._seconds: dict[tuple[str, str], Histogram] = {}

    def ended(self, route: str, outcome: str) -> None:
        """A request ended: with a status, or because its client left."""
        self._requests[route, outcome] += 1

    def answered(self, answer: Answer) -> None:
        """An answer is complete; tokens its upstream did not tell are not counted."""
        usage = answer.usage
        self._tokens["input"] += usage.input_tokens or 0
        self._tokens["output"] += usage.output_tokens or 0
        self._tokens["cached"] += usage.cache_read_tokens or 0
        self._points.update(point.status for point in answer.points)
        for name, seconds in (("answer", answer.seconds.total), ("first_token", answer.seconds.first_token)):
            self._seconds.setdefault((name, answer.route), Histogram()).add(seconds)

    def text(self) -> str:
        """Everything, as `/metrics` shows it."""
        lines = ["# TYPE sot_requests_total counter"]
        for (route, outcome), count in sorted(self._requests.items()):
            lines.append(f'sot_requests_total{{route="{route}",outcome="{outcome}"}} {count}')
        lines += ["# TYPE sot_requests_in_flight gauge", f"sot_requests_in_flight {self.in_flight}"]
        lines.append("# TYPE sot_tokens_total counter")
        lines += [
            f'sot_tokens_total{{kind="{kind}"}} {count}' for kind, count in sorted(self._tokens.items())
        ]
        lines.append("# TYPE sot_points_total counter")
        lines += [
            f'sot_points_total{{status="{name}"}} {count}' for name, count in sorted(self._points.items())
        ]
        for name in ("answer", "first_token"):
            lines.append(f"# TYPE sot_{name}_seconds histogram")
            for (kind, route), histogram in sorted(self._seconds.items()):
                if kind == name:
                    lines += histogram.lines(f"sot_{name}_seconds", f'route="{route}"')
        if self._limiter is not None:
            lines += [
                "# TYPE sot_upstream_requests gauge",
                f'sot_upstream_requests{{state="running"}} {self._limiter.running}',
                f'sot_upstream_requests{{state="waiting"}} {self._limiter.waiting}',
                "# TYPE sot_limiter_load gauge",
                f"sot_limiter_load {self._limiter.load:.4f}",
            ]
        return "\n".join(lines) + "\n"
