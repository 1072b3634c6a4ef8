"""`sot ask --docs`: an answer from a folder, with citations."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.asking import RouteChoice
from skeleton_of_thought.errors import require
from skeleton_of_thought.routing import FixedRouter, get_router

if TYPE_CHECKING:
    from skeleton_of_thought.prompts import Prompts
    from skeleton_of_thought.routing import Router


def ask_documents(
    question: str,
    folder: Path,
    *,
    model: str,
    base_url: str | None,
    route: RouteChoice,
    max_points: int | None,
    prompts: Prompts | None,
    as_json: bool,
) -> None:
    """Answer from the text, Markdown and PDF files of a folder, and name the files cited.

    Raises:
        ConfigurationError: No such model, no such folder, or nothing to read in it.
        MissingExtraError: The extra `docs` or one the model needs is not installed.
    """
    require("llama_index.core", extra="docs", needed_for="--docs")
    from llamaindex_sot.documents.folder import ask_folder, cited_files, named_llm

    response: Any = ask_folder(
        question,
        folder,
        llm=named_llm(model, base_url=base_url),
        router=_router(route),
        max_points=max_points,
        prompts=prompts,
        streaming=not as_json,
    )
    if as_json:
        about = {"question": question, "model": model, "answer": str(response)}
        print(json.dumps({**about, **response.metadata["sot"], "files": cited_files(response)}))
        return
    for text in response.response_gen:
        sys.stdout.write(text)
        sys.stdout.flush()
    files = cited_files(response)
    print("\n" + "".join(f"\n[{number}] {file}" for number, file in files.items()))
    print(f"\n{_footer(response.metadata['sot'])} · {model}")


def _router(route: RouteChoice) -> Router:
    if route is RouteChoice.auto:
        return get_router("auto")
    return FixedRouter("sot" if route is RouteChoice.sot else "direct")


def _footer(sot: dict[str, Any]) -> str:
    parts = [f"{sot['route']} ({sot['reason']})"]
    if sot["points"]:
        parts.append(f"{len(sot['points'])} points")
    usage, seconds = sot["usage"], sot["seconds"]
    parts += [
        f"{usage['input_tokens']} tokens in, {usage['output_tokens']} out",
        f"{seconds['total']:.1f} s, first text after {seconds['first_token']:.1f} s",
    ]
    return " · ".join(parts)
