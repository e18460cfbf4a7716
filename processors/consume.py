"""A Faust agent around a step: at least once, in order, acknowledged only when durable.

The order is:

1. Take a batch.                         (`intake`, nothing acknowledged)
2. Process it, waiting where needed.     (the step; nothing behind it moves)
3. Where the step says "durable", acknowledge it and every batch before it, but for what is still in flight.
4. Faust commits the offsets of acknowledged records in the background.

An exception that escaped an agent would freeze the commit without stopping anything, so whatever a step raises
crashes the worker, loudly; the service manager starts it again and step 2 begins where step 3 ended. A step that was
interrupted is not asked for anything again: what it holds may be ahead of what it sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import faust

from processors.intake import BatchSize, batches
from processors.step import Record, Step

log: Final = logging.getLogger(__name__)

_PATIENCE: Final = 1.5
"""Seconds that the end waits for a batch in progress. One that cannot finish is not acknowledged and comes again.

A worker's consumers stop one after another, and whoever stops the worker kills it after about 10 seconds.
"""


def attach(
    app: faust.App,
    step: Step,
    *,
    name: str,
    topics: Sequence[str],
    size: BatchSize,
    tick_seconds: float = 1.0,
    in_flight: Callable[[], int] = lambda: 0,
) -> None:
    """Let `step` process `topics`, in batches of some size.

    `in_flight` tells how many of the last records given a True does not speak for.
    """
    consumer = _Consumer(app, step, name, in_flight)
    app.agent(app.topic(*topics, value_serializer="raw", key_serializer="raw"), name=name)(
        lambda stream: consumer.consume(stream, size)
    )
    app.timer(interval=tick_seconds, name=f"{name}-tick")(consumer.tick)
    app.on_partitions_revoked.connect(consumer.release, weak=False)
    app.on_before_shutdown.connect(consumer.stop, weak=False)


class _Consumer:
    """Keeps the records that a step was given and has not called durable, and calls it once at a time."""

    def __init__(self, app: faust.App, step: Step, name: str, in_flight: Callable[[], int]) -> None:
        self._app = app
        self._step = step
        self._name = name
        self._in_flight = in_flight
        self._one_call_at_a_time = asyncio.Lock()
        self._unacknowledged: list[Any] = []
        self._stream: Any = None
        self._broken = False
        self._tick_missed = False

    async def consume(self, stream: Any, size: BatchSize) -> None:
        self._stream = stream
        async for events in batches(stream, size):
            async with self._crashing_on_error(), self._one_call_at_a_time:
                current = [event for event in events if self._still_ours(event)]
                if self._broken or not current:
                    continue
                durable = await self._step.process([_record(event) for event in current])
                self._unacknowledged.extend(current)
                await self._acknowledge_if(durable)
                if self._tick_missed:
                    # Where batches follow each other closely, a timer finds the step busy each time.
                    self._tick_missed = False
                    await self._acknowledge_if(await self._step.tick())

    async def tick(self) -> None:
        if self._broken:
            return
        if self._one_call_at_a_time.locked():
            self._tick_missed = True
            return
        async with self._crashing_on_error(), self._one_call_at_a_time:
            await self._acknowledge_if(await self._step.tick())

    async def release(self, *_: object, **__: object) -> None:
        self._step.interrupt()
        # Waits for a batch in progress: its rows must be in the store before anyone else reads the position there.
        async with self._crashing_on_error(), self._one_call_at_a_time:
            if not self._broken:
                await self._step.release()
            self._unacknowledged.clear()

    async def stop(self, *_: object, **__: object) -> None:
        try:
            await asyncio.wait_for(self.release(), _PATIENCE)
        except TimeoutError:
            log.warning("%s ends in the middle of a batch, which will come again", self._name)

    def _still_ours(self, event: Any) -> bool:
        # Faust buffers a few events beyond a rebalance. Those before them may have been given up by then: processed
        # now, these would be saved as processed, and the ones before them with them.
        active = self._app.flow_control.is_active()
        return bool(active and event.message.generation_id == self._app.consumer_generation_id)

    async def _acknowledge_if(self, durable: bool) -> None:
        if durable:
            done = len(self._unacknowledged) - self._in_flight()
            for event in self._unacknowledged[:done]:
                await self._stream.ack(event)
            del self._unacknowledged[:done]

    @asynccontextmanager
    async def _crashing_on_error(self) -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            self._broken = True
            log.critical("%s cannot go on: %s", self._name, error, exc_info=True)
            await self._app.crash(error)
        except asyncio.CancelledError:
            self._broken = True
            raise


def _record(event: Any) -> Record:
    message = event.message
    key = message.key
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=key.decode("utf-8", "replace") if isinstance(key, bytes) else (key or ""),
        value=message.value,
    )
