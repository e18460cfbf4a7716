"""The agent around a step: nothing is acknowledged that is not durable, not even while the worker goes down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from processors import consume
from processors.consume import attach
from processors.intake import BatchSize
from processors.step import Record

SIZE = BatchSize(10, 0.1)


class Signal:
    """A signal of an app: keeps who is connected."""

    def __init__(self) -> None:
        self.connected: list[Callable[..., Awaitable[None]]] = []

    def connect(self, receiver: Callable[..., Awaitable[None]], weak: bool) -> None:
        self.connected.append(receiver)


class App:
    """As much of a Faust app as `attach` asks for."""

    def __init__(self) -> None:
        self.on_partitions_revoked, self.on_before_shutdown = Signal(), Signal()
        self.crashed: list[BaseException] = []
        self.flow_control = SimpleNamespace(is_active=lambda: True)
        self.consumer_generation_id = 1
        self.consume: Any = None
        self.tick: Any = None

    def topic(self, *topics: str, **_: object) -> tuple[str, ...]:
        return topics

    def agent(self, _topics: tuple[str, ...], name: str) -> Callable[[Any], None]:
        return lambda function: setattr(self, "consume", function)

    def timer(self, interval: float, name: str) -> Callable[[Any], None]:
        return lambda function: setattr(self, "tick", function)

    async def crash(self, error: BaseException) -> None:
        self.crashed.append(error)


class Stream:
    """Gives out batches of offsets; notes what is acknowledged."""

    def __init__(self, *batches: Sequence[int]) -> None:
        self.batches = batches
        self.acknowledged: list[int] = []

    async def in_batches(self) -> AsyncIterator[list[Any]]:
        for batch in self.batches:
            yield [
                SimpleNamespace(
                    message=SimpleNamespace(
                        topic="t", partition=0, offset=offset, key=b"k\xff", value=b"v", generation_id=1
                    )
                )
                for offset in batch
            ]

    async def ack(self, event: Any) -> None:
        self.acknowledged.append(event.message.offset)


class Scripted:
    """A step that answers as it is told; an exception among the answers is raised."""

    def __init__(self, *answers: bool | BaseException, ticks: bool = True) -> None:
        self.answers = list(answers)
        self.ticks = ticks
        self.records: list[Record] = []
        self.released = 0

    async def process(self, records: Sequence[Record]) -> bool:
        self.records += records
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def tick(self) -> bool:
        return self.ticks

    def interrupt(self) -> None:
        return

    async def release(self) -> None:
        self.released += 1


@pytest.fixture(autouse=True)
def batches_as_scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches as a stream says them; how they are made is another test's business."""
    monkeypatch.setattr(consume, "batches", lambda stream, size: stream.in_batches())


def attached(step: Any, in_flight: Callable[[], int] = lambda: 0) -> App:
    app = App()
    attach(app, step, name="n", topics=["t"], size=SIZE, in_flight=in_flight)  # type: ignore[arg-type]  # a double
    return app


async def test_a_durable_batch_is_acknowledged_with_every_batch_before_it() -> None:
    stream, step = Stream([1, 2], [3], [4]), Scripted(False, True, False, ticks=False)
    app = attached(step)
    await app.consume(stream)
    assert stream.acknowledged == [1, 2, 3]
    assert step.records[0] == Record("t", 0, 1, "k\ufffd", b"v")
    await app.tick()
    assert stream.acknowledged == [1, 2, 3]
    step.ticks = True
    await app.tick()
    await app.tick()
    assert stream.acknowledged == [1, 2, 3, 4]


async def test_what_is_in_flight_is_acknowledged_later() -> None:
    stream, step = Stream([1, 2], [3, 4, 5], [6]), Scripted(True, True, True)
    in_flight = iter([2, 4, 1, 1, 0])
    app = attached(step, lambda: next(in_flight))
    await app.consume(stream)
    assert stream.acknowledged == [1, 2, 3, 4, 5]
    await app.tick()
    assert stream.acknowledged == [1, 2, 3, 4, 5]
    await app.tick()
    assert stream.acknowledged == [1, 2, 3, 4, 5, 6]


async def test_a_batch_that_failed_is_never_acknowledged_and_the_worker_crashes() -> None:
    error = ValueError("refused")
    stream, step = Stream([1], [2], [3]), Scripted(False, error, True)
    app = attached(step)
    await app.consume(stream)
    assert app.crashed == [error]
    await app.tick()
    await app.on_before_shutdown.connected[0]()
    assert stream.acknowledged == []
    assert [record.offset for record in step.records] == [1, 2]
    assert step.released == 0  # what it holds may be ahead of what it sent


async def test_a_batch_that_was_interrupted_is_never_acknowledged() -> None:
    stream, step = Stream([1]), Scripted(asyncio.CancelledError())
    app = attached(step)
    with pytest.raises(asyncio.CancelledError):
        await app.consume(stream)
    await app.tick()
    await app.on_before_shutdown.connected[0]()
    assert (stream.acknowledged, step.released, app.crashed) == ([], 0, [])


async def test_partitions_that_are_taken_away_are_released_and_not_acknowledged_later() -> None:
    stream, step = Stream([1]), Scripted(False)
    app = attached(step)
    await app.consume(stream)
    await app.on_partitions_revoked.connected[0]({"some"})
    await app.tick()
    assert (stream.acknowledged, step.released) == ([], 1)


async def test_taking_partitions_away_waits_for_the_batch_in_progress() -> None:
    order: list[str] = []
    may_end = asyncio.Event()

    class Slow(Scripted):
        async def process(self, records: Sequence[Record]) -> bool:
            await may_end.wait()
            order.append("written")
            return True

        async def release(self) -> None:
            order.append("released")

    stream = Stream([1])
    app = attached(Slow())
    consuming = asyncio.create_task(app.consume(stream))
    await asyncio.sleep(0)
    await app.tick()  # does not wait
    releasing = asyncio.ensure_future(app.on_partitions_revoked.connected[0]())
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.gather(consuming, releasing)
    assert (order, stream.acknowledged) == (["written", "released"], [1])


async def test_the_end_does_not_wait_for_ever_for_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consume, "_PATIENCE", 0.01)

    class Stuck(Scripted):
        async def process(self, records: Sequence[Record]) -> bool:
            await asyncio.Event().wait()
            return True

    stream, step = Stream([1]), Stuck()
    app = attached(step)
    consuming = asyncio.create_task(app.consume(stream))
    await asyncio.sleep(0)
    await app.on_before_shutdown.connected[0]()
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    assert (stream.acknowledged, step.released) == ([], 0)


@pytest.mark.parametrize("signal", ["on_partitions_revoked", "on_before_shutdown"])
async def test_a_step_that_waits_on_others_is_interrupted_before_it_is_released(signal: str) -> None:
    class Waiting(Scripted):
        def __init__(self) -> None:
            super().__init__()
            self.interrupted = asyncio.Event()

        async def process(self, records: Sequence[Record]) -> bool:
            await self.interrupted.wait()
            return False

        def interrupt(self) -> None:
            self.interrupted.set()

    stream, step = Stream([1]), Waiting()
    app = attached(step)
    consuming = asyncio.create_task(app.consume(stream))
    await asyncio.sleep(0)
    await asyncio.wait_for(getattr(app, signal).connected[0](), 1.0)
    await consuming
    await app.tick()
    assert (stream.acknowledged, step.released) == ([], 1)


@pytest.mark.parametrize(("active", "generation"), [(False, 1), (True, 2)], ids=["between", "after"])
async def test_what_was_read_before_a_rebalance_is_not_processed_after_it(active: bool, generation: int) -> None:
    stream, step = Stream([1], [2]), Scripted(True, True)
    app = attached(step)
    app.flow_control.is_active = lambda: active
    app.consumer_generation_id = generation
    await app.consume(stream)
    assert (step.records, stream.acknowledged) == ([], [])


async def test_four_consumers_that_cannot_finish_stop_in_less_than_eight_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []

    async def never(call: Coroutine[Any, Any, None], seconds: float) -> None:
        call.close()
        waited.append(seconds)
        raise TimeoutError

    app = App()
    for name in "abcd":
        attach(app, Scripted(), name=name, topics=["t"], size=SIZE)  # type: ignore[arg-type]  # a double
    monkeypatch.setattr(asyncio, "wait_for", never)
    for stop in app.on_before_shutdown.connected:
        await stop()
    assert len(waited) == 4
    assert sum(waited) < 8


async def test_a_step_that_is_never_idle_is_ticked_between_batches() -> None:
    app: App

    class Busy(Scripted):
        """Is busy whenever the timer fires."""

        ticked = 0

        async def process(self, records: Sequence[Record]) -> bool:
            await app.tick()
            return await super().process(records)

        async def tick(self) -> bool:
            self.ticked += 1
            return True

    stream, step = Stream([1], [2], [3]), Busy(False, False, False)
    app = attached(step)
    await app.consume(stream)
    assert step.ticked == 3
    assert stream.acknowledged == [1, 2, 3]
