"""The examples in docstrings and in the README do what they say."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import textwrap
from pathlib import Path

import pytest
from langchain_core.language_models import FakeListChatModel
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.tools import QueryEngineTool
from pydantic import Field

import langchain_sot
import llamaindex_sot
from skeleton_of_thought.decoding import GenerationRequest, get_engine

ROOT = Path(__file__).parents[2]
PACKAGES = ("skeleton_of_thought", "langchain_sot", "llamaindex_sot")
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def python_blocks(text):
    return [
        textwrap.dedent(block)
        for block in re.findall(r"^[ \t]*```python\n(.*?)^[ \t]*```", text, re.DOTALL | re.MULTILINE)
    ]


def docstring_blocks():
    return [
        pytest.param(path, block, id=f"{path}: {getattr(node, 'name', 'module')}")
        for path, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, DOCUMENTED)
        for block in python_blocks(ast.get_docstring(node) or "")
    ]


class QuickChat(FakeListChatModel):
    """Stands in for the local model where an example is about something else."""

    responses: list[str] = Field(
        default=["1. Set goals\n2. Take breaks", "Goals give a direction.", "Breaks keep you going."]
    )


def what_examples_take_for_granted():
    """The names an example uses and leaves to its reader."""
    llm = MockLLM(max_tokens=8)
    index = VectorStoreIndex.from_documents([Document(text="Turn the heap.")], embed_model=MockEmbedding(4))
    tool = QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), description="Answers.")
    return {
        "llm": llm,
        "index": index,
        "sot_tool": tool,
        "direct_tool": tool,
        "engine": get_engine("local"),
        "GenerationRequest": GenerationRequest,
        "show": print,
    }


@pytest.mark.parametrize("path", [path for path, source in SOURCES.items() if ">>> " in source])
def test_interactive_examples(path):
    module = importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(("path", "block"), docstring_blocks())
def test_python_blocks_of_docstrings(path, block, monkeypatch):
    if Path(path).name in {"chain.py", "router.py", "query_engine.py"}:
        monkeypatch.setattr(langchain_sot, "ChatTransformers", QuickChat, raising=False)
        monkeypatch.setattr(llamaindex_sot, "TransformersLLM", lambda: MockLLM(max_tokens=8), raising=False)
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    names = {**what_examples_take_for_granted(), **vars(module)}
    exec(compile(block, path, "exec"), names)


def test_python_blocks_of_the_readme(capsys):
    blocks = python_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 2
    for block in blocks:
        assert len(block.splitlines()) <= 15
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert len(capsys.readouterr().out) > 200, "the local model's answer"


def test_the_readme_names_what_there_is():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in PACKAGES:
        for public in importlib.import_module(name).__all__ if name != "skeleton_of_thought" else ():
            assert f"`{public}`" in readme
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", readme):
        assert (ROOT / link).exists(), link
