"""The admin port tells those who run a sidecar how it goes."""

import asyncio
import json
import threading
from collections.abc import Mapping
from functools import partial

import pytest

from inferwatch import MirrorSettings
from inferwatch.kafka import KafkaTransport
from inferwatch.transport import Record, Report, Transport
from ingest.sidecar.metrics import MetricName
from ingest.sidecar.sidecar import Sidecar
from tests.integration.sidecar.upstreams import (
    NOWHERE,
    always,
    connected,
    http_upstream,
    ok,
    post,
    sidecar_before,
)
from tests.support.waiting import until


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


INFERENCES = 60
ANSWER = ok(b'{"text_output":"Hello"}')


async def served(sidecar: Sidecar) -> None:
    """Ask again and again, each time within a time that nobody waits for Kafka in."""
    async with connected(sidecar.ports.http) as (reader, writer):
        for _ in range(INFERENCES):
            writer.write(post("/v2/models/m/generate", b'{"text_input":"Hi"}'))
            async with asyncio.timeout(2):
                await reader.readuntil(b'"Hello"}')


class Stuck:
    """A transport that takes some records, acknowledges none of them, and then takes no more."""

    def __init__(self, room: int, report: Report) -> None:
        self._room = room
        self._taken: list[Record] = []
        self._report = report

    def send(self, record: Record) -> None:
        if len(self._taken) >= self._room:
            raise BufferError
        self._taken.append(record)

    def poll(self, timeout: float) -> None:
        return None

    def close(self, timeout: float) -> None:
        for record in self._taken:
            self._report(record, "not acknowledged")


def total(values: Mapping[MetricName, int]) -> int:
    """Return how many events are accounted for, one way or another."""
    fates = ("mirrored_total", "dropped_total", "failed_total", "waiting")
    return sum(value for name, value in values.items() if name.removeprefix("inferwatch_sidecar_") in fates)


@pytest.mark.parametrize("room", [0, 3])
async def test_a_kafka_that_takes_no_more_costs_the_oldest_events_and_counts_them(room: int) -> None:
    mirror = MirrorSettings("unused:1", linger=0.0, max_events=10, events_per_record=1, flush_timeout=0.2)
    stuck = partial(Stuck, room)
    async with (
        http_upstream(always(ANSWER)) as upstream,
        sidecar_before(upstream, transport=lambda _settings, report: stuck(report), mirror=mirror) as (sidecar, _),
    ):
        await served(sidecar)
        await until(lambda: sidecar.metrics()["inferwatch_sidecar_recorded_total"] == INFERENCES, "every event")
        assert sidecar.metrics()["inferwatch_sidecar_dropped_total"] > INFERENCES // 2
        await sidecar.stop()
        ended = sidecar.metrics()
        assert ended["inferwatch_sidecar_mirrored_total"] == 0
        assert ended["inferwatch_sidecar_waiting"] == 0
        assert total(ended) == INFERENCES


async def test_a_kafka_that_is_gone_costs_events_and_no_time() -> None:
    mirror = MirrorSettings(NOWHERE, linger=0.0, delivery_timeout=1.0, flush_timeout=0.2)
    async with (
        http_upstream(always(ANSWER)) as upstream,
        sidecar_before(upstream, transport=KafkaTransport, mirror=mirror) as (sidecar, _),
    ):
        await served(sidecar)
        await sidecar.stop()
        ended = sidecar.metrics()
    assert ended["inferwatch_sidecar_mirrored_total"] == 0
    assert ended["inferwatch_sidecar_failed_total"] + ended["inferwatch_sidecar_dropped_total"] == INFERENCES


async def test_a_mirror_that_breaks_does_not_touch_the_traffic() -> None:
    tried = threading.Event()

    def broken(_settings: MirrorSettings, _report: Report) -> Transport:
        tried.set()
        raise RuntimeError("no such broker")

    async with (
        http_upstream(always(ANSWER)) as upstream,
        sidecar_before(upstream, transport=broken) as (sidecar, _),
    ):
        await served(sidecar)
        await until(tried.is_set, "the mirror to try")
        await sidecar.stop()
        assert total(sidecar.metrics()) == INFERENCES
