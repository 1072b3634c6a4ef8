"""The command `sot`: an answer or a measurement now, from the shell."""

from __future__ import annotations

from sot_command.app import main

__all__ = ["main"]
