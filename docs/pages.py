"""Pages of the documentation that are made of something else: options, notebooks, the public names, CONTRIBUTING.

A hook of MkDocs (`hooks:` in mkdocs.yml).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

ROOMS = ("clients", "decoding", "drivers", "evaluation", "fake_server", "limits", "method", "routing")
MODULES = (
    {name: name for name in ("skeleton_of_thought", "langchain_sot", "llamaindex_sot")}
    | {room: f"skeleton_of_thought.{room}" for room in ROOMS}
    | {"local_model": "skeleton_of_thought.decoding.local_model"}
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is no file in docs/."""
    for notebook in sorted((ROOT / "cookbook").glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        content = "\n\n".join(part for cell in cells for part in shown(cell))
        files.append(File.generated(config, f"cookbook/{notebook.stem}.md", content=content))
    for page, module in MODULES.items():
        content = f"# `{module}`\n\n::: {module}\n"
        files.append(File.generated(config, f"reference/{page}.md", content=content))
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "contributing.md", content=contributing))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the table of options in its place."""
    del config, files
    if page.file.src_uri != "options.md":
        return markdown
    sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
    from options_table import table

    return markdown.replace("<!-- table of options -->", table())


def shown(cell: dict[str, Any]) -> list[str]:
    """A cell of a notebook and what it printed, as Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    parts = [f"```python\n{source}\n```"]
    for output in cell["outputs"]:
        data = output.get("data", {})
        text = "".join(output.get("text") or data.get("text/plain") or "")
        if "text/markdown" in data:
            parts.append("".join(data["text/markdown"]))
        elif text.strip():
            parts.append(f"```text\n{text.rstrip()}\n```")
    return parts
