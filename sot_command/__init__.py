"""The command `sot`: an answer or a measurement now, from the shell.

To read it: `app` (every subcommand), `ask` with `live` (what a terminal shows meanwhile) and `documents`, `compare`,
`router`, `evaluate`; `demo/` is the page of the race, `server/` is `sot serve`; `problems`, errors as users see them.
"""

from __future__ import annotations

from sot_command.app import main

__all__ = ["main"]
