"""Triton's entry point for SmolLM2: requests in, responses out as tokens are made.

Triton calls `execute` with one request at a time. It returns as soon as the request holds a slot of the engine and
blocks while all slots are busy. So waiting requests stay in Triton's queue, where its metrics count them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import chat
import engine
import lifeline
import triton_python_backend_utils as pb

INPUTS = ("text_input", "stream", "max_tokens", "temperature", "seed", "system_prompt")
# How soon a request that was cancelled while it waited for a slot is dropped, in seconds.
CANCEL_CHECK = 0.05


class TritonPythonModel:
    """One instance of the model; Triton finds it by this name."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Loads the engine with the parameters of config.pbtxt."""
        config = json.loads(args["model_config"])["parameters"]
        threads, slots, context = (int(config[key]["string_value"]) for key in ("threads", "slots", "context"))
        self._engine = engine.start(threads=threads, slots=slots, context=context)
        self._free = threading.Semaphore(slots)
        self._workers = ThreadPoolExecutor(slots, thread_name_prefix="generate")
        self._closing = threading.Event()
        self._asking = threading.Lock()
        # Last, because loading may hold Python's interpreter lock for longer than the lifeline has patience.
        lifeline.tie_to_parent()

    def execute(self, requests: list[Any]) -> None:
        """Starts each request on a slot; answers come later through its response sender."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                wanted = chat.parse({name: _array(request, name) for name in INPUTS})
            except chat.BadInput as error:
                _fail(sender, str(error), pb.TritonError.INVALID_ARG)
                continue
            if self._took_slot(sender):
                self._workers.submit(self._generate, sender, wanted)
            else:
                _fail(sender, "cancelled while waiting for a slot", pb.TritonError.CANCELLED)

    def finalize(self) -> None:
        """Stops what still runs and frees the engine."""
        self._closing.set()
        self._workers.shutdown(wait=True, cancel_futures=True)
        del self._engine

    def _took_slot(self, sender: Any) -> bool:
        while not self._free.acquire(timeout=CANCEL_CHECK):
            if self._stopped(sender):
                return False
        return True

    def _stopped(self, sender: Any) -> bool:
        if self._closing.is_set():
            return True
        # One question at a time: the backend holds Python's interpreter lock while a second one queues, and if Triton
        # dies before it answers the first, holds it for ever.
        with self._asking:
            return bool(sender.is_cancelled())

    def _generate(self, sender: Any, wanted: chat.ChatRequest) -> None:
        try:
            self._stream(sender, wanted)
        except chat.PromptTooLong as error:
            _fail(sender, str(error), pb.TritonError.INVALID_ARG)
        except Exception as error:
            _fail(sender, f"generation failed: {error!r}", pb.TritonError.INTERNAL)
        finally:
            self._free.release()

    def _stream(self, sender: Any, wanted: chat.ChatRequest) -> None:
        reader = chat.ChunkReader()
        pieces: list[chat.Piece] = []

        def on_chunk(chunk: Mapping[str, Any]) -> bool:
            if self._stopped(sender):
                return True
            piece = reader.read(chunk)
            if piece is None:
                return False
            pieces.append(piece)
            if wanted.stream:
                _send(sender, piece)
            return False

        engine.run(self._engine, wanted.body(), on_chunk)
        if not pieces or not pieces[-1].finish_reason:
            _fail(sender, "cancelled", pb.TritonError.CANCELLED)
        elif not wanted.stream:
            _send(sender, chat.joined(pieces))


def _array(request: Any, name: str) -> Any:
    tensor = pb.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def _send(sender: Any, piece: chat.Piece) -> None:
    tensors = [pb.Tensor(name, array) for name, array in piece.tensors().items()]
    flags = pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL if piece.finish_reason else 0
    sender.send(pb.InferenceResponse(output_tensors=tensors), flags=flags)


def _fail(sender: Any, message: str, code: int) -> None:
    response = pb.InferenceResponse(error=pb.TritonError(message, code))
    sender.send(response, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
