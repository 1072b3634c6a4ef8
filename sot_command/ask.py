"""`sot ask`: one question, one answer."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from skeleton_of_thought.asking import Asker
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.decoding.dtypes import DTYPES
from skeleton_of_thought.events import AnswerText, Event
from skeleton_of_thought.prompts import Prompts, get_prompts
from sot_command.choices import ROUTERS, RouteChoice, chosen
from sot_command.documents import ask_documents
from sot_command.footer import footer
from sot_command.live import LiveView
from sot_command.terminal import Console, plain, say

Model = Annotated[
    str, typer.Option("--model", "-m", help="local, hf:FOLDER_OR_HUB_ID, openai:NAME or anthropic:NAME.")
]
BaseUrl = Annotated[str | None, typer.Option(help="Address of an API server, with openai: or anthropic:.")]
Dtype = Annotated[str, typer.Option(help=f"What a local model's weights are kept in: {', '.join(DTYPES)}.")]
MaxPoints = Annotated[
    int | None,
    typer.Option(min=2, help="Most points of the answer.", show_default="what the prompts ask for"),
]
PromptsFile = Annotated[
    Path | None, typer.Option("--prompts", help="JSON file with outline_prompt and point_prompt.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _check_question(question: str) -> str:
    """Say so before a model is loaded."""
    if not question.strip():
        raise typer.BadParameter("The question is empty; pass some text.")
    return question


Question = Annotated[str, typer.Argument(help="The question.", show_default=False, callback=_check_question)]


def ask(
    question: Question,
    *,
    model: Model = "local",
    base_url: BaseUrl = None,
    dtype: Dtype = "auto",
    route: Annotated[
        RouteChoice,
        typer.Option(help="auto lets a hosted model decide, and asks the lexical router for a local one."),
    ] = RouteChoice.auto,
    max_points: MaxPoints = None,
    prompts: PromptsFile = None,
    docs: Annotated[
        Path | None, typer.Option(help="Answer from the documents in this folder, with citations.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question, its points written at the same time."""
    if docs is not None:
        own = None if prompts is None else get_prompts(prompts)
        ask_documents(
            question,
            docs,
            model=model,
            base_url=base_url,
            dtype=dtype,
            route=route,
            max_points=max_points,
            prompts=own if isinstance(own, Prompts) else None,
            as_json=as_json,
        )
        return
    console = Console()
    live = console.is_terminal and not as_json
    with console.status("Loading the model ...") if live else nullcontext():
        client = open_client(model, base_url=base_url, dtype=dtype)
    asker = Asker(client, router=ROUTERS[route], prompts=prompts, max_points=max_points)
    decision = chosen(route)
    if as_json:
        result = asker.ask(question, decision=decision)
        print(
            json.dumps(
                {"question": question, "model": client.name, "answer": result.text, **result.to_dict()}
            )
        )
    elif live:
        with LiveView(console) as view:
            result = asker.ask(question, decision=decision, watch=view.watch)
        console.print(plain(result.text), markup=False, highlight=False)
        console.print(f"\n[dim]{escape(footer(result.to_dict(), client.name))}[/dim]", highlight=False)
    else:
        result = asker.ask(question, decision=decision, watch=_print_text)
        say(f"\n\n{footer(result.to_dict(), client.name)}")


def _print_text(event: Event) -> None:
    if isinstance(event, AnswerText):
        say(event.text, end="")
