"""Leaving a consumer group without being held by a broker that stands still."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from confluent_kafka import Consumer


def leave(consumer: Consumer) -> asyncio.Future[None]:
    """Begin to close a consumer; return what is done when it is closed. Whoever does not wait leaves it behind."""
    loop = asyncio.get_running_loop()
    left: asyncio.Future[None] = loop.create_future()

    def close() -> None:
        try:
            consumer.close()
        finally:
            # There is no loop any more where nobody waited.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(left.set_result, None)

    # Not the loop's own threads: a process does not end before those have.
    threading.Thread(target=close, name="joiner-leaves", daemon=True).start()
    return left
