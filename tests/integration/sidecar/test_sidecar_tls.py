"""TLS towards clients, towards Triton, and on both sides, with and without certificates of clients."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from tritonclient.grpc import service_pb2 as pb

from ingest.errors import SettingError
from ingest.sidecar.grpc_refusal import goaway
from ingest.sidecar.h2_frames import PREFACE, SETTINGS, frame
from ingest.tls import ClientTls, ServerTls, client_context, server_context
from tests.integration.sidecar.grpc_upstream import SERVICE, Upstream, asked, element, serving
from tests.integration.sidecar.upstreams import (
    ASKED,
    DEADLINE,
    GENERATE,
    always,
    connected,
    http_upstream,
    ok,
    post,
    read_request,
    sidecar_before,
)
from tests.support.waiting import until

ANSWER = ok(b'{"text_output":"Hello"}')


class Files:
    """Authorities and what they issued, as PEM files and as contexts for the other ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self.public, self.private = trustme.CA(), trustme.CA()
        self.public_ca, self.private_ca = self._file(self.public.cert_pem), self._file(self.private.cert_pem)

    def chain(self, ca: trustme.CA, name: str = "127.0.0.1") -> tuple[Path, Path]:
        """Return files of a certificate for a name and its key."""
        issued = ca.issue_cert(name)
        return self._file(*issued.cert_chain_pems), self._file(issued.private_key_pem)

    def credentials(self, ca: trustme.CA, roots: trustme.CA, name: str = "127.0.0.1") -> Any:
        """Return what a gRPC server needs that asks for clients' certificates."""
        issued = ca.issue_cert(name)
        pair = (issued.private_key_pem.bytes(), b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return grpc.ssl_server_credentials([pair], roots.cert_pem.bytes(), require_client_auth=True)

    def _file(self, *pems: trustme.Blob) -> Path:
        self._made += 1
        path = self._folder / f"{self._made}.pem"
        path.write_bytes(b"".join(pem.bytes() for pem in pems))
        return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def client_of(ca: trustme.CA, certificate_by: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if certificate_by is not None:
        certificate_by.issue_cert("client").configure_cert(context)
    return context


def server_by(ca: trustme.CA, clients_of: trustme.CA | None = None, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    if clients_of is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients_of.configure_trust(context)
    return context


async def answered(port: int, tls: ssl.SSLContext | None, request: bytes = post(GENERATE, ASKED)) -> bytes:
    """Return what the sidecar answers a request, with the header that it adds."""
    async with asyncio.timeout(DEADLINE), connected(port, tls=tls) as (reader, writer):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return head + await reader.readexactly(length)


async def test_http_passes_with_certificates_of_all_four_ends(files: Files) -> None:
    tls = ServerTls(*files.chain(files.public), files.public_ca)
    upstream_tls = ClientTls(files.private_ca, None, *files.chain(files.private, "sidecar"))
    async with (
        http_upstream(always(ANSWER), server_by(files.private, files.private)) as upstream,
        sidecar_before(upstream, tls=tls, upstream_tls=upstream_tls) as (sidecar, mirrored),
    ):
        answer = await answered(sidecar.ports.http, client_of(files.public, files.public))
        (seen,) = await mirrored.wait(1)
    assert answer.replace(f"x-inferwatch-event-id: {seen.event_id}\r\n".encode(), b"") == ANSWER
    assert seen.output_messages[0].parts[0].content == "Hello"


async def test_grpc_passes_with_certificates_of_all_four_ends(files: Files) -> None:
    tls = ServerTls(*files.chain(files.public), files.public_ca)
    upstream_tls = ClientTls(files.private_ca, "triton.internal", *files.chain(files.private, "sidecar"))
    mine = files.public.issue_cert("client")
    channel_credentials = grpc.ssl_channel_credentials(
        files.public.cert_pem.bytes(), mine.private_key_pem.bytes(), mine.cert_chain_pems[0].bytes()
    )
    upstream = Upstream()
    async with (
        serving(upstream, credentials=files.credentials(files.private, files.private, "triton.internal")) as port,
        sidecar_before(grpc=f"127.0.0.1:{port}", tls=tls, upstream_tls=upstream_tls) as (sidecar, mirrored),
        grpc.aio.secure_channel(f"127.0.0.1:{sidecar.ports.grpc}", channel_credentials) as channel,
    ):
        for _ in range(20):
            answer = await channel.unary_unary(SERVICE + "ModelInfer")(asked(), timeout=DEADLINE)
            assert pb.ModelInferResponse.FromString(answer).raw_output_contents == [element("Hi")]
        assert len(await mirrored.wait(20)) == 20


@pytest.mark.parametrize("client_ca", [None, "public"])
async def test_a_client_without_the_certificate_that_is_asked_for_gets_nothing(
    files: Files, client_ca: str | None
) -> None:
    arrived = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()

    tls = ServerTls(*files.chain(files.public), files.private_ca)
    own = client_of(files.public, files.public if client_ca else None)
    async with http_upstream(note) as upstream, sidecar_before(upstream, tls=tls) as (sidecar, mirrored):
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await answered(sidecar.ports.http, own)
        assert mirrored.events() == []
    assert not arrived.is_set()


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_an_upstream_with_the_wrong_certificate_is_refused_and_said_to_be(files: Files, wrong: str) -> None:
    ca = files.public_ca if wrong == "authority" else files.private_ca
    name = "127.0.0.1" if wrong == "authority" else "elsewhere.internal"
    upstream_tls = ClientTls(ca)
    async with (
        http_upstream(always(ANSWER), server_by(files.private, name=name)) as upstream,
        sidecar_before(upstream, upstream, upstream_tls=upstream_tls) as (sidecar, mirrored),
    ):
        answer = await answered(sidecar.ports.http, None)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await channel.unary_unary(SERVICE + "ModelInfer")(asked(), timeout=DEADLINE)
        events = await mirrored.wait(2)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert "certificate verify failed" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "certificate verify failed" in failed.value.details()
    assert [(event.status, event.error_type) for event in events] == [("error", "502"), ("error", "UNAVAILABLE")]


async def test_a_grpc_client_is_told_by_tls_at_once_that_upstream_left(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.sidecar.pipe._LINGER_SECONDS", 3_600.0)
    leave = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(SETTINGS, 0, 0))
        await leave.wait()

    context = client_of(files.public)
    context.set_alpn_protocols(["h2"])
    tls = ServerTls(*files.chain(files.public))
    async with (
        http_upstream(greet) as upstream,
        sidecar_before(grpc=upstream, tls=tls) as (sidecar, _),
        connected(sidecar.ports.grpc, tls=context) as (reader, writer),
    ):
        writer.write(PREFACE + frame(SETTINGS, 0, 0))
        assert await reader.readexactly(9) == frame(SETTINGS, 0, 0)
        leave.set()
        async with asyncio.timeout(DEADLINE):
            assert await reader.read() == goaway(0)
        await until(lambda: not sidecar.metrics()["inferwatch_sidecar_grpc_connections"], "the end")


async def test_a_tls_client_that_leaves_is_noticed_by_upstream_without_a_word_in_the_log(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    gone = asyncio.Event()
    begun = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b'data: {"text_output":"Hel"}\n\n'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(begun + f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        assert await reader.read() == b""
        gone.set()

    caplog.set_level(logging.WARNING)
    tls = ServerTls(*files.chain(files.public))
    async with http_upstream(answer) as upstream, sidecar_before(upstream, tls=tls) as (sidecar, mirrored):
        async with connected(sidecar.ports.http, tls=client_of(files.public)) as (reader, writer):
            writer.write(post("/v2/models/m/generate_stream", ASKED))
            await reader.readuntil(b"\n\n\r\n")
        await asyncio.wait_for(gone.wait(), DEADLINE)
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.output_messages[0].parts[0].content) == ("cancelled", "Hel")
    assert caplog.records == []


async def test_large_bodies_pass_both_ways_through_tls(files: Files) -> None:
    size = 8_000_000
    upstream_tls = ClientTls(files.private_ca)
    tls = ServerTls(*files.chain(files.public))
    arrived: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await read_request(reader))
        writer.write(ok(b"y" * size))

    async with (
        http_upstream(answer, server_by(files.private)) as upstream,
        sidecar_before(upstream, tls=tls, upstream_tls=upstream_tls) as (sidecar, _),
    ):
        request = post("/v2/any", b"x" * size)
        assert await answered(sidecar.ports.http, client_of(files.public), request) == ok(b"y" * size)
    assert arrived == [request]


def test_an_authority_that_is_given_stands_alone(files: Files) -> None:
    context = client_context(ClientTls(files.private_ca), "h2")
    assert context is not None
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (lambda files, path: server_context(ServerTls(path, path, None, "X_TLS"), "h2"), "X_TLS_CERT"),
        (
            lambda files, path: server_context(
                replace(ServerTls(*files.chain(files.public)), client_ca=path, setting="X_TLS"), "h2"
            ),
            "X_TLS_CLIENT_CA",
        ),
        (lambda files, path: client_context(ClientTls(path, setting="X_TLS"), "h2"), "X_TLS_CA"),
        (lambda files, path: client_context(ClientTls(None, None, path, path, "X_TLS"), "h2"), "X_TLS_CERT"),
    ],
)
@pytest.mark.parametrize("content", [None, b"not PEM"])
def test_a_file_that_is_not_there_or_something_else_is_named(
    files: Files, tmp_path: Path, made: Callable[[Files, Path], object], named: str, content: bytes | None
) -> None:
    path = tmp_path / "absent.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=r"absent\.pem") as failed:
        made(files, path)
    assert failed.value.name == named


@pytest.mark.parametrize("name", [".internal", "triton..svc", "t" * 64 + ".internal"])
def test_a_name_that_no_server_can_have_is_named(name: str) -> None:
    with pytest.raises(SettingError) as failed:
        client_context(ClientTls(server_name=name, setting="X_TLS"), "h2")
    assert (failed.value.name, failed.value.value) == ("X_TLS_SERVER_NAME", name)


def test_a_key_that_wants_a_password_is_refused_and_nobody_asked(files: Files, tmp_path: Path) -> None:
    certificate, key = files.chain(files.public)
    locked = tmp_path / "locked.pem"
    how = serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    locked.write_bytes(serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(*form))
    with pytest.raises(SettingError, match=r"locked\.pem"):
        server_context(ServerTls(certificate, locked), "h2")
