"""Five ways to ask a model on Triton: through the sidecar over HTTP and gRPC, or directly with the SDK around it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp
import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor

from app.demo.answer import Answer
from inferwatch import Mirror

MODEL: Final = "smollm2"
EVENT_ID: Final = "x-inferwatch-event-id"
_SECONDS: Final = aiohttp.ClientTimeout(total=120)

Ask = Callable[[Answer, str, int], Awaitable[None]]
"""Asks with a prompt and at most so many tokens, and writes what it sees into the answer."""

NO_ANSWER: Final = (aiohttp.ClientError, grpc.RpcError, TimeoutError, ValueError)
"""What a request without a proper answer raises."""


class Clients:
    """Asks SmolLM2 in every way. `ways` maps a name to the source that its events must have, and how to ask."""

    def __init__(self, triton_http: str, sidecar_http: str, sidecar_grpc: str, mirror: Mirror) -> None:
        self._triton = f"http://{triton_http}/v2/models/{MODEL}"
        self._sidecar = f"http://{sidecar_http}/v2/models/{MODEL}"
        self._session = aiohttp.ClientSession(timeout=_SECONDS)
        self._channel = grpc.aio.insecure_channel(sidecar_grpc)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._mirror = mirror
        self.ways: dict[str, tuple[str, Ask]] = {
            "sidecar, HTTP, streamed": ("sidecar-http", self._sidecar_http_streamed),
            "sidecar, HTTP": ("sidecar-http", self._sidecar_http),
            "sidecar, gRPC, streamed": ("sidecar-grpc", self._sidecar_grpc_streamed),
            "SDK, streamed": ("sdk", self._sdk_streamed),
            "SDK": ("sdk", self._sdk),
        }

    async def aclose(self) -> None:
        """Release connections."""
        await self._session.close()
        await self._channel.close()

    async def _sidecar_http_streamed(self, answer: Answer, prompt: str, max_tokens: int) -> None:
        headers = {"x-inferwatch-team": "retail"}
        body = _body(prompt, max_tokens, stream=True)
        async with self._session.post(f"{self._sidecar}/generate_stream", json=body, headers=headers) as response:
            answer.event_id = response.headers.get(EVENT_ID, "")
            async for text, tokens in _chunks(response, answer):
                answer.chunk(text, tokens)
        answer.finish()

    async def _sidecar_http(self, answer: Answer, prompt: str, max_tokens: int) -> None:
        headers = {"x-inferwatch-team": "retail"}
        body = _body(prompt, max_tokens, stream=False)
        async with self._session.post(f"{self._sidecar}/generate", json=body, headers=headers) as response:
            answer.event_id = response.headers.get(EVENT_ID, "")
            answer.failed = response.status != 200
            await response.read()
        answer.finish()

    async def _sidecar_grpc_streamed(self, answer: Answer, prompt: str, max_tokens: int) -> None:
        call = self._stub.ModelStreamInfer(_one(_request(prompt, max_tokens)), metadata=(("x-inferwatch-team", "web"),))
        for key, value in await call.initial_metadata():
            if key == EVENT_ID:
                answer.event_id = str(value)
        async for message in call:
            if message.error_message:
                answer.failed = True
                continue
            answer.chunk(*_piece(message.infer_response))
        answer.finish()

    async def _sdk_streamed(self, answer: Answer, prompt: str, max_tokens: int) -> None:
        body = _body(prompt, max_tokens, stream=True)
        with self._mirror.inference(MODEL, input=prompt, user="demo-user") as inference:
            answer.event_id = inference.event_id
            async with self._session.post(f"{self._triton}/generate_stream", json=body) as response:
                async for text, tokens in _chunks(response, answer):
                    answer.chunk(text, tokens)
                    inference.chunk(text)
            if answer.failed:
                inference.error(str(response.status), "the model refused the prompt")
            else:
                inference.tokens(answer.input_tokens, answer.tokens)
        answer.finish()

    async def _sdk(self, answer: Answer, prompt: str, max_tokens: int) -> None:
        body = _body(prompt, max_tokens, stream=False)
        with self._mirror.inference(MODEL, input=prompt, user="demo-user") as inference:
            answer.event_id = inference.event_id
            async with self._session.post(f"{self._triton}/generate", json=body) as response:
                said = await response.json()
            if response.status == 200:
                inference.output(said["text_output"])
                inference.tokens(int(said["num_input_tokens"]), int(said["num_output_tokens"]))
            else:
                answer.failed = True
                inference.error(str(response.status), str(said.get("error", "")))
        answer.finish()


def _body(prompt: str, max_tokens: int, *, stream: bool) -> dict[str, Any]:
    return {"text_input": prompt, "max_tokens": max_tokens, "temperature": 0.7, "stream": stream}


async def _chunks(response: aiohttp.ClientResponse, answer: Answer) -> AsyncIterator[tuple[str, int]]:
    """Yield text and number of tokens of each server-sent event; an error, also one under status 200, is noted."""
    if response.status != 200:
        answer.failed = True
        return
    async for line in response.content:
        if line.startswith(b"data:"):
            said = json.loads(line[5:])
            if "error" in said:
                answer.failed = True
            else:
                answer.input_tokens = int(said.get("num_input_tokens", 0))
                yield said.get("text_output", ""), int(said.get("num_output_tokens", 0))


async def _one(request: service_pb2.ModelInferRequest) -> AsyncIterator[service_pb2.ModelInferRequest]:
    yield request


def _request(prompt: str, max_tokens: int) -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    for name, kind, values in (
        ("text_input", "BYTES", serialize_byte_tensor(np.array([prompt.encode()], dtype=np.object_)).item()),
        ("max_tokens", "INT32", np.array([max_tokens], dtype=np.int32).tobytes()),
        ("stream", "BOOL", np.array([True]).tobytes()),
    ):
        tensor = request.inputs.add()
        tensor.name, tensor.datatype = name, kind
        tensor.shape.append(1)
        request.raw_input_contents.append(values)
    return request


def _piece(response: service_pb2.ModelInferResponse) -> tuple[str, int]:
    """Return text and number of tokens of one streamed response."""
    raw = {
        output.name: content for output, content in zip(response.outputs, response.raw_output_contents, strict=False)
    }
    text = raw.get("text_output", b"\0\0\0\0")[4:].decode("utf-8", "replace")
    tokens = int(np.frombuffer(raw["num_output_tokens"], dtype=np.uint32)[0]) if "num_output_tokens" in raw else 0
    return text, tokens
