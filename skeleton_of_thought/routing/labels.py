"""Labels from a file: labelled questions to train and measure with, and the router that looks answers up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing.combining import FixedRouter
from skeleton_of_thought.routing.decision import Decision, Question, Route
from skeleton_of_thought.routing.tables import LABELS, csv_of, json_lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question and what a person said about it.

    Attributes:
        request: The question.
        suitable: Whether a skeleton pays.
        category: What kind of question it is, for tables; may be empty.
        follows: Whether an answer was given before it.
        language: Its ISO code; may be empty.
        part: Whose question it is, so that a writer can be left out of a training; may be empty.
        second: What another person said who did not know the first label; None if nobody was asked.
    """

    request: str
    suitable: bool
    category: str = ""
    follows: bool = False
    language: str = ""
    part: str = ""
    second: bool | None = None

    @property
    def targets(self) -> tuple[tuple[bool, float], ...]:
        """What a training should believe, as labels and their weights.

        A question that two people read differently is both, and counts half.
        """
        if self.second is None or self.second == self.suitable:
            return ((self.suitable, 1.0),)
        return ((True, 0.25), (False, 0.25))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation a router sees; a follow-up gets an empty turn before it."""
        question = Message("user", self.request)
        return (Message("user", ""), Message("assistant", ""), question) if self.follows else (question,)


def read_questions(path: Path) -> list[LabelledQuestion]:
    """Read labelled questions from CSV (`,` or `;`) or JSON lines.

    The columns are `label` (1 or 0, true or false, sot or direct), `request`, and optionally `category`,
    `follows`, `language`, `part` and `second`; others are ignored.

    Raises:
        ConfigurationError: The file cannot be read, a column is missing, or a label is none of these.
    """
    questions = [_question(row, f"{path}, row {number}") for number, row in enumerate(_rows(path), start=1)]
    if not questions:
        raise ConfigurationError(f"{path} holds no questions. It needs the columns label and request.")
    return questions


def shipped_questions() -> Path:
    """The labelled questions that were written for this project and come with it."""
    return Path(__file__).parent / "data" / "questions.jsonl"


class LabelRouter:
    """Looks the route up in labels people gave, such as the paper's "human router".

    Example:
        >>> router = LabelRouter([LabelledQuestion("Who are you?", suitable=False)])
        >>> router.route([Message("user", "Who  are you?")]).reason
        'labelled by hand'
    """

    def __init__(self, questions: Iterable[LabelledQuestion], *, unknown: Route = "direct") -> None:
        """Keep the labels.

        Args:
            questions: What was labelled; `read_questions` reads them from a file.
            unknown: The route of a question without a label.
        """
        self._suitable = {_key(question.request): question.suitable for question in questions}
        self._unknown = FixedRouter(unknown).route([]).route

    def route(self, messages: Sequence[Message]) -> Decision:
        """The label of the last user message."""
        suitable = self._suitable.get(_key(Question.of(messages).text))
        if suitable is None:
            return Decision(self._unknown, 0.5, "no label for this question")
        return Decision("sot" if suitable else "direct", 1.0, "labelled by hand")

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same."""
        return self.route(messages)


def _key(request: str) -> str:
    return " ".join(request.split())


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix in {".jsonl", ".json"}:
        yield from (row if isinstance(row, dict) else {} for row in json_lines_of(path))
        return
    table = csv_of(path)
    names = table.fieldnames or ()
    missing = {"label", "request"} - {*names}
    if missing:
        raise ConfigurationError(
            f"{path} lacks the column {' and '.join(sorted(missing))}; its first line is {','.join(names)[:80]!r}. "
            "The first line names the columns, separated by , or ;.",
        )
    yield from table


def _question(row: Mapping[str, Any], place: str) -> LabelledQuestion:
    label = str(row.get("label", "")).strip().lower()
    request = row.get("request")
    if label not in LABELS or not isinstance(request, str):
        raise ConfigurationError(
            f"{place}: label {row.get('label')!r} and request {str(request)[:40]!r} do not fit. "
            f"A label is one of {', '.join(LABELS)}; a request is text.",
        )
    follows = LABELS.get(str(row.get("follows", "")).strip().lower(), False)
    category, language, part = (str(row.get(name) or "") for name in ("category", "language", "part"))
    second = LABELS.get(str(row.get("second", "")).strip().lower())
    return LabelledQuestion(request, LABELS[label], category, follows, language, part, second)
