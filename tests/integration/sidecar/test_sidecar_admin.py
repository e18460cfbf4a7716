"""The admin port tells those who run a sidecar how it goes."""

import asyncio
import json

from inferwatch import MirrorSettings
from inferwatch.transport import MemoryTransport, Report
from tests.integration.sidecar.upstreams import always, connected, http_upstream, ok, post, sidecar_before


async def get(port: int, path: str) -> tuple[int, str]:
    async with connected(port) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


async def test_a_sidecar_is_ready_when_both_upstreams_can_be_reached() -> None:
    async with http_upstream(always(ok(b""))) as upstream:
        async with sidecar_before(upstream, upstream) as (sidecar, _):
            assert (await get(sidecar.ports.admin, "/readyz"))[0] == 200
        async with sidecar_before(upstream) as (sidecar, _):
            status, body = await get(sidecar.ports.admin, "/readyz")
            assert (await get(sidecar.ports.admin, "/healthz"))[0] == 200
    assert status == 503
    assert json.loads(body)["upstream_http"] == "reachable"
    assert "127.0.0.1:1 cannot be reached" in json.loads(body)["upstream_grpc"]


async def test_metrics_count_what_passed_and_what_became_of_it() -> None:
    async with http_upstream(always(ok(b"{}"))) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            for path in ("/v2/models/m/generate", "/v2/health/ready"):
                writer.write(post(path, b"{}"))
                await reader.readuntil(b"{}")
        await mirrored.wait(1)
        lines = (await get(sidecar.ports.admin, "/metrics"))[1].splitlines()
    assert "inferwatch_sidecar_http_requests_total 2" in lines
    assert "inferwatch_sidecar_inferences_total 1" in lines
    assert "inferwatch_sidecar_mirrored_total 1" in lines
    assert "# TYPE inferwatch_sidecar_waiting gauge" in lines


async def test_a_mirror_that_breaks_does_not_touch_the_traffic() -> None:
    def broken(_settings: MirrorSettings, _report: Report) -> MemoryTransport:
        raise RuntimeError("no such broker")

    answer = ok(b'{"text_output":"Hello"}')
    async with http_upstream(always(answer)) as upstream, sidecar_before(upstream) as (sidecar, _):
        sidecar.mirror._new_transport = broken
        async with connected(sidecar.ports.http) as (reader, writer):
            for _ in range(20):
                writer.write(post("/v2/models/m/generate", b'{"text_input":"Hi"}'))
                async with asyncio.timeout(5):
                    await reader.readuntil(b"Hello")
                    await reader.readexactly(2)
