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
        """Return the batch of a request, decoded away from the event loop where it is large."""
        if len(received.body) <= LARGE_BYTES:
            return decode(received)
        async with self.large:
            return await asyncio.to_thread(decode, received)

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
