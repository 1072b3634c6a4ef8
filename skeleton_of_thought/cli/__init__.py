"""The command `sot`: an answer or a measurement now, from the shell."""

from __future__ import annotations

from skeleton_of_thought.cli.app import main

__all__ = ["main"]
