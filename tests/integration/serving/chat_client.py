"""Requests to the language model in each way that Triton offers."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc.aio import InferenceServerClient

TYPES = {
    "text_input": "BYTES",
    "system_prompt": "BYTES",
    "stream": "BOOL",
    "max_tokens": "INT32",
    "seed": "INT32",
    "temperature": "FP32",
}
KINDS: dict[str, Any] = {"BYTES": np.object_, "BOOL": np.bool_, "INT32": np.int32, "FP32": np.float32}


def generate(url: str, **body: Any) -> tuple[int, dict[str, Any]]:
    """One request, one response; gives the HTTP status and the body."""
    connection = _post(url, "generate", body)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def generate_stream(url: str, **body: Any) -> Generator[dict[str, Any], None, None]:
    """The events of a stream as they come; closing the iterator closes the connection."""
    connection = _post(url, "generate_stream", {"stream": True, **body})
    try:
        response = connection.getresponse()
        for line in response:
            if line.startswith(b"data:"):
                yield json.loads(line[5:])
    finally:
        connection.close()


async def stream_grpc(url: str, **values: Any) -> AsyncGenerator[dict[str, Any], None]:
    """The responses of a gRPC stream as they come, as plain values; leaving early cancels the request."""
    async with InferenceServerClient(url) as client:

        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield {"model_name": "smollm2", "inputs": [_tensor(name, value) for name, value in values.items()]}

        responses = client.stream_infer(requests())
        try:
            async for result, error in responses:
                if error is not None:
                    raise error
                names = [output.name for output in result.get_response().outputs]
                yield {name: result.as_numpy(name)[0] for name in names}
                if result.as_numpy("finish_reason")[0]:
                    return
        finally:
            responses.cancel()


def _tensor(name: str, value: Any) -> triton.InferInput:
    kind = TYPES[name]
    tensor = triton.InferInput(name, [1], kind)
    given = value.encode() if isinstance(value, str) else value
    tensor.set_data_from_numpy(np.array([given], dtype=KINDS[kind]))
    return tensor


def _post(url: str, way: str, body: dict[str, Any]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("POST", f"/v2/models/smollm2/{way}", json.dumps(body))
    return connection
