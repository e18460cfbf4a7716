"""Requests and responses find each other through Kafka: out of order, at different collectors, across a kill."""

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from app.local.probes import http_ok
from inferwatch import topics
from ingest.api_keys import create
from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from tests.support.collector import Client, collector_process, events_of, running_collector
from tests.support.kafka import running_kafka
from tests.support.needs import need_kafka

REQUEST = {"model": "llama", "messages": [{"role": "user", "content": "Hi"}]}
RESPONSE = {"model": "llama-3", "choices": [{"message": {"role": "assistant", "content": "Hello"}}]}


def headers(kind: str, service: str) -> dict[str, str]:
    """What KServe's logger sends; the service's name is the test's own."""
    return {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "http://localhost:9081/",
        "ce-type": f"org.kubeflow.serving.inference.{kind}",
        "ce-inferenceservicename": service,
        "ce-namespace": "tests",
    }


async def send(client: Client, kind: str, service: str, query: str = "") -> int:
    body = REQUEST if kind == "request" else RESPONSE
    url = f"{client.base}/cloudevents{query}"
    async with client.session.post(url, json=body, headers=headers(kind, service)) as response:
        return response.status


async def send_to(base: str, kind: str, service: str) -> None:
    body = json.dumps(REQUEST if kind == "request" else RESPONSE)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{base}/cloudevents", data=body, headers=headers(kind, service)) as response,
    ):
        assert response.status == 200


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition while the collector in this process goes on."""
    deadline = time.monotonic() + 60
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"waited for {what}"
        await asyncio.sleep(0.1)


def of(bootstrap: str, service: str) -> list[dict[str, Any]]:
    return [each for each in events_of(bootstrap, topics.INFERENCES) if each.get("service") == service]


async def test_halves_are_joined_in_any_order_and_once(bootstrap: str) -> None:
    straight, turned = f"s-{uuid.uuid4()}", f"t-{uuid.uuid4()}"
    async with running_collector(bootstrap) as client:
        for service, kinds in ((straight, ["request", "response"]), (turned, ["response", "request", "request"])):
            assert [await send(client, kind, service) for kind in kinds] == [200] * len(kinds)
        await until(lambda: bool(of(bootstrap, straight) and of(bootstrap, turned)), "both inferences")
        counters = client.collector.counters
        # A joiner that loses its partition for a moment reads it again, and meets the late half again.
        await until(lambda: counters["inferwatch_collector_late_halves_total"] >= 1, "the late half to be counted")
        assert counters["inferwatch_collector_joined_total"] == 2
    for service in (straight, turned):
        (event,) = of(bootstrap, service)
        assert (event["source"], event["response_model"]) == ("cloudevents", "llama-3")


async def test_a_logger_that_cannot_set_headers_has_its_key_in_the_address(bootstrap: str, tmp_path: Path) -> None:
    _, key = create(tmp_path / "keys.json", time.time(), team="alpha")
    service = f"k-{uuid.uuid4()}"
    async with running_collector(bootstrap, api_keys=tmp_path / "keys.json") as client:
        assert await send(client, "request", service) == 401
        assert [await send(client, kind, service, f"?key={key}") for kind in ("request", "response")] == [200, 200]
        await until(lambda: bool(of(bootstrap, service)), "the inference")
    assert of(bootstrap, service)[0]["team"] == "alpha"


async def test_half_an_inference_becomes_one_when_the_other_half_does_not_come(bootstrap: str) -> None:
    asked, answered = f"a-{uuid.uuid4()}", f"b-{uuid.uuid4()}"
    async with running_collector(bootstrap, join_seconds=1.0) as client:
        await send(client, "request", asked)
        await send(client, "response", answered)
        await until(lambda: bool(of(bootstrap, asked) and of(bootstrap, answered)), "both inferences")
    assert of(bootstrap, asked)[0]["error_type"] == "response_missing"
    assert of(bootstrap, answered)[0]["content_unavailable"] is True


async def test_halves_at_different_collectors_are_joined(bootstrap: str) -> None:
    services = [f"d{number}-{uuid.uuid4()}" for number in range(8)]
    async with running_collector(bootstrap) as one, running_collector(bootstrap) as other:
        for service in services:
            assert await send(one, "request", service) == 200
            assert await send(other, "response", service) == 200
        await until(lambda: all(of(bootstrap, service) for service in services), "all inferences")
    assert {len(of(bootstrap, service)) for service in services} == {1}


async def test_a_collector_killed_between_the_halves_loses_and_repeats_nothing(bootstrap: str, tmp_path: Path) -> None:
    before = f"e-{uuid.uuid4()}"
    # In every partition, most likely, one that is older than the whole inference: the next owner reads both again.
    across = [f"f{number}-{uuid.uuid4()}" for number in range(16)]

    variables = {"INFERWATCH_KAFKA_SESSION_SECONDS": "6"}
    with collector_process(bootstrap, tmp_path / "collector.log", **variables) as running:
        for service in across:
            await send_to(running.base, "request", service)
        await send_to(running.base, "request", before)
        await send_to(running.base, "response", before)
        await until(lambda: bool(of(bootstrap, before)), "the first inference")
        running.end(signal.SIGKILL)
        running.start()
        for service in across:
            await send_to(running.base, "response", service)
        await until(lambda: all(of(bootstrap, service) for service in across), "the other inferences")
    for service in across:
        (event,) = of(bootstrap, service)
        assert (event["request_model"], event["response_model"]) == ("llama", "llama-3")
    assert len(of(bootstrap, before)) == 1


async def test_a_collector_that_is_told_to_stop_while_the_broker_stands_still_ends_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    need_kafka()
    before, after = f"g-{uuid.uuid4()}", f"h-{uuid.uuid4()}"
    # Soon after the first inference there is somewhere new to resume at, and nobody who could be told.
    variables = {"INFERWATCH_CLOUDEVENTS_JOIN_SECONDS": "1", "INFERWATCH_KAFKA_SESSION_SECONDS": "6"}
    with running_kafka(tmp_path) as kafka:
        ensure_topics(KafkaSettings(bootstrap_servers=kafka.bootstrap))
        with collector_process(kafka.bootstrap, tmp_path / "collector.log", **variables) as running:
            for kind in ("request", "response"):
                await send_to(running.base, kind, before)
            await until(lambda: bool(of(kafka.bootstrap, before)), "the first inference")
            os.kill(kafka.pid, signal.SIGSTOP)
            try:
                await until(lambda: not http_ok(f"{running.base}/readyz", 60.0), "the collector to notice")
                assert await asyncio.to_thread(running.end, signal.SIGTERM) == 0
            finally:
                os.kill(kafka.pid, signal.SIGCONT)
            running.start()
            for kind in ("request", "response"):
                await send_to(running.base, kind, after)
            await until(lambda: bool(of(kafka.bootstrap, after)), "the second inference")
            assert len(of(kafka.bootstrap, before)) == 1
