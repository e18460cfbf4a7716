"""Events over HTTP: a 2xx means that Kafka has them, an error that it has none of them."""

import asyncio
import gzip
import json
import re
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from app.local.ports import free_ports
from inferwatch import topics
from ingest.api_keys import create, revoke
from ingest.errors import KeysRequired, ListenError
from tests.support.collector import events_of, messages_of, running_collector

NDJSON = "application/x-ndjson"


def event(**changes: Any) -> dict[str, Any]:
    """A good event with an id of its own."""
    return {"event_id": str(uuid.uuid4()), "duration": 0.5, "request_model": "m", **changes}


def stored(bootstrap: str, *ids: str, topic: str = topics.INFERENCES, field: str = "event_id") -> list[dict[str, Any]]:
    """Return what a topic holds of some events, in the order of the ids; each must be there once."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in events_of(bootstrap, topic):
        found.setdefault(each[field], []).append(each)
    assert {len(found.get(one, ())) for one in ids} == {1}, {one: len(found.get(one, ())) for one in ids}
    return [found[one][0] for one in ids]


async def test_an_object_an_array_and_lines_are_in_kafka_when_they_are_acknowledged(bootstrap: str) -> None:
    one, *several = [event() for _ in range(5)]
    async with running_collector(bootstrap) as client:
        replies = [
            await client.post("/v1/events", one),
            await client.post("/v1/events", several[:2]),
            await client.post("/v1/events", "\n".join(map(json.dumps, several[2:])).encode(), NDJSON),
        ]
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert replies[2].json == {"accepted": 2, "event_ids": [each["event_id"] for each in several[2:]]}
    rows = stored(bootstrap, *(each["event_id"] for each in (one, *several)))
    assert {row["source"] for row in rows} == {"http"}
    assert all(abs(row["started_at"] + 0.5 - time.time()) < 60 for row in rows)


async def test_the_collector_gives_ids_to_events_without_one_and_tells_them(bootstrap: str) -> None:
    async with running_collector(bootstrap) as client:
        reply = await client.post("/v1/events", {"duration": 1, "request_model": "m"})
    (row,) = stored(bootstrap, *reply.json["event_ids"])
    assert uuid.UUID(row["event_id"]).version == 7


async def test_gzip_is_understood(bootstrap: str) -> None:
    sent = event()
    async with running_collector(bootstrap) as client:
        body = gzip.compress(json.dumps(sent).encode())
        assert (await client.post("/v1/events", body, content_encoding="gzip")).status == 200
    stored(bootstrap, sent["event_id"])


async def test_a_bomb_is_refused_while_it_is_small(bootstrap: str) -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    async with running_collector(bootstrap, max_body_bytes=1 << 20) as client:
        reply = await client.post("/v1/events", bomb, content_encoding="gzip")
        large = await client.post("/v1/events", b" " * (2 << 20))
        assert client.collector.counters["inferwatch_collector_body_bytes_total"] == 0
    assert (reply.status, large.status) == (413, 413)
    assert reply.error["code"] == "too_large"


async def test_one_bad_event_refuses_the_request_and_is_named(bootstrap: str) -> None:
    good, bad = event(), event(duration="long")
    async with running_collector(bootstrap) as client:
        reply = await client.post("/v1/events", [good, bad])
        missing = await client.post("/v1/events", {"request_model": "m"})
        malformed = await client.post("/v1/events", b'{"a":1}\n{', NDJSON)
    assert reply.status == 422
    assert (reply.error["index"], reply.error["path"]) == (1, "$.duration")
    assert missing.error["path"] == "$.duration"
    assert (malformed.status, malformed.error["index"]) == (400, 1)
    assert good["event_id"] not in {each["event_id"] for each in events_of(bootstrap, topics.INFERENCES)}


async def test_unknown_paths_methods_and_types_are_told_apart(bootstrap: str) -> None:
    async with running_collector(bootstrap) as client:
        nowhere = await client.post("/v1/nothing", {})
        method = await client.get("/v1/events")
        media = await client.post("/v1/events", b"<a/>", "text/xml")
        coding = await client.post("/v1/events", b"x", content_encoding="br")
    assert [each.status for each in (nowhere, method, media, coding)] == [404, 405, 415, 415]
    assert method.headers["Allow"] == "POST"
    assert all(each.error["message"] for each in (nowhere, method, media, coding))


@pytest.mark.parametrize("path", ["/v1/events", "/v1/nothing", "/healthz"])
async def test_what_a_client_may_not_expect_is_refused_in_any_bytes(bootstrap: str, path: str) -> None:
    async with running_collector(bootstrap) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.collector.ports.http)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\n".encode() + b"Expect: \xd8\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 417 ")
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_waits_before_it_sends_its_body_is_told_to_go_on(bootstrap: str) -> None:
    body = json.dumps(event()).encode()
    head = f"POST /v1/events HTTP/1.1\r\nHost: c\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    async with running_collector(bootstrap) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.collector.ports.http)
        writer.write(head.encode() + b"Expect: 100-Continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        await writer.wait_closed()


async def test_a_request_repeated_with_its_key_is_stored_once(bootstrap: str) -> None:
    sent = {"duration": 1, "request_model": "m"}
    async with running_collector(bootstrap) as client:
        replies = await asyncio.gather(
            *(client.post("/v1/events", sent, idempotency_key="a request") for _ in range(3))
        )
        other = await client.post("/v1/events", {**sent, "duration": 2}, idempotency_key="a request")
    assert len({reply.body for reply in replies}) == 1
    assert (other.status, other.error["code"]) == (422, "idempotency_key_reused")
    stored(bootstrap, *replies[0].json["event_ids"])


async def test_without_a_valid_key_nobody_is_let_in_and_a_revoked_one_ends_at_once(
    bootstrap: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    key, text = create(file, time.time(), team="alpha", environment="staging")
    _, expired = create(file, time.time(), expires_at=time.time() - 1)
    sent = event(team="beta", environment="production")
    async with running_collector(bootstrap, api_keys=file) as client:
        refused = [await client.post("/v1/events", sent), await client.post("/v1/events", sent, x_api_key=expired)]
        taken = await client.post("/v1/events", sent, authorization=f"Bearer {text}")
        revoke(file, key.id, time.time())
        after = await client.post("/v1/events", event(), x_api_key=text)
    assert [reply.status for reply in (*refused, taken, after)] == [401, 401, 200, 401]
    assert refused[0].headers["WWW-Authenticate"] == "Bearer"
    (row,) = stored(bootstrap, sent["event_id"])
    assert (row["team"], row["environment"]) == ("alpha", "staging")


async def test_a_collector_that_others_reach_does_not_start_without_keys(bootstrap: str) -> None:
    with pytest.raises(KeysRequired, match="INFERWATCH_API_KEYS"):
        async with running_collector(bootstrap, host="0.0.0.0"):
            pass
    async with running_collector(bootstrap, host="0.0.0.0", open=True) as client:
        assert (await client.get("/healthz")).status == 200


async def test_a_key_that_sends_too_much_is_told_when_to_come_again(bootstrap: str) -> None:
    async with running_collector(bootstrap, requests_per_second=1) as client:
        replies = [await client.post("/v1/events", event()) for _ in range(4)]
    assert [reply.status for reply in replies[:2]] == [200, 200]
    assert replies[3].status == 429
    assert int(replies[3].headers["Retry-After"]) >= 1


async def test_text_is_cut_rather_than_the_event_lost(bootstrap: str) -> None:
    message = {"role": "user", "parts": [{"type": "text", "content": "word " * 30_000}]}
    sent = event(input_messages=[message])
    async with running_collector(bootstrap) as client:
        assert (await client.post("/v1/events", sent)).status == 200
    (row,) = stored(bootstrap, sent["event_id"])
    assert row["truncated"]["input_characters"] == 150_000
    assert len(row["input_messages"][0]["parts"][0]["content"]) <= 65_536


async def test_many_events_become_records_of_bounded_size(bootstrap: str) -> None:
    sent = [event(team="many") for _ in range(250)]
    async with running_collector(bootstrap) as client:
        assert (await client.post("/v1/events", sent)).status == 200
    lines = [
        (message.value() or b"").count(b"\n") + 1
        for message in messages_of(bootstrap, topics.INFERENCES)
        if b'"team":"many"' in (message.value() or b"")
    ]
    assert sorted(lines) == [50, 100, 100]


async def test_feedback_is_keyed_by_what_it_is_about_and_telemetry_by_model(bootstrap: str) -> None:
    about = str(uuid.uuid4())
    report = {"kind": "drops", "report_id": "r1", "at": time.time(), "since": 1, "source": "sdk", "instance": "i"}
    async with running_collector(bootstrap) as client:
        given = await client.post("/v1/feedback", [{"event_id": about, "score": 1}, {"response_id": "r", "label": "x"}])
        told = await client.post("/v1/telemetry", report)
    assert (given.status, told.status) == (200, 200)
    stored(bootstrap, *given.json["feedback_ids"], topic=topics.FEEDBACK, field="feedback_id")
    keys = {message.key() for message in messages_of(bootstrap, topics.FEEDBACK)}
    assert {about.encode(), b"r"} <= keys
    assert b"default/" in {message.key() for message in messages_of(bootstrap, topics.TELEMETRY)}


async def test_pages_for_people_and_programs_are_there_and_fetch_nothing_else(bootstrap: str) -> None:
    async with running_collector(bootstrap) as client:
        document, page, ready, metrics = [
            await client.get(path) for path in ("/openapi.json", "/docs", "/readyz", "/metrics")
        ]
    assert document.json["openapi"].startswith("3.")
    assert b"/v1/events" in page.body
    assert b"<script" not in page.body
    assert not re.search(rb"""(src|href)=["'](https?:)?//|url\(|@import""", page.body)
    assert ready.status == 200
    assert b"inferwatch_collector_events_total 0" in metrics.body


async def test_a_taken_port_is_named_and_the_other_one_is_given_back(bootstrap: str) -> None:
    http, grpc = free_ports(2)
    for taken, setting in ((http, "http_port"), (grpc, "grpc_port")):
        with socket.create_server(("127.0.0.1", taken)), pytest.raises(ListenError) as caught:
            async with running_collector(bootstrap, http_port=http, grpc_port=grpc):
                pass
        assert caught.value.setting == setting
    async with running_collector(bootstrap, http_port=http, grpc_port=grpc) as client:
        assert (await client.get("/readyz")).status == 200
