"""What both ports need to take a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from inferwatch.clock import Clock
from ingest.api_keys.ring import KeyRing
from ingest.collector.admission import InFlight, Rates
from ingest.collector.batch import Batch
from ingest.collector.caller import Caller
from ingest.collector.intake import Intake
from ingest.collector.metrics import Counters
from ingest.collector.received import Received
from ingest.collector.settings import CollectorSettings

LARGE_BYTES: Final = 64 << 10
"""Bodies beyond this are decoded in a thread, one at a time: what JSON decodes to may be many times as large."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What both ports need to take a request."""

    settings: CollectorSettings
    ring: KeyRing | None
    rates: Rates
    in_flight: InFlight
    intake: Intake
    counters: Counters
    clock: Clock
    large: asyncio.Lock

    async def decoded(self, received: Received, decode: Callable[[Received], Batch]) -> Batch:
        """Return the batch of a request, decoded away from the event loop where it is large.

        Cancelled, as a gRPC call is at its deadline, it ends when the thread does: until then its turn and its bytes
        are taken.
        """
        if len(received.body) <= LARGE_BYTES:
            return decode(received)
        async with self.large:
            decoding = asyncio.create_task(asyncio.to_thread(decode, received))
            cancelled: asyncio.CancelledError | None = None
            while not decoding.done():
                try:
                    await asyncio.wait((decoding,))
                except asyncio.CancelledError as error:
                    cancelled = error
            if cancelled is None:
                return decoding.result()
            # Asked for, so that asyncio does not tell of an error that nobody saw.
            decoding.exception()
            raise cancelled

    def received(self, caller: Caller, path: str, media_type: str, body: bytes, headers: Mapping[str, str]) -> Received:
        """Return a request as decoders see it."""
        return Received(
            caller=caller,
            path=path,
            media_type=media_type,
            body=body,
            at=self.clock.now(),
            headers=headers,
            environment=self.settings.environment,
            most_characters=self.settings.max_text_characters,
        )
