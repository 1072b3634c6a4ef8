"""Pairs for people who judge: each in a file without a name on it, and their verdicts read back with the key."""

from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation.judge_prompts import CRITERIA, GENERAL, OVERALL
from skeleton_of_thought.evaluation.judging import told_by_criterion
from skeleton_of_thought.evaluation.results import read_json, write_json
from skeleton_of_thought.evaluation.verdicts import Opinion
from skeleton_of_thought.routing.tables import csv_of, json_lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from skeleton_of_thought.evaluation.verdicts import Preference
    from skeleton_of_thought.evaluation.work import Row

_PREFERENCES: Final[Mapping[str, Preference]] = {
    "A": "first",
    "A > B": "first",
    "B": "second",
    "B > A": "second",
    "=": "neither",
    "A = B": "neither",
    "TIE": "neither",
}
_PAIR: Final = "# Question\n\n{request}\n\n---\n\n# Answer A\n\n{first}\n\n---\n\n# Answer B\n\n{second}\n"
_HOW: Final = (
    "Each pair-NNN.md holds a question and two answers. Read both to the end, then fill its line in verdicts.csv: "
    "under each criterion A or B for the better answer, = if neither is; under reason why, calling them answer A and "
    "answer B; under reader your name. The letters are drawn anew for every pair. The better answer is the one that\n\n"
)


def key_of(folder: Path) -> Path:
    """Where the key to exported pairs lies: beside their folder, so that the folder can be handed over whole."""
    return folder.parent / f"{folder.name}-key.json"


def export_pairs(
    rows: Sequence[Row], folder: Path, *, way: str, against: str, seed: int | None = None
) -> Path:
    """Write a file per pair, a table to fill in, and the key beside the folder.

    Each way is answer A in half of the pairs, which ones by chance.

    Args:
        rows: What `pairs_of` gives.
        folder: Must not hold exported pairs yet: the letters of those would be lost.
        way: Whose wins are counted.
        against: The way it is compared with.
        seed: For the same letters again; None for new ones.

    Returns:
        The file with the key.

    Raises:
        ConfigurationError: There are pairs in the folder already, or their key beside it.
    """
    key = key_of(folder)
    if key.exists() or any(folder.glob("pair-*.md")):
        raise ConfigurationError(
            f"{str(folder)!r} has exported pairs already, and new letters would spoil their verdicts. Choose another "
            f"folder, or remove it and {key.name}."
        )
    draw = random.Random(seed)
    way_first = [place % 2 == 0 for place in range(len(rows))]
    draw.shuffle(way_first)
    pairs = {}
    folder.mkdir(parents=True, exist_ok=True)
    for number, (row, first) in enumerate(zip(rows, way_first, strict=True), start=1):
        name = f"pair-{number:03}"
        letters = (way, against) if first else (against, way)
        shown = [row["ways"][letter]["text"] for letter in letters]
        (folder / f"{name}.md").write_text(
            _PAIR.format(request=row["request"], first=shown[0], second=shown[1]),
            encoding="utf-8",
            errors="replace",
        )
        pairs[name] = {
            "id": row["id"],
            "category": row["category"],
            "A": letters[0],
            "B": letters[1],
            "lengths": {
                "plain": len(row["ways"][against]["text"]),
                "other": len(row["ways"][way]["text"]),
            },
        }
    meanings = "".join(f"{name}: {meaning}\n" for name, meaning in CRITERIA.items())
    (folder / "how-to-judge.txt").write_text(_HOW + meanings, encoding="utf-8")
    with (folder / "verdicts.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["pair", "reader", *CRITERIA, "reason"])
        table.writerows([name, *[""] * (len(CRITERIA) + 2)] for name in pairs)
    write_json(key, {"way": way, "against": against, "pairs": pairs})
    return key


def read_verdicts(path: Path, *, key: Path | None = None) -> Iterator[Row]:
    """The verdicts of people, in the shape of judged rows, for `judge_results`; pairs nobody filled in are left out.

    Args:
        path: The table, filled in; or JSON lines with the same names.
        key: What `export_pairs` returned; by default beside the folder the table lies in.

    Raises:
        ConfigurationError: No such file or key, an unknown pair, or a verdict that is none.
    """
    key = key_of(path.resolve().parent) if key is None else key
    letters = read_json(key)
    if letters is None:
        raise ConfigurationError(
            f"There is no key {str(key)!r} to the letters in {path.name}. It was written beside the folder of "
            "--export; name it with --key FILE."
        )
    if not isinstance(letters.get("pairs"), dict) or not {"way", "against"} <= letters.keys():
        raise ConfigurationError(
            f"{str(key)!r} is no key to letters. Name the one that --export wrote, with --key FILE."
        )
    if not path.is_file():
        raise ConfigurationError(
            f"There are no verdicts {str(path)!r}. Pass the table that --export wrote, filled in."
        )
    lines = json_lines_of(path) if path.suffix == ".jsonl" else csv_of(path)
    for number, line in enumerate(lines, start=1):
        found = {name: _preference(line.get(name), name, f"{path.name}, row {number}") for name in CRITERIA}
        if any(found.values()):
            yield _row(line, found, letters, f"{path.name}, row {number}", reader=path.stem)


def _preference(value: Any, criterion: str, place: str) -> Preference | None:
    said = str(value or "").strip().upper()
    if said and said not in _PREFERENCES:
        raise ConfigurationError(f"{place}: {criterion} is {value!r}; use A, B or = (or leave it empty).")
    return _PREFERENCES.get(said)


def _row(
    line: Mapping[str, Any],
    found: Mapping[str, Preference | None],
    key: Mapping[str, Any],
    place: str,
    *,
    reader: str,
) -> Row:
    name = str(line.get("pair") or "").strip()
    pair = key["pairs"].get(name)
    if pair is None:
        raise ConfigurationError(
            f"{place}: there is no pair {name!r} in the key; it has {', '.join(key['pairs'])}."
        )
    reader = str(line.get("reader") or "").strip() or reader
    way_first = pair["A"] == key["way"]
    why = str(line.get("reason") or "").strip()
    told = told_by_criterion(
        {
            criterion: Opinion(preferred, why if criterion == OVERALL else "")
            for criterion, preferred in found.items()
        },
        (pair["A"], pair["B"]),
        skeleton_first=way_first,
    )
    verdict = told[OVERALL]["verdict"]
    return {
        "id": pair["id"],
        "key": "|".join((key["way"], reader, "criteria", GENERAL, pair["id"])),
        "category": pair["category"],
        "way": key["way"],
        "against": key["against"],
        "judge": reader,
        "form": "criteria",
        "metric": GENERAL,
        "lengths": pair["lengths"],
        "orders": [{"skeleton_first": way_first, "verdict": verdict, "reply": why, "criteria": told}],
        "faults": {},
        "verdict": verdict,
    }
