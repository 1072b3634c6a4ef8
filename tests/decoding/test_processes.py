"""Forks, exits and missing extras, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

SETUP = """
import os, sys, threading
import torch
torch.set_num_threads(1)
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from skeleton_of_thought.decoding import Engine, GenerationRequest
from skeleton_of_thought.errors import EngineClosedError

model = LlamaForCausalLM(LlamaConfig(
    vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
    max_position_embeddings=100_000, eos_token_id=None, bos_token_id=None,
))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({str(i): i for i in range(16)}, "0")))
engine = Engine(model, tokenizer)
generation = engine.submit(GenerationRequest(input_ids=[1, 2], max_tokens=90_000))
next(iter(generation))
"""


def run(code: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    script = SETUP + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=timeout, check=False
    )


def test_the_interpreter_exits_while_a_text_is_being_written() -> None:
    done = run("print('last line'); sys.exit(3)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "last line\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_fork_is_told_to_make_its_own_engine_and_the_parent_goes_on() -> None:
    done = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
        child = os.fork()
        if child == 0:
            seen = []
            for attempt in (
                lambda: engine.submit(GenerationRequest(input_ids=[1])),
                lambda: generation.result(),
                lambda: list(generation),
                lambda: generation.cancel(),
            ):
                try:
                    attempt()
                except EngineClosedError as error:
                    seen.append("after the fork" in str(error))
            assert engine.closed
            engine.close()
            sys.exit(0 if seen == [True] * 4 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        generation.cancel()
        assert generation.result(30).finish_reason == "cancelled"
        assert engine.submit(GenerationRequest(input_ids=[1], max_tokens=3)).result(30).usage.output_tokens == 3
        print("both ended")
        """
    )
    assert (done.returncode, done.stdout) == (0, "both ended\n"), done.stderr


def test_without_torch_the_package_imports_and_using_it_names_the_extra() -> None:
    script = """
import sys
sys.modules["torch"] = None
import skeleton_of_thought.decoding as decoding
decoding.GenerationRequest(input_ids=[1])
try:
    decoding.Engine
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MissingExtraError Local decoding needs torch")
    assert 'pip install "skeleton-of-thought[local]"' in done.stdout


def test_ctrl_c_while_a_model_is_loaded_ends_cleanly() -> None:
    script = """
import torch
from skeleton_of_thought.decoding.threads import in_passing

def load():
    weights = torch.randn(300, 300)
    print("loading", flush=True)
    while True:
        weights = (weights @ weights).tanh()

in_passing(load)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert "terminate called" not in error
    assert process.returncode in {-signal.SIGINT, 128 + signal.SIGINT}


def test_an_interpreter_that_ends_waits_for_a_model_that_is_being_loaded() -> None:
    script = """
import threading, time
import torch
from skeleton_of_thought.decoding.threads import in_passing

def load():
    weights = torch.randn(300, 300)
    while True:
        weights = (weights @ weights).tanh()

threading.Thread(target=lambda: in_passing(load), daemon=True).start()
time.sleep(1)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "terminate called" not in done.stderr
