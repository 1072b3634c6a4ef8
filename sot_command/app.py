"""The command's parts, and how it ends when something goes wrong."""

from __future__ import annotations

import io
import sys
import traceback
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sot_command import ask, compare, demo_command, doctor, evaluate, router, serve, serve_command
from sot_command.interrupts import noted_interrupts
from sot_command.notices import shown_notices
from sot_command.problems import explain
from sot_command.terminal import Console, say

if TYPE_CHECKING:
    from types import TracebackType

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
"""The exit code after Ctrl-C."""


def run() -> None:
    """Run the command; errors end with what fixes them, and exit code 1.

    Where the terminal's encoding lacks a character it is written as "?": an answer that was paid for is not lost.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.excepthook = _show_traceback
    command = typer.main.get_command(app)
    _show_flags_plainly(command)
    with noted_interrupts() as interrupts, shown_notices():
        try:
            command()
        except SystemExit as end:
            if end.code == INTERRUPTED:
                _stopped()
            raise
        except Exception as error:
            if interrupts.seen:
                _stopped()
                sys.exit(INTERRUPTED)
            message = explain(error)
            if message is None:
                raise
            Console(stderr=True).print(f"Error: {message}", style="red", markup=False, highlight=False)
            sys.exit(1)


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Nobody foresaw this error, and somebody else may have written its message."""
    say("".join(traceback.format_exception(kind, error, trace)), end="", error=True)


def _stopped() -> None:
    Console(stderr=True).print("\nStopped.")


def _show_flags_plainly(command: Any) -> None:
    """Name no type where a flag takes no value: `--json`, not `--json <bool>`."""
    context = command.context_class(command)
    for parameter in command.get_params(context):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    for below in getattr(command, "commands", {}).values():
        _show_flags_plainly(below)
