"""The sidecar's own process, as it is started in production: large bodies pass through it and are not kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2 as pb

from tests.integration.sidecar.grpc_upstream import SERVICE, UNLIMITED, Upstream, serving
from tests.integration.sidecar.upstreams import NOWHERE, connected, http_upstream, ok, post, read_request
from tests.support.triton import free_ports
from tests.support.waiting import DEADLINE, wait_for

ROOT = Path(__file__).resolve().parents[3]
INFER = "/v2/models/m/infer"
LARGE = 100_000_000
GROWTH_BYTES = 32 << 20
"""Buffers of sockets, what is captured of four bodies, and an allocator that gives little back."""


@contextlib.contextmanager
def running(http: str, grpc_address: str, log: Path) -> Iterator[tuple[int, int, int]]:
    """Run `inferwatch sidecar` with a Kafka that is not there; yield its process id and both ports."""
    ports = free_ports(3)
    named = dict(zip(("HTTP", "GRPC", "ADMIN"), map(str, ports), strict=True))
    env = {
        **os.environ,
        **{f"INFERWATCH_SIDECAR_{name}_PORT": port for name, port in named.items()},
        "INFERWATCH_TRITON_HTTP": http,
        "INFERWATCH_TRITON_GRPC": grpc_address,
        "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
    }
    command = [sys.executable, "-m", "app.cli", "sidecar"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: process.poll() is not None or listens(ports[2]), "the sidecar to listen")
        assert process.poll() is None, log.read_text()
        yield process.pid, ports[0], ports[1]
    finally:
        process.terminate()
        status = process.wait(DEADLINE)
    assert status == 0, log.read_text()


def listens(port: int) -> bool:
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def peak(pid: int) -> int:
    """Return the most memory in bytes that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with as many bytes as it had."""
    while True:
        request = await read_request(reader)
        writer.write(ok(request.partition(b"\r\n\r\n")[2]))
        await writer.drain()


async def over_http(port: int, size: int) -> None:
    async with connected(port, limit=2 * LARGE) as (reader, writer):
        writer.write(post(INFER, bytes(size)))
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(size) == bytes(size)


async def over_grpc(port: int, size: int) -> None:
    message = pb.ModelInferRequest(model_name="m", raw_input_contents=[bytes(size)])
    message.inputs.add(name="x", datatype="UINT8", shape=[size])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=UNLIMITED) as channel:
        response = await channel.unary_unary(SERVICE + "ModelInfer")(message.SerializeToString())
        assert pb.ModelInferResponse.FromString(response).raw_output_contents == [bytes(size)]


async def test_bodies_of_a_hundred_megabytes_pass_in_memory_that_does_not_grow_with_them(tmp_path: Path) -> None:
    async with (
        http_upstream(answer) as http,
        serving(Upstream()) as upstream_port,
    ):
        with running(http, f"127.0.0.1:{upstream_port}", tmp_path / "sidecar.log") as (pid, http_port, grpc_port):
            await over_http(http_port, 3_000_000)
            await over_grpc(grpc_port, 3_000_000)
            before = peak(pid)
            await over_http(http_port, LARGE)
            await over_grpc(grpc_port, LARGE)
            grown = peak(pid) - before
    assert grown < GROWTH_BYTES, f"{grown / 1e6:.0f} MB"
