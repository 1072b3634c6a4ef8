"""The questions of an evaluation: this project's own ninety, or any file."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError, require
from skeleton_of_thought.routing.labels import LabelledQuestion
from skeleton_of_thought.routing.tables import LABELS, csv_of, json_lines_of, json_of, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

# In this order; the last two of each are the names in the files of Vicuna-80 and WizardLM.
_REQUEST: Final = ("request", "question", "prompt", "text", "Instruction")
_CATEGORY: Final = ("category", "Skill")
_ID: Final = ("id", "question_id", "idx")


@dataclass(frozen=True, slots=True)
class EvaluationQuestion:
    """One question to answer.

    Attributes:
        id: Tells it from the others, in results and when a run goes on.
        request: The question.
        category: What kind of question it is; may be empty.
        suitable: Whether a person says that a skeleton pays; None if nobody said.
    """

    id: str
    request: str
    category: str = ""
    suitable: bool | None = None

    @property
    def labelled(self) -> LabelledQuestion | None:
        """The same for a router's measures; None without a label."""
        if self.suitable is None:
            return None
        return LabelledQuestion(self.request, self.suitable, self.category)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "id": self.id,
            "request": self.request,
            "category": self.category,
            "label": None if self.suitable is None else int(self.suitable),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> EvaluationQuestion:
        """What `to_dict` wrote."""
        return _question(row, 1, "a question")


def read_evaluation_questions(
    source: str = "own", *, limit: int | None = None
) -> Iterator[EvaluationQuestion]:
    """The questions of a source, one after the other; a file is never in memory as a whole, `.json` excepted.

    The question stands under `request`, `question`, `prompt`, `text` (Vicuna-80) or `Instruction` (WizardLM),
    and optionally its kind under `category` or `Skill`, its name under `id`, `question_id` or `idx` (default:
    its place, from 1), and a label (1 or 0, true or false, sot or direct) under `label`.

    Args:
        source: `"own"` for this project's ninety; a `.jsonl`, `.json` or `.csv` file (`,` or `;`); or
            `"hf:NAME"`, `"hf:NAME:CONFIG"` or `"hf:NAME:CONFIG:SPLIT"` for a Hugging Face dataset (split
            `test` by default), which is streamed.
        limit: At most so many questions; None for all.

    Raises:
        ConfigurationError: No such source, or a row that is no question; with its place.
        MissingExtraError: A Hugging Face dataset is asked for and `datasets` is not installed.
    """
    rows, name = _rows(source)
    seen: set[str] = set()
    number = 0
    for number, row in enumerate(islice(rows, limit), start=1):
        question = _question(row, number, f"{name}, row {number}")
        if question.id in seen:
            raise ConfigurationError(
                f"{name}, row {number}: the id {question.id!r} is there twice; give each its own."
            )
        seen.add(question.id)
        yield question
    if not number:
        raise ConfigurationError(f"{name} holds no questions. Give a file with at least one.")


def _rows(source: str) -> tuple[Iterable[Any], str]:
    if source.startswith("hf:"):
        return _dataset_rows(source), source
    path = Path(__file__).parent / "data" / "questions.jsonl" if source == "own" else Path(source)
    readers: dict[str, Callable[[Path], Iterable[Any]]] = {
        ".jsonl": json_lines_of,
        ".json": _json_rows,
        ".csv": csv_of,
    }
    if path.suffix not in readers:
        raise ConfigurationError(
            f"There are no questions {source!r}. Use own, a .jsonl, .json or .csv file, or hf:DATASET."
        )
    return readers[path.suffix](path), path.name if source == "own" else source


def _json_rows(path: Path) -> Iterator[Any]:
    try:
        content = json_of("".join(lines_of(path)))
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is no JSON: {error}. Mend the file; a line of JSON per question goes into a .jsonl file."
        ) from error
    if not isinstance(content, list):
        raise ConfigurationError(
            f"{path} holds a {type(content).__name__}; it must be a list of objects, one per question."
        )
    yield from content


def _dataset_rows(source: str) -> Iterator[Any]:
    datasets = require("datasets", extra="datasets", needed_for=f"The questions {source}")
    name, config, split = ([*source.removeprefix("hf:").split(":"), "", ""])[:3]
    yield from datasets.load_dataset(name, config or None, split=split or "test", streaming=True)


def _question(row: Any, number: int, place: str) -> EvaluationQuestion:
    row = row if isinstance(row, dict) else {}
    request = _first(row, _REQUEST)
    if not isinstance(request, str) or not request.strip():
        raise ConfigurationError(
            f"{place} has no question in it (it has {', '.join(map(str, row)) or 'nothing'}). A question stands under "
            f"{', '.join(_REQUEST)}."
        )
    label = row.get("label")
    missing = label is None or label == ""  # and not `in {…}`: a list is no member of a set
    suitable = None if missing else LABELS.get(str(label).strip().lower())
    if suitable is None and not missing:
        raise ConfigurationError(
            f"{place}: the label {label!r} is none of {', '.join(LABELS)}; leave it out or fix it."
        )
    name = _first(row, _ID)
    return EvaluationQuestion(
        id=str(number if name is None else name),
        request=request,
        category=str(_first(row, _CATEGORY) or ""),
        suitable=suitable,
    )


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
