"""The command's parts, and how it ends when something goes wrong."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from sot_command import ask, compare, demo_command, doctor, evaluate, router, serve, serve_command
from sot_command.problems import explain

app = typer.Typer(
    help="Skeleton-of-Thought: outline first, then write every point at the same time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sot {version('skeleton-of-thought')}")
        raise typer.Exit


@app.callback()
def sot(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Skeleton-of-Thought: outline first, then write every point at the same time."""


app.command("ask")(ask.ask)
app.command("compare")(compare.compare)
app.command("demo")(demo_command.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(router.app, name="router", help="Train, measure and explain the router.")
app.add_typer(evaluate.app, name="eval")
app.command("report")(evaluate.report)
app.command("serve")(serve_command.serve)
app.command("serve-fake")(serve.serve_fake)


INTERRUPTED = 130
"""The exit code typer ends with after Ctrl-C."""


def main() -> None:
    """Run the command; errors end with what fixes them, and exit code 1.

    Where the terminal's encoding lacks a character it is written as "?": an answer that was paid for is not lost.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            Console(stderr=True).print("\nStopped.")
        raise
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        Console(stderr=True).print(f"Error: {message}", style="red", markup=False, highlight=False)
        sys.exit(1)
