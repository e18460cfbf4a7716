"""What may pass is waited for; anything else is not."""

from __future__ import annotations

import asyncio

import pytest

from processors.errors import DatasetNotWritten, DeliveryFailed, Interrupted
from processors.retry import until_it_works
from storage.errors import StoreRefused, StoreUnavailable


class Flaky:
    """Raises what it is told to, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_waits_grow_up_to_a_limit_and_respect_what_is_asked(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    call = Flaky(*[DeliveryFailed("t", "no")] * 3, StoreUnavailable("u", "busy", 7.0), *[DeliveryFailed("t", "no")] * 2)
    assert await until_it_works("Sending", call) == "done"
    assert waits == [0.5, 1.0, 2.0, 7.0, 10.0, 10.0]
    assert caplog.messages[0] == "Sending: Kafka did not take a record for t: no; trying again in 0.5 s"


async def test_what_works_at_once_waits_for_nothing(waits: list[float]) -> None:
    assert await until_it_works("Sending", Flaky()) == "done"
    assert waits == []


async def test_what_will_not_pass_is_raised(waits: list[float]) -> None:
    with pytest.raises(StoreRefused, match="code 60"):
        await until_it_works("Writing", Flaky(StoreUnavailable("u", "busy"), StoreRefused(60, "no table")))
    assert len(waits) == 1


async def test_a_wait_that_is_interrupted_ends_at_once() -> None:
    interrupted = asyncio.Event()
    waiting = asyncio.create_task(until_it_works("Writing", Flaky(StoreUnavailable("u", "busy", 3600.0)), interrupted))
    await asyncio.sleep(0)
    interrupted.set()
    with pytest.raises(Interrupted, match="Writing"):
        await asyncio.wait_for(waiting, 5)


async def test_a_wait_that_nobody_interrupts_goes_on(waits: list[float]) -> None:
    call = Flaky(DatasetNotWritten("/d", "No space left on device"))
    assert await until_it_works("Writing", call, asyncio.Event()) == "done"
    assert waits == [0.5]
