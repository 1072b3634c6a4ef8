"""Where results live: one folder per model, one JSON line per question, written as it comes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9.]+")
_BLOCK: Final = 1 << 16


class ResultLines:
    """A file of JSON lines that grows, and survives being killed.

    A line stands for one piece of work, named by `key`. If it was done again, the last line counts. What a
    killed run left of a line is cut off before more is written.

    Args:
        path: The file; need not exist.
        key: The name of the piece of work a line stands for.
    """

    def __init__(
        self, path: Path, *, key: Callable[[Mapping[str, Any]], str] = lambda row: str(row["id"])
    ) -> None:
        self.path = path
        self._key = key

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The last line of every piece of work, read one at a time.

        Raises:
            ConfigurationError: A line that is not the last is no JSON.
        """
        last = {key: number for number, key in self._keys()}
        wanted = set(last.values())
        for number, row in self._rows():
            if number in wanted:
                yield row

    def done(self) -> set[str]:
        """What need not be done again: everything whose last line reports no fault."""
        return {self._key(row) for row in self if not row.get("faults")}

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line, on disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            end = file.seek(0, 2)
            whole = _end_of_last_line(file, end)
            if whole != end:
                file.truncate(whole)
            file.write(json.dumps(row, ensure_ascii=False).encode(errors="replace") + b"\n")

    def _keys(self) -> Iterator[tuple[int, str]]:
        for number, row in self._rows():
            yield number, self._key(row)

    def _rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return  # the run was killed while it wrote this
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    raise ConfigurationError(
                        f"{self.path}, line {number} is no JSON: {error}. Remove the line; its question is then "
                        "answered again."
                    ) from error


def _end_of_last_line(file: Any, end: int) -> int:
    """Where the last whole line ends."""
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        found: int = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


class ModelFolder:
    """The results of one model below the folder a user names.

    Attributes:
        speed: One line per question: how it was answered in every way.
        quality: One line per question and judge.
        profile: The file with the latency tables.
        measures: The file with what was measured without a judge.
    """

    def __init__(self, out: Path, model: str) -> None:
        self.path = out / (_NOT_A_NAME.sub("-", model).strip("-") or "model")
        self.speed = ResultLines(self.path / "speed.jsonl")
        self.quality = ResultLines(self.path / "quality.jsonl", key=lambda row: str(row["key"]))
        self.profile = self.path / "profile.json"
        self.measures = self.path / "measures.json"

    @classmethod
    def all_in(cls, out: Path) -> list[ModelFolder]:
        """Every model evaluated into a folder, by name.

        Raises:
            ConfigurationError: There is none.
        """
        found = sorted({file.parent.name for file in out.glob("*/conditions.json")})
        if not found:
            raise ConfigurationError(
                f"There are no results in {str(out)!r}. Make some: sot eval speed --limit 3 --out {out}"
            )
        return [cls(out, name) for name in found]

    @property
    def conditions(self) -> dict[str, Any]:
        """Under which conditions the results came about; empty if there are none yet.

        Raises:
            ConfigurationError: The file says something else.
        """
        file = self.path / "conditions.json"
        found = read_json(file)
        if found is None:
            return {}
        if not isinstance(found.get("experiment"), dict) or not isinstance(found.get("runs"), list):
            raise ConfigurationError(
                f"{str(file)!r} does not say under which conditions the results came about. Mend it, or choose "
                "another --out."
            )
        return found

    def begin(self, experiment: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
        """Note a run, begun or continued.

        Args:
            experiment: What must not change between runs whose results belong together.
            machine: Where and when this run happens.

        Raises:
            ConfigurationError: The results that are there come from another experiment.
        """
        before = self.conditions
        for name, value in experiment.items():
            if before and before["experiment"].get(name) != value:
                raise ConfigurationError(
                    f"{str(self.path)!r} holds results with {name} {before['experiment'].get(name)!r}, and now it is "
                    f"{value!r}. Results under different conditions are kept apart: choose another --out."
                )
        content = {"experiment": dict(experiment), "runs": [*before.get("runs", []), dict(machine)]}
        write_json(self.path / "conditions.json", content)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Replace a file at once: whoever is killed meanwhile leaves the old one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(
        json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace"
    )
    new.replace(file)


def read_json(file: Path) -> dict[str, Any] | None:
    """What `write_json` wrote; None if it is not there.

    Raises:
        ConfigurationError: The file is something else.
    """
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{str(file)!r} is no JSON: {error}. Mend it, or name another file."
        ) from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{str(file)!r} holds no JSON object. Mend it, or name another file.")
    return content
