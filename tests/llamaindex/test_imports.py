"""What is installed and what is not: each case in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # each starts Python and imports a framework

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


def run(blocked: set[str], code: str) -> subprocess.CompletedProcess[str]:
    script = BLOCK.format(blocked=blocked) + code
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )


def test_llamaindex_without_langchain_and_torch():
    code = """
import llamaindex_sot
for name in llamaindex_sot.__all__:
    getattr(llamaindex_sot, name)
import sys
assert not {"langchain_core", "torch", "transformers"} & set(sys.modules)
from llama_index.core.llms import MockLLM
from llama_index.core.schema import NodeWithScore, TextNode
synthesizer = llamaindex_sot.SkeletonOfThoughtSynthesizer(MockLLM(max_tokens=3))
print(synthesizer.synthesize("How?", [NodeWithScore(node=TextNode(text="so"))]))
"""
    done = run({"langchain_core", "torch", "transformers"}, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "text text text\n"


@pytest.mark.parametrize("blocked", [{"llama_index"}, {"llama_index", "langchain_core", "torch"}])
def test_without_llamaindex_the_package_imports_and_says_what_to_install(blocked):
    code = """
import llamaindex_sot
print(sorted(llamaindex_sot.__all__) == llamaindex_sot.__all__, "TransformersLLM" in dir(llamaindex_sot))
try:
    llamaindex_sot.TransformersLLM
except ImportError as error:
    print(error)
"""
    done = run(blocked, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "True True"
    assert 'pip install "skeleton-of-thought[llamaindex]"' in done.stdout


def test_documents_without_the_extra_say_what_to_install(tmp_path):
    (tmp_path / "a.md").write_text("Bees need water.")
    code = f"""
from llamaindex_sot.documents.folder import folder_index
from llama_index.core import MockEmbedding
try:
    folder_index({str(tmp_path)!r}, embed_model=MockEmbedding(4), storage={str(tmp_path / "index")!r})
except ImportError as error:
    print(error)
"""
    done = run({"chromadb", "langchain_core"}, code)
    assert done.returncode == 0, done.stderr
    assert 'pip install "skeleton-of-thought[docs]"' in done.stdout


def test_langchain_without_llamaindex():
    done = run({"llama_index"}, "import langchain_sot\nlangchain_sot.SkeletonOfThoughtChain")
    assert done.returncode == 0, done.stderr
