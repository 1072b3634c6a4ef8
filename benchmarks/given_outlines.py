"""Questions that bring their own outline: precision and recall of the reader, on the set written for it.

    python benchmarks/given_outlines.py
    python benchmarks/given_outlines.py --mistakes     # those of the half the patterns were tuned on

Every second row is kept back: no pattern was changed after looking at one of these. 161 of the 300 negatives were
written last, by somebody who had not seen the patterns, and nothing was changed after them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from skeleton_of_thought.given_outline import given_outline

ROWS = Path(__file__).with_name("given_outlines.jsonl")


def rows() -> list[dict[str, object]]:
    return [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()]


def measure(*, kept_back: bool) -> dict[str, float]:
    """Precision, recall, and the share of found outlines with the right number of points."""
    chosen = [
        (row["points"], len(given_outline(str(row["request"]))))
        for row in rows()
        if row["kept_back"] is kept_back
    ]
    found = [(wanted, said) for wanted, said in chosen if said]
    right = [wanted for wanted, _ in found if wanted]
    return {
        "positives": sum(bool(wanted) for wanted, _ in chosen),
        "negatives": sum(not wanted for wanted, _ in chosen),
        "precision": len(right) / len(found),
        "recall": len(right) / sum(bool(wanted) for wanted, _ in chosen),
        "right_points": sum(wanted == said for wanted, said in found) / len(found),
    }


def main() -> None:
    for name, kept_back in (("tuned on", False), ("kept back", True)):
        figures = measure(kept_back=kept_back)
        print(name, *(f"{key} {round(value, 3)}" for key, value in figures.items()), sep=", ")
    if "--mistakes" in sys.argv:
        for row in rows():
            said = [point.title for point in given_outline(str(row["request"]))]
            if not row["kept_back"] and len(said) != row["points"]:
                print(row["points"], said, repr(row["request"])[:230])


if __name__ == "__main__":
    main()
