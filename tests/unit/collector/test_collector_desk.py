"""Large requests are decoded one at a time, also when their callers do not wait for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from inferwatch.clock import SystemClock
from ingest.collector.admission import InFlight, Rates
from ingest.collector.batch import Batch
from ingest.collector.caller import ANYONE
from ingest.collector.desk import LARGE_BYTES, Desk
from ingest.collector.intake import Intake
from ingest.collector.metrics import Counters
from ingest.collector.outlet import MemoryOutlet
from ingest.collector.received import Received
from ingest.collector.settings import CollectorSettings
from ingest.errors import Malformed


def desk() -> Desk:
    clock, counters, in_flight = SystemClock(), Counters(), InFlight(1 << 30)
    return Desk(
        settings=CollectorSettings(),
        ring=None,
        rates=Rates(0, 0, clock),
        in_flight=in_flight,
        intake=Intake(MemoryOutlet(), in_flight, counters, 60.0, 10, 1000),
        counters=counters,
        clock=clock,
        large=asyncio.Lock(),
    )


@pytest.mark.parametrize("cancelled", [1, 2])
async def test_a_large_request_keeps_its_turn_until_it_is_decoded_also_when_its_caller_has_gone(cancelled: int) -> None:
    begun, go_on = threading.Event(), threading.Event()
    at = desk()

    def decode(_: Received) -> Batch:
        begun.set()
        go_on.wait()
        raise Malformed("at the end")

    async def held() -> None:
        with at.in_flight.hold() as hold:
            hold.grow(LARGE_BYTES + 1)
            await at.decoded(Received(ANYONE, "/v1/events", "", bytes(LARGE_BYTES + 1), 0.0), decode)

    call = asyncio.create_task(held())
    try:
        await asyncio.to_thread(begun.wait)
        for _ in range(cancelled):
            call.cancel()
            await asyncio.wait((asyncio.create_task(asyncio.sleep(0)),))
        assert at.large.locked()
        assert at.in_flight.held > LARGE_BYTES
    finally:
        go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not at.large.locked()
    assert at.in_flight.held == 0
