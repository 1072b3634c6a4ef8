"""Runs notebooks top to bottom and keeps their outputs: `python cookbook/execute.py [NOTEBOOK ...]`."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbformat import NotebookNode

HERE = Path(__file__).parent
LONGEST_CELL = 120  # seconds
SWITCH = re.compile(r'^MODEL = "[^"]*"', re.MULTILINE)
"""The line a reader changes to ask another model."""


def execute(
    path: Path, *, model: str | None = None, environment: Mapping[str, str] = os.environ
) -> NotebookNode:
    """A notebook with the outputs of a run; the file stays as it is.

    Args:
        path: The notebook.
        model: What to put into its `MODEL = ...` line; None leaves the line alone.
        environment: Environment variables of the kernel.

    Raises:
        CellExecutionError: A cell failed.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    if model is not None:
        first = next(cell for cell in notebook.cells if SWITCH.search(cell.source))
        first.source = SWITCH.sub(f'MODEL = "{model}"', first.source)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=LONGEST_CELL,
        coalesce_streams=True,
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=40"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    programs = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    # One thread: on a machine that does other things too, two wait for each other at every step.
    client.execute(env={"OMP_NUM_THREADS": "1", **environment, "PATH": programs})
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main() -> None:
    """Run the notebooks named, or all, and write their outputs into them."""
    for path in [Path(name) for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        started = time.perf_counter()
        notebook = execute(path)
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
        print(f"{path.name}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
