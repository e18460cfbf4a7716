"""Batches hold each event once and in order, as many as fit, and are there as soon as someone wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.intake import BatchSize, batches

LONG = 3600.0


class Stream:
    """Gives out what is fed to it; None ends it, an exception is raised."""

    def __init__(self, *fed: Any) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.enable_acks = True
        self.read = 0
        self.feed(*fed)

    def feed(self, *values: Any) -> None:
        for value in values:
            self.queue.put_nowait(value)

    async def events(self) -> AsyncIterator[Any]:
        while (value := await self.queue.get()) is not None:
            if isinstance(value, BaseException):
                raise value
            self.read += 1
            yield SimpleNamespace(message=SimpleNamespace(value=value))


def values(batch: Sequence[Any]) -> list[bytes]:
    return [event.message.value for event in batch]


async def taken(stream: Stream, size: BatchSize) -> list[list[bytes]]:
    return [values(batch) async for batch in batches(stream, size)]


@given(st.lists(st.binary(max_size=6), max_size=30), st.integers(1, 5), st.integers(1, 12))
def test_each_event_is_in_one_batch_in_order_and_batches_are_bounded(
    given_: list[bytes], records: int, most_bytes: int
) -> None:
    async def run() -> tuple[list[list[bytes]], bool]:
        stream = Stream(*given_, None)
        return await taken(stream, BatchSize(records, 0.0, most_bytes)), stream.enable_acks

    found, acknowledged_by_faust = asyncio.run(run())
    assert [value for batch in found for value in batch] == given_
    assert not acknowledged_by_faust
    for batch in found:
        assert 0 < len(batch) <= records
        assert sum(map(len, batch[:-1])) < most_bytes


async def test_the_first_event_waits_for_nobody() -> None:
    stream = Stream(b"a")
    given_out = batches(stream, BatchSize(10, LONG))
    assert values(await asyncio.wait_for(anext(given_out), 5)) == [b"a"]
    await given_out.aclose()


async def test_what_arrives_while_a_batch_is_processed_is_the_next_batch_at_once_where_time_has_passed() -> None:
    stream = Stream(b"a")
    given_out = batches(stream, BatchSize(10, 0.0))
    assert values(await anext(given_out)) == [b"a"]
    stream.feed(b"b", b"c", b"d")
    while stream.read < 4:
        await asyncio.sleep(0)
    assert values(await asyncio.wait_for(anext(given_out), 5)) == [b"b", b"c", b"d"]
    await given_out.aclose()


async def test_a_second_batch_comes_early_only_if_it_is_full() -> None:
    stream = Stream(b"a")
    given_out = batches(stream, BatchSize(3, LONG))
    await anext(given_out)
    coming = asyncio.ensure_future(anext(given_out))
    stream.feed(b"b", b"c")
    done, _ = await asyncio.wait([coming], timeout=0.05)
    assert not done
    stream.feed(b"d", b"e")
    assert values(await asyncio.wait_for(coming, 5)) == [b"b", b"c", b"d"]
    await given_out.aclose()


async def test_no_more_than_a_batch_is_read_ahead() -> None:
    stream = Stream(*[b"x"] * 20)
    given_out = batches(stream, BatchSize(4, 0.0))
    await anext(given_out)
    for _ in range(20):
        await asyncio.sleep(0)
    assert stream.read == 8
    await given_out.aclose()


async def test_a_record_larger_than_a_batch_is_a_batch() -> None:
    assert await taken(Stream(b"x" * 99, b"y", None), BatchSize(10, 0.0, 5)) == [[b"x" * 99], [b"y"]]


async def test_a_tombstone_is_an_event() -> None:
    stream = Stream()
    stream.events = lambda: _one_tombstone()  # type: ignore[method-assign]
    assert [values(batch) async for batch in batches(stream, BatchSize(10, 0.0))] == [[None]]


async def _one_tombstone() -> AsyncIterator[Any]:
    yield SimpleNamespace(message=SimpleNamespace(value=None))


async def test_what_ends_the_stream_is_raised_after_what_came_before_it() -> None:
    stream = Stream(b"a", b"b", ValueError("broken"))
    given_out = batches(stream, BatchSize(10, LONG))
    found = values(await anext(given_out))
    rest = asyncio.ensure_future(_added(found, given_out))
    with pytest.raises(ValueError, match="broken"):
        await rest
    assert found == [b"a", b"b"]


async def _added(found: list[bytes], given_out: AsyncIterator[list[Any]]) -> None:
    async for batch in given_out:
        found += values(batch)


async def test_whoever_stops_taking_stops_the_reading() -> None:
    stream = Stream(b"a")
    given_out = batches(stream, BatchSize(10, 0.0))
    await anext(given_out)
    await given_out.aclose()
    await asyncio.sleep(0)
    stream.feed(b"b")
    for _ in range(5):
        await asyncio.sleep(0)
    assert stream.read == 1
