"""A run from its questions to its rows: what is done already is left out, the rest is written as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation.questions import read_evaluation_questions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from skeleton_of_thought.evaluation.results import ResultLines
    from skeleton_of_thought.evaluation.work import Row, Task


@dataclass(frozen=True, slots=True)
class Questions:
    """A source of questions, read once to know it and once per run to ask them.

    Attributes:
        source: What `read_evaluation_questions` takes.
        limit: At most so many.
        count: How many there are.
    """

    source: str
    limit: int | None
    count: int

    @classmethod
    def survey(cls, source: str, results: ResultLines, *, limit: int | None = None) -> Questions:
        """Read all of it once; a bad row is reported now and not after an hour.

        Raises:
            ConfigurationError: No such source, a row that is no question, or a question that is another one than
                the results have under its id.
        """
        answered = {str(row["id"]): hash(row["request"]) for row in results}
        count = 0
        for question in read_evaluation_questions(source, limit=limit):
            if answered.get(question.id, hash(question.request)) != hash(question.request):
                raise ConfigurationError(
                    f"Question {question.id!r} of {source} is {question.request[:60]!r}, and {results.path} holds the "
                    "answer to another one under this id. Choose another --out."
                )
            count += 1
        return cls(source, limit, count)

    def tasks(self) -> Iterator[Task]:
        """Each question as a task, with its place in the set."""
        for place, question in enumerate(read_evaluation_questions(self.source, limit=self.limit)):
            yield {**question.to_dict(), "place": place}


def continue_with(
    lines: ResultLines,
    tasks: Iterable[Task],
    do: Callable[[Iterator[Task]], Iterator[Row]],
    *,
    name: Callable[[Task], str] = lambda task: str(task["id"]),
    progress: Callable[[Row | None], None] = lambda _: None,
) -> int:
    """Do what is not done yet, and append every row to the results when it comes.

    Args:
        lines: The results so far, and from now on.
        tasks: Everything there is to do.
        do: Turns tasks into rows, in any order.
        name: The name the row of a task will have.
        progress: Told of every row, and with None of every task that was done before.

    Returns:
        How many rows were added.
    """
    done = lines.done()

    def open_tasks() -> Iterator[Task]:
        for task in tasks:
            if name(task) in done:
                progress(None)
            else:
                yield task

    added = 0
    for row in do(open_tasks()):
        lines.append(row)
        progress(row)
        added += 1
    return added
