"""`sot ask --docs`: an answer from a folder, with citations."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from skeleton_of_thought.errors import require
from sot_command.choices import RouteChoice
from sot_command.footer import footer
from sot_command.terminal import Console, plain_name, say

if TYPE_CHECKING:
    from llamaindex_sot.documents.progress import Progress
    from skeleton_of_thought.prompts import Prompts

_VERBS = {"reading": "Files read", "embedding": "Chunks embedded"}
_EVERY = 3.0  # seconds


def ask_documents(
    question: str,
    folder: Path,
    *,
    model: str,
    base_url: str | None,
    dtype: str,
    route: RouteChoice,
    max_points: int | None,
    prompts: Prompts | None,
    as_json: bool,
) -> None:
    """Answer from the documents of a folder, or from one, and name those cited, or all that were given.

    Raises:
        ConfigurationError: No such model, no such folder, or nothing to read in it.
        MissingExtraError: The extra `docs` or one the model needs is not installed.
    """
    require("llama_index.core", extra="docs", needed_for="--docs")
    from llamaindex_sot.documents.folder import ask_folder, cited_files, given_files, named_llm

    with ProgressLine(Console(stderr=True)) as progress:
        response: Any = ask_folder(
            question,
            folder,
            llm=named_llm(model, base_url=base_url, dtype=dtype),
            router=_router(route),
            max_points=max_points,
            prompts=prompts,
            streaming=not as_json,
            watch=progress.watch,
        )
    if as_json:
        about = {"question": question, "model": model, "answer": str(response)}
        named: dict[str, Any] = {"files": cited_files(response), "given_files": given_files(response)}
        print(json.dumps({**about, **response.metadata["sot"], **named}))
        return
    for text in response.response_gen:
        say(text, end="")
    files = cited_files(response)
    say("\n" + "".join(f"\n[{number}] {plain_name(file)}" for number, file in files.items()), end="")
    say("" if files else f"\nWritten from: {', '.join(map(plain_name, given_files(response)))}")
    say(f"\n{footer(response.metadata['sot'], model)}")


class ProgressLine:
    """Says on standard error what the documents' reader is doing.

    On a terminal it is one line that changes and goes away; else a line every few seconds while it lasts. Nothing is
    said of an index that is up to date, except what the folder has and is not read.

    Args:
        console: Where to say it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("Reading the documents ...") if console.is_terminal else None
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._status is not None:
            self._status.stop()

    def watch(self, progress: Progress) -> None:
        """Take note of how far the work has come."""
        if progress.stage == "reading" and progress.done == progress.total and progress.skipped:
            from llamaindex_sot.documents.files import SUFFIXES

            kinds = ", ".join(
                f"{n} {suffix or 'without a suffix'}" for suffix, n in sorted(progress.skipped.items())
            )
            self._say(f"Not read: {kinds}. What is read: {', '.join(SUFFIXES)}.")
        line = f"{_VERBS[progress.stage]}: {progress.done:,} of {progress.total:,}"
        if self._status is not None:
            self._status.update(line)
        elif 0 < progress.done < progress.total and time.monotonic() - self._said > _EVERY:
            self._say(line)

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _router(route: RouteChoice) -> str | None:
    return {RouteChoice.auto: None, RouteChoice.sot: "always", RouteChoice.direct: "never"}[route]
