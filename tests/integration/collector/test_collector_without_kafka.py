"""A broker that stands still: nothing is acknowledged that it does not have, and nothing is stored twice after it."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from inferwatch import topics
from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from tests.support.collector import Client, Reply, events_of, running_collector
from tests.support.kafka import RunningKafka, running_kafka
from tests.support.needs import need_kafka
from tests.support.otel_payloads import payloads


@pytest.fixture(scope="module")
def mortal_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKafka]:
    """A broker that the test may stop."""
    need_kafka()
    with running_kafka(tmp_path_factory.mktemp("kafka")) as running:
        ensure_topics(KafkaSettings(bootstrap_servers=running.bootstrap))
        yield running


def event() -> dict[str, Any]:
    return {"event_id": str(uuid.uuid4()), "duration": 0.5, "request_model": "m"}


async def export(client: Client) -> None:
    """Send a span over gRPC."""
    request = payloads.moved_to(payloads.traces("openai-v2-2.4b0"), time.time() - 1)
    address = f"127.0.0.1:{client.collector.ports.grpc}"
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(
            request.SerializeToString()
        )


async def until_acknowledged(client: Client, body: Any, key: str) -> Reply:
    """Send the same request until it is acknowledged, as often as it takes."""
    for _ in range(60):
        reply = await client.post("/v1/events", body, idempotency_key=key)
        if reply.status != 503:
            return reply
        await asyncio.sleep(0.2)
    raise AssertionError("never acknowledged")


async def test_while_the_broker_stands_still_the_answer_is_503_and_a_repetition_finds_the_first_attempt(
    mortal_kafka: RunningKafka,
) -> None:
    sent = {"duration": 1.0, "request_model": "m"}
    other = event()
    async with running_collector(mortal_kafka.bootstrap, ack_seconds=0.5) as client:
        assert (await until_acknowledged(client, other, "first")).status == 200
        os.kill(mortal_kafka.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            refused = await client.post("/v1/events", sent, idempotency_key="k")
            assert time.monotonic() - began < 5
            again = await client.post("/v1/events", sent, idempotency_key="k")
            not_ready = await client.get("/readyz")
            with pytest.raises(grpc.aio.AioRpcError) as by_grpc:
                await export(client)
        finally:
            os.kill(mortal_kafka.pid, signal.SIGCONT)
        taken = await until_acknowledged(client, sent, "k")
    assert [each.status for each in (refused, again, not_ready)] == [503, 503, 503]
    assert int(refused.headers["Retry-After"]) >= 1
    assert by_grpc.value.code() is grpc.StatusCode.UNAVAILABLE
    assert b"RetryInfo" in bytes(dict(by_grpc.value.trailing_metadata() or ())["grpc-status-details-bin"])
    assert refused.error["code"] == "unavailable"
    (event_id,) = taken.json["event_ids"]
    ids = [each["event_id"] for each in events_of(mortal_kafka.bootstrap, topics.INFERENCES)]
    assert ids.count(event_id) == 1
    assert ids.count(other["event_id"]) == 1


async def test_what_waits_for_kafka_is_bounded_and_the_rest_is_sent_away(mortal_kafka: RunningKafka) -> None:
    bounds = {"ack_seconds": 0.2, "max_body_bytes": 500_000, "in_flight_bytes": 1_000_000}
    async with running_collector(mortal_kafka.bootstrap, **bounds) as client:
        assert (await until_acknowledged(client, event(), "first")).status == 200
        os.kill(mortal_kafka.pid, signal.SIGSTOP)
        try:
            bulky = {"attributes": {"bulk": "x" * 400_000}}
            replies = [await client.post("/v1/events", {**event(), **bulky}) for _ in range(4)]
        finally:
            os.kill(mortal_kafka.pid, signal.SIGCONT)
        taken = await until_acknowledged(client, event(), "later")
    assert {reply.status for reply in replies} == {503}
    assert "in flight" in replies[3].error["message"]
    assert taken.status == 200
