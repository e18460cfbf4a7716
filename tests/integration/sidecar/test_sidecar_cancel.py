"""A client that leaves in the middle of a real generation: Triton stops, and what was seen until then is recorded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.integration.sidecar.grpc_upstream import SERVICE
from tests.integration.sidecar.upstreams import DEADLINE, connected, post, sidecar_before
from tests.support.triton import ENDLESS, RunningTriton

STREAM = "/v2/models/smollm2/generate_stream"
PIECES = 3
QUIET_SECONDS = 0.3


async def idle(triton: RunningTriton) -> None:
    """Wait until its models have used no processor time for a while; unhindered, they would for much longer."""
    clock = asyncio.get_running_loop().time
    used, since, deadline = ticks(triton), clock(), clock() + DEADLINE
    while clock() - since < QUIET_SECONDS:
        assert clock() < deadline, "Triton goes on without a client"
        await asyncio.sleep(0.02)
        if ticks(triton) != used:
            used, since = ticks(triton), clock()


def ticks(triton: RunningTriton) -> int:
    """Return the processor time that the models have used."""
    stats = [Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split() for pid in triton.stubs()]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats)


async def leave(port: int) -> str:
    """Read a few pieces of a stream, leave, and return the text that came."""
    body = json.dumps({**ENDLESS, "stream": True}).encode()
    texts: list[str] = []
    async with connected(port) as (reader, writer):
        writer.write(post(STREAM, body))
        while len(texts) < PIECES:
            line = await reader.readline()
            assert line, "the stream ended"
            if line.startswith(b"data:"):
                texts.append(json.loads(line[5:])["text_output"])
    return "".join(texts)


def asked() -> bytes:
    message = pb.ModelInferRequest(model_name="smollm2", id="left")
    values: tuple[tuple[str, str, str, Any], ...] = (
        ("text_input", "BYTES", "bytes_contents", ENDLESS["text_input"].encode()),
        ("max_tokens", "INT32", "int_contents", ENDLESS["max_tokens"]),
        ("temperature", "FP32", "fp32_contents", ENDLESS["temperature"]),
        ("stream", "BOOL", "bool_contents", True),
    )
    for name, datatype, field, value in values:
        tensor = message.inputs.add(name=name, datatype=datatype, shape=[1])
        getattr(tensor.contents, field).append(value)
    return bytes(message.SerializeToString())


async def leave_grpc(address: str, *, close: bool) -> str:
    """Read a few responses, cancel the call or close its channel, and return the text that came."""
    texts: list[str] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(SERVICE + "ModelStreamInfer")()
        await call.write(asked())
        while len(texts) < PIECES:
            response = pb.ModelStreamInferResponse.FromString(await call.read()).infer_response
            names = [output.name for output in response.outputs]
            texts.append(response.raw_output_contents[names.index("text_output")][4:].decode())
        if close:
            await channel.close()
        else:
            call.cancel()
    return "".join(texts)


async def test_a_client_that_leaves_an_http_stream(triton: RunningTriton) -> None:
    async with sidecar_before(triton.http_url.removeprefix("http://")) as (sidecar, mirrored):
        text = await leave(sidecar.ports.http)
        await idle(triton)
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.stream, seen.request_model) == ("cancelled", True, "smollm2")
    assert seen.input_messages[0].parts[0].content == ENDLESS["text_input"]
    content = seen.output_messages[0].parts[0].content
    assert content is not None
    assert content.startswith(text)
    assert seen.time_to_first_token is not None
    assert 0 < seen.time_to_first_token < seen.duration


@pytest.mark.parametrize("close", [False, True])
async def test_a_client_that_leaves_a_grpc_stream(triton: RunningTriton, close: bool) -> None:
    async with sidecar_before(grpc=triton.grpc_url) as (sidecar, mirrored):
        text = await leave_grpc(f"127.0.0.1:{sidecar.ports.grpc}", close=close)
        await idle(triton)
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.error_type, seen.response_id) == ("cancelled", "CANCELLED", "left")
    content = seen.output_messages[0].parts[0].content
    assert content is not None
    assert content.startswith(text)
