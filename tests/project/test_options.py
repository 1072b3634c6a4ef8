"""The page "Options" is made from the code, and the faces keep the same options with the same defaults."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def options_table():
    sys.path.insert(0, str(DOCS))
    try:
        import options_table
    finally:
        sys.path.remove(str(DOCS))
    return options_table


def test_faces_have_the_same_options_with_the_same_defaults_or_say_what_they_have_instead(options_table):
    for option in options_table.options():
        instead = options_table.INSTEAD.get(option.name, {})
        assert not set(instead) & set(option.defaults), option.name
        if (
            option.name != "model"
        ):  # LlamaIndex has a global default, `Settings.llm`, and plain Python a local model
            given = {option.defaults[face] for face in options_table.FACES[:3] if face in option.defaults}
            assert len(given) <= 1, (option.name, given)
        for face in ("LangChain", "LlamaIndex"):
            assert option.cell(face) != "–", (option.name, face)


def test_plain_python_has_what_both_frameworks_have(options_table):
    for option in options_table.options():
        if {"LangChain", "LlamaIndex"} <= set(option.defaults):
            assert "plain Python" in option.defaults, option.name


def test_what_stands_there_instead_belongs_to_an_option(options_table):
    assert set(options_table.INSTEAD) <= {option.name for option in options_table.options()}


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
