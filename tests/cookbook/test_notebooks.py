"""Every notebook runs, shows what it showed, and uses nothing that is not public."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from skeleton_of_thought.fake_server import FakeServer

ROOT = Path(__file__).parents[2]
COOKBOOK = ROOT / "cookbook"
NOTEBOOKS = sorted(COOKBOOK.glob("*.ipynb"))
PACKAGES = {"skeleton_of_thought", "langchain_sot", "llamaindex_sot"}
MACHINE = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|usr|opt|var|Users)/|site-packages|[A-Z]:\\\\")
MOST_CELLS = 25


def load_execute():
    spec = importlib.util.spec_from_file_location("cookbook_execute", COOKBOOK / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.execute


execute = load_execute()


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def environment(**more):
    """No key, no download, and the packages of this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", **more}


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def last_table(notebook):
    """The last Markdown table among the outputs."""
    shown = [
        output.data["text/markdown"]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "text/markdown" in output.get("data", {})
    ]
    tables = [text for text in shown if re.search(r"^\|(?:\s*:?-+:?\s*\|)+$", text, re.MULTILINE)]
    return tables[-1] if tables else ""


def test_there_are_eight():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07", "08"]


def test_it_runs(path):
    ran = execute(path, environment=environment())
    assert last_table(ran).count("\n") >= 3
    assert [
        output for cell in code_cells(ran) for output in cell.outputs if output.get("name") == "stderr"
    ] == []


@pytest.mark.parametrize("model", ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"])
def test_one_variable_asks_a_provider_instead(model):
    """The wire formats of the providers, without their models."""
    with FakeServer() as server:
        variables = environment(
            OPENAI_BASE_URL=f"{server.url}/v1",
            OPENAI_API_KEY="fake",
            ANTHROPIC_BASE_URL=server.url,
            ANTHROPIC_API_KEY="fake",
        )
        execute(COOKBOOK / "01_quickstart.ipynb", model=model, environment=variables)
        assert {entry.model for entry in server.ledger.entries} == {model.partition(":")[2]}
        assert {entry.stage for entry in server.ledger.entries} >= {"opening", "point", "direct"}


def test_a_changed_api_turns_a_notebook_red(tmp_path):
    notebook = nbformat.read(COOKBOOK / "05_api_rate_limits.ipynb", as_version=4)
    used = next(cell for cell in code_cells(notebook) if "prices=" in cell.source)
    used.source = used.source.replace("prices=", "price_list=")
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    with pytest.raises(CellExecutionError, match="price_list"):
        execute(tmp_path / "broken.ipynb", environment=environment())


def test_it_is_short_and_begins_with_a_title_and_ends_with_its_limit(notebook):
    assert len(notebook.cells) <= MOST_CELLS
    assert notebook.cells[0].source.startswith("# ")
    assert "**Needs:**" in notebook.cells[0].source
    assert notebook.cells[-1].source.startswith("## The limit")


def test_one_line_chooses_the_model(notebook):
    lines = [line for cell in code_cells(notebook) for line in cell.source.splitlines()]
    assert len([line for line in lines if re.match(r'MODEL = "(local|fake)"', line)]) == 1
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "openai:" in text
    assert "anthropic:" in text


def test_outputs_of_a_real_run_are_stored(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell.outputs) for cell in cells) > len(cells) / 2
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    assert all(output.get("name") != "stderr" for output in outputs)
    assert last_table(notebook), "it ends with a measured table"


def test_nothing_of_a_machine_is_in_it(path):
    assert MACHINE.findall(path.read_text(encoding="utf-8")) == []


def is_public(module, name):
    """Whether a module shows a name: in `__all__`, or as its own, without an underscore and with a docstring."""
    if hasattr(module, "__all__"):
        return name in module.__all__
    value = getattr(module, name)
    return not name.startswith("_") and value.__module__ == module.__name__ and bool(value.__doc__)


def test_every_name_it_uses_is_public(notebook):
    tree = ast.parse(
        "\n".join(re.sub(r"^[!%].*", "", cell.source, flags=re.MULTILINE) for cell in code_cells(notebook))
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in PACKAGES:
            assert not any(part.startswith("_") for part in node.module.split("."))
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert is_public(module, alias.name), f"{node.module}.{alias.name}"


def test_the_index_names_every_notebook():
    index = (COOKBOOK / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \| .+ \| .+ \| .+ \|$", index, re.MULTILINE)
    assert rows == [path.name for path in NOTEBOOKS]
