"""The page "Options" is made from the code, and the faces keep the same options with the same defaults."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from skeleton_of_thought import Options

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


def test_each_option_has_one_row_with_both_frameworks_columns_filled(options_table):
    rows = [row.strip("| ").split(" | ") for row in options_table.table().splitlines()[2:]]
    assert len({row[0] for row in rows}) == len(rows)
    for name, _, langchain, llamaindex, *_ in rows:
        assert "–" not in (langchain, llamaindex), name


def test_the_readme_names_options_that_there_are():
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"Options\((\w+)=", readme))
    assert "load_aware" in named
    assert named <= {each.name for each in fields(Options)}
