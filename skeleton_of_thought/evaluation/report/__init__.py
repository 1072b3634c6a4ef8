"""One page that shows what was measured: HTML that needs nothing else, and Markdown."""

from __future__ import annotations

from skeleton_of_thought.evaluation.report.writing import write_report

__all__ = ["write_report"]
