"""The command `sot`: an answer or a measurement now, from the shell.

To read it: `app` (every subcommand), `ask` with `live` (what a terminal shows meanwhile) and `documents`, `compare`,
`router`, `evaluate`; `demo/` is the page of the race, `server/` is `sot serve`; `problems`, errors as users see them,
`notices`, what the library's logs say, `terminal`, what may be shown of all that, and `interrupts`, Ctrl-C.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; Ctrl-C ends it cleanly from the first import on."""
    try:
        from sot_command.interrupts import noted_interrupts

        with noted_interrupts() as interrupts:
            try:
                from sot_command.app import run
            except Exception:
                if interrupts.seen:  # whatever an interrupted import made of it
                    raise KeyboardInterrupt from None
                raise
            run()
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        sys.exit(130)
