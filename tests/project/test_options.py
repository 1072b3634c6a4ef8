"""The page "Options" is made from the code, and the faces keep the same options with the same defaults."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

BY_ITS_FRAMEWORK = {
    "model": "LlamaIndex has a global default, `Settings.llm`; a LangChain model is always given",
    "question": "LangChain finds the question in messages; LlamaIndex is given it",
    **dict.fromkeys(
        (
            "fallback",
            "skeleton",
            "context",
            "embed_model",
            "chunks_per_point",
            "prompt_helper",
            "empty_response",
        ),
        "about documents",
    ),
    **dict.fromkeys(
        ("streaming", "callback_manager", "output_cls"), "a base class of LlamaIndex asks for it"
    ),
    "max_concurrency": "LangChain has it in the config of a call",
}


@pytest.fixture(scope="module")
def options_table():
    sys.path.insert(0, str(DOCS))
    try:
        import options_table
    finally:
        sys.path.remove(str(DOCS))
    return options_table


def test_both_faces_have_the_same_options_with_the_same_defaults(options_table):
    for option in options_table.options():
        faces = {face: option.defaults.get(face, "missing") for face in ("LangChain", "LlamaIndex")}
        if option.name in BY_ITS_FRAMEWORK or set(option.defaults) == {"sot ask"}:
            continue
        assert faces["LangChain"] == faces["LlamaIndex"] != "missing", (option.name, faces)


def test_every_option_is_explained_and_stands_there_once(options_table):
    names = [option.name for option in options_table.options()]
    assert len(names) == len(set(names))
    assert {"timeout", "limiter", "points_per_call", "max_points", "json"} <= set(names)
    assert [option.name for option in options_table.options() if not option.meaning] == []


def test_the_page_shows_the_table(options_table):
    rows = options_table.table().splitlines()
    assert len({row.count(" | ") for row in rows}) == 1
    assert len(rows) == len(options_table.options()) + 2
    assert "<!-- table of options -->" in (DOCS / "options.md").read_text(encoding="utf-8")
