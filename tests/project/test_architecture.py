"""Arrows between files: no circle, nothing imports the top floor, no class name with two meanings."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("skeleton_of_thought", "langchain_sot", "llamaindex_sot", "sot_command")


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}


@cache
def tree(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(body, *, types):
    """What runs when a module is imported; with `types` also what only a type checker reads."""
    for node in body:
        if is_for_types(node):
            if types:
                yield from node.body
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from statements(node.body, types=types)
        else:
            yield node


def targets(module, *, types):
    """The project's modules a module imports, without its own package's faces."""
    for node in statements(tree(module).body, types=types):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in MODULES else node.module
                for alias in node.names
            ]
        else:
            continue
        yield from (name for name in names if name in MODULES and name != module)


def circle(*, types):
    graph = {module: set(targets(module, types=types)) for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


@pytest.mark.parametrize("types", [False, True])
def test_no_circle_between_files(types):
    """A type checker's imports are arrows too."""
    assert circle(types=types) is None


def test_no_circle_between_folders():
    graph = defaultdict(set)
    for module, path in MODULES.items():
        for target in targets(module, types=True):
            if MODULES[target].parent != path.parent:
                graph[path.parent].add(MODULES[target].parent)
    below = {folder: {other for other in graph[folder] if folder not in other.parents} for folder in graph}
    TopologicalSorter(below).prepare()


@pytest.mark.parametrize("folder", ["skeleton_of_thought", "langchain_sot", "llamaindex_sot"])
def test_nothing_imports_the_top_floor(folder):
    for module in MODULES:
        if module.startswith(folder):
            found = [
                alias
                for node in ast.walk(tree(module))
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for alias in [getattr(node, "module", None) or node.names[0].name]
            ]
            assert not [name for name in found if name.startswith("sot_command")], module


def class_names():
    places = defaultdict(set)
    for module in MODULES:
        for node in tree(module).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].add(module)
    return places


def test_no_class_name_has_two_meanings():
    assert {name: places for name, places in class_names().items() if len(places) > 1} == {}
