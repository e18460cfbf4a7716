"""From an application through a real collector to a real broker: every event once, feedback, and what was lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from inferwatch import Mirror, context, topics
from ingest.api_keys import create
from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from tests.support.collector import events_of, messages_of, running_collector
from tests.support.kafka import RunningKafka


@pytest.fixture(scope="module")
def bootstrap(kafka: RunningKafka) -> str:
    """The address of a broker that has all topics."""
    ensure_topics(KafkaSettings(bootstrap_servers=kafka.bootstrap))
    return kafka.bootstrap


async def test_events_and_feedback_of_a_mirror_are_in_kafka_once(bootstrap: str, tmp_path: Path) -> None:
    file, conversation = tmp_path / "keys.json", uuid.uuid4().hex
    _, key = create(file, time.time(), team="retail")

    def application(url: str) -> list[str]:
        made = []
        with Mirror(collector_url=url, api_key=key, service="shop", flush_timeout=30.0) as mirror:
            with context(conversation_id=conversation, user="u-1", prompt_name="greeting", prompt_version="3"):
                for number in range(250):
                    with mirror.inference("m", f"question {number}") as call:
                        call.chunk("an ")
                        call.chunk("answer")
                        call.tokens(3, 2)
                        call.finish("stop")
                    made.append(call.event_id)
            mirror.feedback(made[0], score=1.0, comment="helped", who="u-1")
        stats = mirror.stats()
        assert (stats.delivered, stats.failed, stats.dropped, stats.waiting) == (251, 0, 0, 0)
        return made

    async with running_collector(bootstrap, api_keys=file) as client:
        made = await asyncio.to_thread(application, client.base)
    stored = [one for one in events_of(bootstrap, topics.INFERENCES) if one.get("conversation_id") == conversation]
    assert Counter(one["event_id"] for one in stored) == dict.fromkeys(made, 1)
    first = next(one for one in stored if one["event_id"] == made[0])
    told = {name: first[name] for name in ("service", "team", "user", "prompt_name", "prompt_version", "source")}
    assert told == {
        "service": "shop", "team": "retail", "user": "u-1", "prompt_name": "greeting", "prompt_version": "3",
        "source": "sdk",
    }  # fmt: skip
    assert (first["input_tokens"], first["output_tokens"], first["finish_reasons"], first["stream"]) == (
        3, 2, ["stop"], True,
    )  # fmt: skip
    (feedback,) = [one for one in messages_of(bootstrap, topics.FEEDBACK) if one.key() == made[0].encode()]
    assert b'"comment":"helped"' in (feedback.value() or b"")


async def test_an_event_that_the_collector_refuses_costs_only_itself_and_is_told(bootstrap: str) -> None:
    service = uuid.uuid4().hex

    def application(url: str) -> list[str]:
        mirror = Mirror(collector_url=url, service=service, flush_timeout=30.0, report_interval=0.0, linger=0.2)
        good = [mirror.inference("m", "hello") for _ in range(20)]
        for place, call in enumerate(good):
            if place == 10:
                mirror.inference("bad", "hello", input_tokens=-1).end()
            call.end()
        mirror.close()
        assert (mirror.stats().delivered, mirror.stats().failed) == (20, 1)
        return [call.event_id for call in good]

    async with running_collector(bootstrap) as client:
        made = await asyncio.to_thread(application, client.base)
    stored = [one for one in events_of(bootstrap, topics.INFERENCES) if one.get("service") == service]
    assert Counter(one["event_id"] for one in stored if one["input_messages"][0]["parts"][0]["content"] == "hello") == (
        dict.fromkeys(made, 1)
    )
    reports = [one for one in events_of(bootstrap, topics.TELEMETRY) if one.get("service") == service]
    assert sum(one.get("failed", 0) for one in reports) == 1
    assert reports[0]["reasons"] == {"the collector refused it with 422": 1}


async def test_events_that_memory_had_no_room_for_are_reported(bootstrap: str) -> None:
    service = uuid.uuid4().hex

    def application(url: str) -> None:
        with Mirror(collector_url=url, service=service, flush_timeout=30.0, linger=60.0, max_events=50) as mirror:
            for _ in range(200):
                mirror.inference("m").end()
        stats = mirror.stats()
        assert (stats.recorded, stats.delivered, stats.dropped) == (200, 50, 150)

    async with running_collector(bootstrap) as client:
        await asyncio.to_thread(application, client.base)
    (report,) = [one for one in events_of(bootstrap, topics.TELEMETRY) if one.get("service") == service]
    assert (report["dropped"], report["reasons"], report["source"]) == (150, {"memory full": 150}, "sdk")
    stored = [one for one in events_of(bootstrap, topics.INFERENCES) if one.get("service") == service]
    assert len(stored) == 50


async def test_without_a_valid_key_all_is_lost_and_the_application_goes_on(bootstrap: str, tmp_path: Path) -> None:
    file, service = tmp_path / "keys.json", uuid.uuid4().hex
    create(file, time.time(), team="retail")

    def application(url: str) -> None:
        with Mirror(collector_url=url, api_key="of-nobody", service=service, flush_timeout=30.0) as mirror:
            for _ in range(10):
                mirror.inference("m").end()
        assert (mirror.stats().delivered, mirror.stats().failed) == (0, 10)

    async with running_collector(bootstrap, api_keys=file) as client:
        await asyncio.to_thread(application, client.base)
    assert not [one for one in events_of(bootstrap, topics.INFERENCES) if one.get("service") == service]
