"""What is acknowledged, what is remembered, and what is held meanwhile."""

from __future__ import annotations

import asyncio
import gc
import gzip
import weakref
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.transport import Record
from ingest.collector.admission import Bucket, InFlight, Rates
from ingest.collector.batch import Batch
from ingest.collector.body import read_body
from ingest.collector.intake import MOST_RECORDS, Intake
from ingest.collector.metrics import Counters
from ingest.collector.outcomes import Outcome, Outcomes, Repeat
from ingest.collector.outlet import Delivery, MemoryOutlet
from ingest.errors import KeyReused, Malformed, TimedOut, TooLarge, TooMany, Unavailable, WrongMediaType


class HeldOutlet:
    """Keeps records until a test says what becomes of them."""

    def __init__(self) -> None:
        self.held: list[tuple[Record, Delivery]] = []

    def send(self, records: Sequence[Record], delivery: Delivery) -> None:
        delivery.begin(records)
        self.held += [(record, delivery) for record in records]

    def settle(self, *reasons: str) -> None:
        """Settle the oldest records: "" is acknowledged, anything else why it failed."""
        for reason in reasons:
            record, delivery = self.held.pop(0)
            if reason:
                delivery.fail(record, reason)
            else:
                delivery.acknowledged()

    async def close(self, seconds: float) -> None:
        """Nothing to do."""


class WatchedRecord(Record):
    """A record of which a test can see whether it is still held."""

    __slots__ = ("__weakref__",)


def batch(*values: bytes) -> Batch:
    counts = (("inferwatch_collector_events_total", len(values)),)
    return Batch(tuple(Record("t", value, 1) for value in values), b"answer", counts)  # type: ignore[arg-type]


def repeat(key: str = "k", digest: str = "d") -> Repeat:
    return Repeat(("", "/v1/events", key), digest)


class Bed:
    """An intake with its outlet."""

    def __init__(
        self, ack_seconds: float = 60.0, most: int = 1000, remembered: int = 10, remembered_bytes: int = 1000
    ) -> None:
        self.outlet = HeldOutlet()
        self.in_flight = InFlight(most)
        self.counters = Counters()
        self.intake = Intake(self.outlet, self.in_flight, self.counters, ack_seconds, remembered, remembered_bytes)

    async def begun(self, given: Batch, again: Repeat | None = None) -> asyncio.Task[bytes]:
        task = asyncio.create_task(self.intake.accept(given, again))
        await asyncio.sleep(0)
        return task


async def test_the_answer_comes_after_the_last_acknowledgement() -> None:
    bed = Bed()
    task = await bed.begun(batch(b"a", b"b"))
    bed.outlet.settle("")
    await asyncio.sleep(0)
    assert not task.done()
    assert bed.counters["inferwatch_collector_events_total"] == 0
    bed.outlet.settle("")
    assert await task == b"answer"
    assert bed.counters["inferwatch_collector_events_total"] == 2
    assert bed.in_flight.held == 0


async def test_without_an_acknowledgement_in_time_nothing_is_promised_and_bytes_stay_held() -> None:
    bed = Bed(ack_seconds=0.01)
    with pytest.raises(Unavailable) as caught:
        await bed.intake.accept(batch(b"abc"), None)
    assert caught.value.retry_after == 2
    assert bed.in_flight.held == 3
    bed.outlet.settle("")
    assert bed.in_flight.held == 0
    assert bed.counters["inferwatch_collector_events_total"] == 1


async def test_a_repetition_waits_for_the_first_attempt() -> None:
    bed = Bed()
    first = await bed.begun(batch(b"a"), repeat())
    second = await bed.begun(batch(b"made again"), repeat())
    assert len(bed.outlet.held) == 1
    bed.outlet.settle("")
    assert (await first, await second) == (b"answer", b"answer")
    assert await bed.intake.accept(batch(b"and again"), repeat()) == b"answer"
    assert bed.counters["inferwatch_collector_events_total"] == 1
    assert bed.counters["inferwatch_collector_repeats_total"] == 2


async def test_a_repetition_of_what_timed_out_finds_what_became_of_it() -> None:
    bed = Bed(ack_seconds=0.01)
    with pytest.raises(Unavailable):
        await bed.intake.accept(batch(b"a"), repeat())
    bed.outlet.settle("")
    assert await bed.intake.accept(batch(b"a"), repeat()) == b"answer"


async def test_of_what_failed_in_part_only_that_part_is_sent_again() -> None:
    bed = Bed()
    task = await bed.begun(batch(b"a", b"b", b"c"), repeat())
    bed.outlet.settle("", "timed out", "")
    with pytest.raises(Unavailable, match="timed out"):
        await task
    task = await bed.begun(batch(b"a", b"b", b"c"), repeat())
    assert [record.value for record, _ in bed.outlet.held] == [b"b"]
    bed.outlet.settle("")
    assert await task == b"answer"
    assert bed.in_flight.held == 0
    assert bed.counters["inferwatch_collector_events_total"] == 3


async def test_what_failed_altogether_begins_anew() -> None:
    bed = Bed()
    task = await bed.begun(batch(b"a"), repeat())
    bed.outlet.settle("no")
    with pytest.raises(Unavailable):
        await task
    task = await bed.begun(batch(b"corrected"), repeat(digest="another"))
    assert [record.value for record, _ in bed.outlet.held] == [b"corrected"]
    bed.outlet.settle("")
    await task


async def test_the_first_attempt_waits_for_what_a_repetition_sends_again() -> None:
    bed = Bed()
    first = await bed.begun(batch(b"a", b"b"), repeat())
    # The records are settled just before the repetition runs, which is before the first attempt is awake.
    asyncio.get_running_loop().call_soon(bed.outlet.settle, "", "timed out")
    second = await bed.begun(batch(b"a", b"b"), repeat())
    for _ in range(5):
        await asyncio.sleep(0)
    assert [record.value for record, _ in bed.outlet.held] == [b"b"]
    assert not first.done()
    bed.outlet.settle("")
    assert (await first, await second) == (b"answer", b"answer")


async def half_stored(bed: Bed, again: Repeat | None) -> list[weakref.ref[WatchedRecord]]:
    """Have one record stored and one refused; return both, in this order, where they are still held."""
    records = WatchedRecord("t", b"a", 1), WatchedRecord("t", b"b", 1)
    task = await bed.begun(Batch(records, b"answer"), again)
    bed.outlet.settle("", "timed out")
    with pytest.raises(Unavailable):
        await task
    return [weakref.ref(record) for record in records]


async def collected() -> None:
    """Let go of what nothing refers to; until its next turn the loop refers to what a task waited for."""
    await asyncio.sleep(0)
    gc.collect()


@pytest.mark.parametrize("again", [repeat(), None])
async def test_only_records_that_may_be_sent_again_are_held_on(again: Repeat | None) -> None:
    bed = Bed()
    stored, failed = await half_stored(bed, again)
    await collected()
    assert stored() is None
    assert (failed() is not None) is (again is not None)


async def test_of_what_is_stored_only_the_answer_is_held_on() -> None:
    bed = Bed()
    stored, failed = await half_stored(bed, repeat())
    task = await bed.begun(batch(b"a", b"b"), repeat())
    bed.outlet.settle("")
    assert await task == b"answer"
    await collected()
    assert stored() is failed() is None


async def halved_then_stored(bed: Bed, key: str) -> None:
    task = await bed.begun(batch(b"a", b"b"), repeat(key))
    bed.outlet.settle("", "timed out")
    with pytest.raises(Unavailable):
        await task
    task = await bed.begun(batch(b"a", b"b"), repeat(key))
    bed.outlet.settle("")
    await task


async def test_what_was_stored_in_two_steps_is_remembered_like_anything_else() -> None:
    bed = Bed(remembered=100)
    for number in range(20):
        await halved_then_stored(bed, f"k{number}")
    for number in range(20):
        task = await bed.begun(batch(b"a", b"b"), repeat(f"k{number}"))
        assert bed.outlet.held == []
        assert await task == b"answer"


async def test_of_halved_requests_only_a_few_are_remembered() -> None:
    bed = Bed(remembered=100)
    for number in range(9):
        task = await bed.begun(batch(b"a", b"b"), repeat(f"k{number}"))
        bed.outlet.settle("", "timed out")
        with pytest.raises(Unavailable):
            await task
    for number, sent in ((8, [b"b"]), (0, [b"a", b"b"])):
        task = await bed.begun(batch(b"a", b"b"), repeat(f"k{number}"))
        assert [record.value for record, _ in bed.outlet.held] == sent
        bed.outlet.settle(*("" for _ in sent))
        await task


async def test_a_key_is_not_for_two_bodies() -> None:
    bed = Bed()
    task = await bed.begun(batch(b"a"), repeat())
    with pytest.raises(KeyReused):
        await bed.intake.accept(batch(b"b"), repeat(digest="another"))
    bed.outlet.settle("")
    await task


async def test_only_so_many_requests_are_remembered() -> None:
    bed = Bed(remembered=2)
    for key in "abc":
        task = await bed.begun(batch(key.encode()), repeat(key))
        bed.outlet.settle("")
        await task
    assert len(bed.intake._outcomes) == 2
    await bed.intake.accept(batch(b"c"), repeat("c"))
    assert bed.counters["inferwatch_collector_repeats_total"] == 1


async def stored(bed: Bed, key: str, answer: bytes) -> None:
    task = await bed.begun(Batch((Record("t", b"a", 1),), answer), repeat(key))
    bed.outlet.settle(*("" for _ in bed.outlet.held))
    assert await task == answer


async def test_answers_are_remembered_up_to_so_many_bytes_and_the_last_one_always() -> None:
    bed = Bed(remembered_bytes=10)
    for key, answer, remembered in (("a", b"12345", 1), ("b", b"12345", 2), ("c", b"1", 2), ("d", bytes(11), 1)):
        await stored(bed, key, answer)
        assert len(bed.intake._outcomes) == remembered
    await stored(bed, "d", bytes(11))
    assert bed.counters["inferwatch_collector_repeats_total"] == 1


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30)), max_size=40))
def test_what_is_remembered_is_bounded_whatever_comes(requests: list[tuple[str, int]]) -> None:
    remembered = Outcomes(4, 50)
    sizes: OrderedDict[str, int] = OrderedDict()
    for key, size in requests:
        known = remembered.find(repeat(key))
        assert (known is not None) == (key in sizes)
        if known is None:
            remembered.remember(repeat(key), Outcome(bytes(size), Delivery()))
            sizes[key] = size
        sizes.move_to_end(key)
        while len(sizes) > 4 or sum(sizes.values()) > 50:
            sizes.popitem(last=False)
        assert len(remembered) == len(sizes)


async def test_what_does_not_fit_is_sent_away_and_not_remembered() -> None:
    bed = Bed(most=4)
    task = await bed.begun(batch(b"abc"), repeat("a"))
    with pytest.raises(Unavailable, match="in flight"):
        await bed.intake.accept(batch(b"de"), repeat("b"))
    bed.outlet.settle("")
    await task
    task = await bed.begun(batch(b"de"), repeat("b"))
    bed.outlet.settle("")
    assert await task == b"answer"


async def test_more_records_than_may_wait_for_kafka_are_sent_away_for_good() -> None:
    bed = Bed(most=100_000)
    most = Batch((Record("t", b"a", 1),) * MOST_RECORDS, b"answer")
    with pytest.raises(TooLarge, match="50000 records"):
        await bed.intake.accept(Batch((*most.records, most.records[0]), b"answer"), repeat())
    assert bed.outlet.held == []
    assert bed.in_flight.held == 0
    task = await bed.begun(most, repeat())
    for _, delivery in bed.outlet.held:
        delivery.acknowledged()
    assert await task == b"answer"


async def test_a_batch_of_nothing_is_answered_at_once() -> None:
    assert await Bed().intake.accept(batch(), None) == b"answer"


async def test_the_memory_outlet_keeps_the_contract() -> None:
    outlet = MemoryOutlet()
    settled: list[str] = []
    delivery = Delivery(lambda: settled.append("now"))
    outlet.send([Record("t", b"a", 1)], delivery)
    outlet.broken = "no broker"
    outlet.send([Record("t", b"b", 1)], delivery)
    await delivery.wait()
    assert settled == ["now", "now"]
    assert [record.value for record in delivery.failed] == [b"b"]
    assert [record.value for record in outlet.records] == [b"a"]


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 50)), max_size=50), st.floats(1, 20))
def test_a_bucket_never_gives_more_than_its_rate_and_one_burst(steps: list[tuple[float, float]], rate: float) -> None:
    bucket, now, given_away = Bucket(rate, 0.0), 0.0, 0.0
    for pause, cost in steps:
        now += pause
        if bucket.wait(cost, now) == 0:
            bucket.take(cost)
            given_away += cost
        # One request may be larger than everything there is.
        assert given_away <= rate * (now + 2) + 50 + 1e-6


def test_rates_are_by_key_and_say_when_to_come_again() -> None:
    class Still:
        def now(self) -> float:
            return 0.0

        def elapsed(self) -> float:
            return 0.0

    rates = Rates(1, 100, Still())
    rates.request("a")
    rates.request("a")
    with pytest.raises(TooMany) as caught:
        rates.request("a")
    assert caught.value.retry_after == 1
    rates.request("b")
    rates.body("a", 1000)
    with pytest.raises(TooMany) as caught:
        rates.body("a", 100)
    assert caught.value.retry_after == 9


async def pieces_of(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def read(body: bytes, coding: str = "identity", size: int = 100, most: int = 10_000) -> bytes:
    in_flight = InFlight(1 << 30)
    with in_flight.hold() as hold:
        return await read_body(pieces_of(body, size), {"content-encoding": coding}, hold, most, 60)


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_a_body_is_read_whatever_its_coding_and_pieces(body: bytes, size: int) -> None:
    two_members = gzip.compress(body[:7]) + gzip.compress(body[7:])
    for coding, sent in (
        ("identity", body),
        ("gzip", gzip.compress(body)),
        ("GZIP", two_members),
        ("deflate", zlib.compress(body)),
    ):
        assert asyncio.run(read(sent, coding, size)) == body


async def test_a_body_is_bounded_before_it_is_held() -> None:
    assert len(await read(b"x" * 10_000)) == 10_000
    for sent, coding in ((b"x" * 10_001, "identity"), (gzip.compress(b"x" * 10_001), "gzip")):
        with pytest.raises(TooLarge):
            await read(sent, coding)


async def test_full_steps_of_a_compressed_body_lose_nothing() -> None:
    body = bytes(3 << 20)
    assert await read(gzip.compress(body), "gzip", 1 << 20, 4 << 20) == body


@pytest.mark.parametrize("sent", [b"", b"no gzip", gzip.compress(b"x" * 100)[:-9], gzip.compress(b"x") + b"rest"])
async def test_a_body_that_is_not_in_its_coding_is_malformed(sent: bytes) -> None:
    with pytest.raises(Malformed):
        await read(sent, "gzip")


async def test_another_coding_is_refused() -> None:
    with pytest.raises(WrongMediaType):
        await read(b"", "br")


async def test_a_body_that_does_not_come_ends() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    in_flight = InFlight(100)
    with pytest.raises(TimedOut), in_flight.hold() as hold:
        await read_body(never(), {}, hold, 100, 0.01)
    assert in_flight.held == 0
