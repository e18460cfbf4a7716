"""What may pass is waited for; anything else is not."""

from __future__ import annotations

import asyncio
import logging

import pytest

from processors.errors import DatasetNotWritten, DeliveryFailed, Interrupted
from processors.retry import pause, until_it_works
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


class Stuck:
    """A call that answers when it is let, or does not."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.gate, self.begun = asyncio.Event(), asyncio.Event()
        self.ended: list[str] = []

    async def __call__(self) -> str:
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        if self.error is not None:
            raise self.error
        return "done"


async def test_a_call_under_way_is_given_up_but_left_to_itself() -> None:
    call, interrupted = Stuck(), asyncio.Event()
    waiting = asyncio.create_task(until_it_works("Writing", call, interrupted))
    await call.begun.wait()
    interrupted.set()
    with pytest.raises(Interrupted) as caught:
        await asyncio.wait_for(waiting, 5)
    assert (caught.value.what, call.ended) == ("Writing", [])
    call.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert call.ended == ["done"]


async def test_a_call_that_was_left_to_itself_and_fails_is_noted_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call, interrupted = Stuck(StoreRefused(60, "no table")), asyncio.Event()
    waiting = asyncio.create_task(until_it_works("Writing", call, interrupted))
    await call.begun.wait()
    interrupted.set()
    with pytest.raises(Interrupted):
        await asyncio.wait_for(waiting, 5)
    call.gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert [entry.levelname for entry in caplog.records] == ["INFO"]
    assert "A call that was left to itself failed: ClickHouse refused (code 60): no table" in caplog.text


async def test_an_answer_that_comes_with_the_interruption_counts() -> None:
    interrupted = asyncio.Event()
    interrupted.set()
    assert await until_it_works("Writing", Flaky(), interrupted) == "done"


async def test_an_error_that_will_not_pass_is_raised_although_an_interruption_is_possible() -> None:
    with pytest.raises(StoreRefused):
        await until_it_works("Writing", Flaky(StoreRefused(60, "no table")), asyncio.Event())


async def test_whoever_cancels_the_waiting_cancels_the_call() -> None:
    call = Stuck()
    waiting = asyncio.create_task(until_it_works("Writing", call, asyncio.Event()))
    await call.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert call.ended == ["cancelled"]


async def test_nothing_is_left_behind_by_waiting() -> None:
    interrupted = asyncio.Event()
    await until_it_works("Writing", Flaky(), interrupted)
    await asyncio.wait_for(pause("Writing", 0.0, interrupted), 5)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
