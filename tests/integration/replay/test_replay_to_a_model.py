"""Requests through the sidecar: to a real Triton, and to servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from inferwatch.clock import SystemClock
from ingest.replay.arrival import Arrival
from ingest.replay.errors import TargetAwayError
from ingest.replay.run import replay
from ingest.replay.schedule import when_they_arrive
from ingest.replay.settings import Labels, RequestSettings
from ingest.replay.tally import Tally
from ingest.replay.to_sidecar import SidecarTarget, check
from tests.integration.sidecar.upstreams import NOWHERE, Answer, always, http_upstream, ok, read_request, sidecar_before
from tests.support.triton import RunningTriton
from tests.unit.replay.traces import arrival, arrivals
from tests.unit.sdk.events import event

ROOT = Path(__file__).resolve().parents[3]
STREAM = "Content-Type: text/event-stream\r\n"
ANSWERED = ok(b'{"text_output":"Hello"}')


async def sent(
    given: list[Arrival], url: str, speed: float | None = 1.0, late_after: float = 0.1, **settings: Any
) -> Tally:
    tally, clock = Tally(late_after), SystemClock()
    target = SidecarTarget(RequestSettings(url, **settings), tally, clock)
    await replay(when_they_arrive(given, speed), target, tally, clock, asyncio.Event())
    return tally


def counting(answer: bytes, seconds: float, most: list[int]) -> Answer:
    """Return an upstream that takes its time, and the most requests that it saw at the same time."""
    now = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now
        while True:
            await read_request(reader)
            now += 1
            most.append(now)
            await asyncio.sleep(seconds)
            now -= 1
            writer.write(answer)
            await writer.drain()

    return serve


async def test_a_trace_becomes_real_inferences_and_each_is_recorded(triton: RunningTriton, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 0, "input_length": 300, "output_length": 3, "hash_ids": [1]},
        {"timestamp": 900, "input_length": 20, "output_length": 5, "hash_ids": [2]},
        {"timestamp": 1000, "input_length": 9_000, "output_length": 900, "hash_ids": [1, 3]},
    ]
    trace.write_text("\n".join(map(json.dumps, rows)))
    async with sidecar_before(triton.http_url.removeprefix("http://"), triton.grpc_url) as (sidecar, mirrored):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "replay", str(trace), "--to", "sidecar", "--json", "--speed", "2"),
            *("--url", f"http://127.0.0.1:{sidecar.ports.http}", "--team", "ads", "--max-output-tokens", "4"),
            *("--max-input-tokens", "400", "--late-ms", "60000"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        told = json.loads(output)
        assert process.returncode == 0, told
        events = sorted(await mirrored.wait(3), key=lambda made: made.started_at)
    assert (told["sent"], told["ok"], told["capped"], told["late"], told["form"]) == (3, 3, 2, 0, "mooncake")
    assert [made.parameters["max_tokens"] for made in events] == [3, 4, 4]
    assert {(made.model, made.team, made.status, made.stream) for made in events} == {("smollm2", "ads", "ok", True)}
    # Prompts are about as long as they should be; the model's chat template adds some thirty tokens.
    for made, wanted in zip(events, (300, 20, 400), strict=True):
        assert wanted * 0.95 <= (made.input_tokens or 0) <= wanted * 1.05 + 40
    first, _, third = (made.input_messages[0].parts[0].content or "" for made in events)
    assert third.startswith(first)


@pytest.mark.parametrize("route", ["generate", "generate_stream", "chat"])
async def test_a_server_that_answers_well_is_told_so(route: Any) -> None:
    stream = ok(b'data: {"text_output":"Hi"}\n\ndata: [DONE]\n\n', STREAM)
    answer = always(ANSWERED if route == "generate" else stream)
    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        url = f"http://127.0.0.1:{sidecar.ports.http}"
        tally = await sent(arrivals(0.0, 0.0, 0.1), url, route=route, labels=Labels(model="m", team="ads"))
        events = await mirrored.wait(3)
    assert (tally.sent, tally.ok, tally.failed) == (3, 3, {})
    assert {(made.request_model, made.team) for made in events} == {("m", "ads")}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (ok(b'{"error":"no"}'), "error in the answer"),
        (ok(b'data: {"text_output":"H"}\n\ndata: {"error":"no"}\n\n', STREAM), "error in the stream"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "ClientPayloadError"),
    ],
)
async def test_what_a_server_does_not_answer_well_is_told_by_reason(response: bytes, reason: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response)
        await writer.drain()

    async with http_upstream(answer) as upstream:
        tally = await sent([arrival(0.0)], f"http://{upstream}")
    assert (tally.sent, tally.ok, tally.failed) == (1, 0, {reason: 1})


async def test_a_server_that_is_silent_or_away_is_told() -> None:
    async with http_upstream(counting(ANSWERED, 60.0, [])) as upstream:
        assert (await sent([arrival(0.0)], f"http://{upstream}", timeout=0.05)).failed == {"timeout": 1}
    assert (await sent([arrival(0.0)], f"http://{NOWHERE}")).failed == {"Connection refused": 1}
    with pytest.raises(TargetAwayError, match="Connection refused"):
        await check(f"http://{NOWHERE}")


async def test_requests_do_not_wait_for_the_answers_of_earlier_ones() -> None:
    most: list[int] = []
    async with http_upstream(counting(ANSWERED, 0.3, most)) as upstream:
        tally = await sent(arrivals(*(number / 100 for number in range(10))), f"http://{upstream}", late_after=60.0)
    assert (tally.ok, max(most)) == (10, 10)


async def test_beyond_the_concurrency_requests_wait_in_their_order_and_count_as_late() -> None:
    most: list[int] = []
    async with http_upstream(counting(ANSWERED, 0.2, most)) as upstream:
        tally = await sent(arrivals(*[0.0] * 6), f"http://{upstream}", concurrency=2)
    assert (tally.ok, max(most), tally.late) == (6, 2, 4)
    assert tally.latest >= 0.4


async def test_what_is_late_by_its_turn_is_dropped_where_that_is_wanted() -> None:
    async with http_upstream(counting(ANSWERED, 0.3, [])) as upstream:
        tally = await sent(arrivals(*[0.0] * 6), f"http://{upstream}", concurrency=2, drop_late=True)
    assert (tally.sent, tally.ok, tally.late) == (2, 2, 0)
    assert tally.dropped == {"too late by its turn": 4}


async def test_a_recording_without_generated_text_is_not_sent_and_told() -> None:
    given = [arrival(0.0, event=event(operation="embeddings")), arrival(0.0, 2, event=event())]
    async with http_upstream(always(ANSWERED)) as upstream:
        tally = await sent(given, f"http://{upstream}")
    assert (tally.ok, tally.dropped) == (1, {"no text was generated": 1})


async def test_a_stop_leaves_what_is_not_answered_in_time_and_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.replay.run._PATIENCE", 0.05)
    stop, tally, clock = asyncio.Event(), Tally(0.1), SystemClock()
    asked: list[int] = []
    async with http_upstream(counting(ANSWERED, 60.0, asked)) as upstream:
        target = SidecarTarget(RequestSettings(f"http://{upstream}"), tally, clock)
        running = asyncio.create_task(replay(when_they_arrive(arrivals(0.0, 3600.0), 1.0), target, tally, clock, stop))
        while not asked:
            await asyncio.sleep(0.005)
        stop.set()
        await running
    assert (tally.sent, tally.failed, tally.interrupted) == (1, {"interrupted": 1}, True)
