"""A real Triton behind the sidecar: every way of asking leaves exactly one right event."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import serialize_byte_tensor, shared_memory

from inferwatch import InferenceEvent
from ingest.sidecar.sidecar import Ports
from tests.integration.sidecar.upstreams import Mirrored, sidecar_before
from tests.support.triton import running_triton

PROMPT = "Name one colour."
TOLERANCE = 0.05
"""Seconds by which the sidecar's and the client's clocks may see the first token apart, on a busy machine."""


class Watched:
    """A sidecar that runs beside the test, whose clients block."""

    def __init__(self, ports: Ports, mirrored: Mirrored) -> None:
        self.ports = ports
        self._mirrored = mirrored
        self._seen = 0

    def next_event(self) -> InferenceEvent:
        """Wait for the next event; fail where more than one came."""
        deadline = time.monotonic() + 10
        while len(self._mirrored.events()) == self._seen:
            assert time.monotonic() < deadline, "no event came"
            time.sleep(0.01)
        (event,) = self._mirrored.events()[self._seen :]
        self._seen += 1
        return event


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with running_triton(tmp_path_factory) as triton:
        started: queue.Queue[Watched] = queue.Queue()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            async with sidecar_before(triton.http_url.removeprefix("http://"), triton.grpc_url) as (running, mirrored):
                started.put(Watched(running.ports, mirrored))
                await stop.wait()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
        thread.start()
        try:
            yield started.get(timeout=30)
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


def post(sidecar: Watched, path: str, body: dict[str, Any]) -> Any:
    url = f"http://127.0.0.1:{sidecar.ports.http}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"x-inferwatch-team": "ads"})
    return urllib.request.urlopen(request, timeout=60)


def text(name: str, value: str, module: Any) -> Any:
    tensor = module.InferInput(name, [1], "BYTES")
    tensor.set_data_from_numpy(np.array([value.encode()], dtype=object))
    return tensor


def flag(name: str, value: bool, module: Any) -> Any:
    tensor = module.InferInput(name, [1], "BOOL")
    tensor.set_data_from_numpy(np.array([value]))
    return tensor


def number(name: str, value: int, module: Any) -> Any:
    tensor = module.InferInput(name, [1], "INT32")
    tensor.set_data_from_numpy(np.array([value], dtype=np.int32))
    return tensor


def assert_is_chat(event: InferenceEvent, output: str, tokens: int) -> None:
    assert (event.request_model, event.model_version, event.status) == ("smollm2", "1", "ok")
    assert [(message.role, message.parts[0].content) for message in event.input_messages] == [("user", PROMPT)]
    assert [message.parts[0].content for message in event.output_messages] == [output]
    assert event.output_tokens == tokens
    assert event.input_tokens is not None
    assert event.input_tokens > 0
    assert len(event.finish_reasons) == 1
    assert event.parameters["max_tokens"] == 8
    assert not event.content_unavailable


def test_generate(sidecar: Watched) -> None:
    with post(sidecar, "/v2/models/smollm2/generate", {"text_input": PROMPT, "max_tokens": 8}) as response:
        answer, event_id = json.load(response), response.headers["x-inferwatch-event-id"]
    event = sidecar.next_event()
    assert_is_chat(event, answer["text_output"], answer["num_output_tokens"])
    assert (event.event_id, event.team, event.stream) == (event_id, "ads", False)


def test_generate_stream(sidecar: Watched) -> None:
    began = time.perf_counter()
    first = None
    answers = []
    body = {"text_input": PROMPT, "max_tokens": 8, "stream": True}
    with post(sidecar, "/v2/models/smollm2/generate_stream", body) as response:
        for line in response:
            if line.startswith(b"data:"):
                answers.append(json.loads(line[5:]))
                if first is None and answers[-1]["text_output"]:
                    first = time.perf_counter() - began
    event = sidecar.next_event()
    assert_is_chat(
        event,
        "".join(answer["text_output"] for answer in answers),
        sum(answer["num_output_tokens"] for answer in answers),
    )
    assert event.time_to_first_token == pytest.approx(first, abs=TOLERANCE)
    assert event.stream


def test_an_error_of_triton(sidecar: Watched) -> None:
    with pytest.raises(urllib.error.HTTPError) as failed:
        post(sidecar, "/v2/models/absent/generate", {"text_input": PROMPT})
    failed.value.close()
    event = sidecar.next_event()
    assert (event.status, event.error_type, event.request_model) == ("error", str(failed.value.code), "absent")
    assert event.error_message


def test_infer_over_http(sidecar: Watched) -> None:
    with triton_http.InferenceServerClient(f"127.0.0.1:{sidecar.ports.http}") as client:
        texts = triton_http.InferInput("text", [2], "BYTES")
        texts.set_data_from_numpy(np.array([b"one", "zwölf".encode()], dtype=object))
        vectors = client.infer("minilm", [texts]).as_numpy("embedding")
    event = sidecar.next_event()
    assert (event.operation, event.request_model, event.status) == ("embeddings", "minilm", "ok")
    assert [message.parts[0].content for message in event.input_messages] == ["one", "zwölf"]
    (made,) = event.output_tensors
    assert (made.name, made.datatype, made.shape) == ("embedding", "FP32", (2, 384))
    assert made.mean == pytest.approx(float(vectors.mean()), abs=1e-6)


def test_infer_over_grpc(sidecar: Watched) -> None:
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{sidecar.ports.grpc}") as client:
        texts = triton_grpc.InferInput("text", [1], "BYTES")
        texts.set_data_from_numpy(np.array([b"one"], dtype=object))
        result = client.infer("minilm", [texts], request_id="r7", headers={"x-inferwatch-team": "ads"})
    event = sidecar.next_event()
    assert (event.operation, event.request_model, event.source) == ("embeddings", "minilm", "sidecar-grpc")
    assert (event.response_id, event.team) == ("r7", "ads")
    assert event.output_tensors[0].shape == result.as_numpy("embedding").shape


@pytest.mark.parametrize("module", [triton_http, triton_grpc])
def test_tensors_in_shared_memory_are_said_to_be_unavailable(sidecar: Watched, module: Any) -> None:
    packed = serialize_byte_tensor(np.array([b"one"], dtype=object))
    size, made = len(packed.item()), 384 * 4
    key = f"/inferwatch-test-{uuid.uuid4().hex}"
    port = sidecar.ports.http if module is triton_http else sidecar.ports.grpc
    region = shared_memory.create_shared_memory_region("tensors", key, size + made)
    try:
        shared_memory.set_shared_memory_region(region, [packed])
        with module.InferenceServerClient(f"127.0.0.1:{port}") as client:
            client.register_system_shared_memory("tensors", key, size + made)
            texts, vectors = module.InferInput("text", [1], "BYTES"), module.InferRequestedOutput("embedding")
            texts.set_shared_memory("tensors", size)
            vectors.set_shared_memory("tensors", made, offset=size)
            client.infer("minilm", [texts], outputs=[vectors])
            client.unregister_system_shared_memory("tensors")
        vector = shared_memory.get_contents_as_numpy(region, np.float32, [384], offset=size)
        assert np.linalg.norm(vector) > 0
    finally:
        shared_memory.destroy_shared_memory_region(region)
    event = sidecar.next_event()
    assert event.content_unavailable
    assert (event.status, event.operation, event.input_messages) == ("ok", "embeddings", ())
    assert [(tensor.name, tensor.mean) for tensor in event.output_tensors] == [("embedding", None)]


@pytest.mark.parametrize("final_wanted", [True, False])
def test_stream_over_grpc(sidecar: Watched, final_wanted: bool) -> None:
    answers: queue.Queue[tuple[float, Any, Any]] = queue.Queue()
    pieces: list[str] = []
    tokens, first = 0, None
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{sidecar.ports.grpc}") as client:
        client.start_stream(lambda result, error: answers.put((time.perf_counter(), result, error)))
        module = triton_grpc
        inputs = [text("text_input", PROMPT, module), flag("stream", True, module), number("max_tokens", 8, module)]
        began = time.perf_counter()
        client.async_stream_infer("smollm2", inputs, request_id="s1", enable_empty_final_response=final_wanted)
        while True:
            at, result, error = answers.get(timeout=60)
            assert error is None
            response = result.get_response()
            if response.outputs:
                pieces.append(result.as_numpy("text_output")[0].decode())
                tokens += int(result.as_numpy("num_output_tokens")[0])
                if first is None and pieces[-1]:
                    first = at - began
            if response.parameters["triton_final_response"].bool_param:
                break
        event = sidecar.next_event()
        client.stop_stream()
    assert_is_chat(event, "".join(pieces), tokens)
    assert event.time_to_first_token == pytest.approx(first, abs=TOLERANCE)
    assert event.response_id == "s1"


def test_an_error_in_a_grpc_stream(sidecar: Watched) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{sidecar.ports.grpc}") as client:
        client.start_stream(lambda result, error: answers.put(error))
        client.async_stream_infer("absent", [text("text_input", PROMPT, triton_grpc)], request_id="s2")
        assert answers.get(timeout=60) is not None
        event = sidecar.next_event()
        client.stop_stream()
    assert (event.status, event.error_type, event.request_model) == ("error", "stream_error", "absent")
