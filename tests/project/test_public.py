"""What each package shows, what it may import, and what it says when something is missing."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("skeleton_of_thought", "langchain_sot", "llamaindex_sot", "sot_command")
PUBLIC = (
    *PACKAGES,
    *(
        f"skeleton_of_thought.{name}"
        for name in (
            "clients",
            "decoding",
            "drivers",
            "evaluation",
            "fake_server",
            "limits",
            "method",
            "probing",
            "routing",
        )
    ),
)
OPTIONAL = (
    "torch",
    "transformers",
    "langchain_core",
    "llama_index",
    "openai",
    "anthropic",
    "starlette",
    "uvicorn",
    "gradio",
    "limits",
    "sklearn",
    "sentence_transformers",
    "matplotlib",
    "jinja2",
    "ray",
    "datasets",
)


NEEDS = {  # what imports more than Python and the frameworks when all of its names are looked at
    "langchain_sot": pytest.mark.torch,
    "llamaindex_sot": pytest.mark.torch,
    "skeleton_of_thought.decoding": pytest.mark.torch,
    "skeleton_of_thought.fake_server": pytest.mark.server,
}
PUBLIC_FACES = [pytest.param(name, marks=NEEDS.get(name, ())) for name in PUBLIC]


def modules(package):
    return sorted((ROOT / package).rglob("*.py"))


def order(name):
    """Constants, then classes, then functions, each by name: the order ruff gives to `__all__`."""
    return (not name.isupper(), not name[:1].isupper(), name)


@pytest.mark.parametrize("name", PUBLIC_FACES)
def test_all_is_sorted_and_every_name_is_there_and_documented(name):
    package = importlib.import_module(name)
    assert package.__all__ == sorted(package.__all__, key=order)
    assert len(set(package.__all__)) == len(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    for public in package.__all__:
        value = getattr(package, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{name}.{public} has no docstring"


@pytest.mark.parametrize("name", PUBLIC_FACES)
def test_everything_a_package_imports_for_its_users_is_in_all(name):
    package = importlib.import_module(name)
    shown = {
        public
        for public, value in vars(package).items()
        if not public.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith(f"{name}.")
    }
    assert shown <= set(package.__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_that_it_is_typed(name):
    assert (ROOT / name / "py.typed").is_file()


@pytest.mark.parametrize("name", PUBLIC_FACES)
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match="Skeletn"):
        _ = importlib.import_module(name).Skeletn


# Arrows point one way.


def imported(path):
    """Top-level packages a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        (
            "skeleton_of_thought",
            {"sot_command", "langchain_sot", "llamaindex_sot", "langchain_core", "llama_index"},
        ),
        ("langchain_sot", {"sot_command", "llamaindex_sot", "llama_index"}),
        ("llamaindex_sot", {"sot_command", "langchain_sot", "langchain_core"}),
    ],
)
def test_arrows(package, forbidden):
    found = {str(path.relative_to(ROOT)): forbidden & set(imported(path)) for path in modules(package)}
    assert {path: names for path, names in found.items() if names} == {}


# Without the extras.

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Block())
"""


def run_without(blocked, code):
    program = BLOCK.format(blocked=set(blocked)) + code
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


@pytest.mark.slow
def test_every_package_can_be_imported_without_any_extra():
    code = f"""
import {", ".join(PACKAGES)}
import sot_command, skeleton_of_thought.clients, skeleton_of_thought.decoding, skeleton_of_thought.routing
import skeleton_of_thought.evaluation, skeleton_of_thought.evaluation.report
from skeleton_of_thought import Message, SkeletonOfThought
from skeleton_of_thought.routing import get_router
run = SkeletonOfThought([Message("user", "Why?")], decision=get_router("auto").route([Message("user", "Why?")]))
run.start()
assert not {set(OPTIONAL)!r} & set(sys.modules)
for package in (langchain_sot, llamaindex_sot):
    assert set(package.__all__) <= set(dir(package))
"""
    result = run_without(OPTIONAL, code)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "blocked", "extra"),
    [
        ("from langchain_sot import SkeletonOfThoughtChain", "langchain_core", "langchain"),
        ("from langchain_sot import SkeletonOfThoughtRouter", "langchain_core", "langchain"),
        ("from langchain_sot import ChatTransformers", "langchain_core", "langchain"),
        ("from langchain_sot import ChatTransformers; ChatTransformers().invoke('Hi')", "torch", "local"),
        ("from llamaindex_sot import SkeletonOfThoughtSynthesizer", "llama_index", "llamaindex"),
        ("from skeleton_of_thought.decoding import Engine", "torch", "local"),
        ("from skeleton_of_thought.clients import open_client; open_client('local')", "torch", "local"),
        ("from skeleton_of_thought.clients import open_client; open_client('openai:x')", "openai", "openai"),
        (
            "from skeleton_of_thought.clients import open_client; open_client('anthropic:x')",
            "anthropic",
            "anthropic",
        ),
        ("import skeleton_of_thought.fake_server", "starlette", "serve"),
        ("import sot_command.server", "starlette", "serve"),
        ("from skeleton_of_thought.evaluation.spreading import on_ray; list(on_ray(None, []))", "ray", "ray"),
        (
            "from skeleton_of_thought.evaluation.report.drawing import draw; draw('a', print, width=1, height=1)",
            "matplotlib",
            "eval",
        ),
        ("from sot_command.demo import application; application(None)", "gradio", "demo"),
    ],
)
def test_a_missing_extra_is_named_when_it_is_used(code, blocked, extra):
    caught = f"""
try:
    {code}
except ImportError as error:
    print(type(error).__name__, error)
"""
    result = run_without([blocked], caught)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("MissingExtraError ")
    assert f'Run: pip install "skeleton-of-thought[{extra}]"' in result.stdout
    assert f" needs {blocked}, which is not installed." in result.stdout


@pytest.mark.slow
def test_an_import_that_fails_inside_an_installed_package_is_not_hidden():
    result = run_without(
        ["requests", "idna"],
        """
import types
from skeleton_of_thought.errors import require
class Loader:
    def find_spec(self, name, path=None, target=None):
        if name == "half_installed":
            import importlib.util
            return importlib.util.spec_from_loader(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        import idna
sys.meta_path.insert(0, Loader())
try:
    require("half_installed", extra="local", needed_for="This")
except ImportError as error:
    print(type(error).__name__, error.name)
""",
    )
    assert result.stdout.strip() == "ModuleNotFoundError idna", result.stderr
