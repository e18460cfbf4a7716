"""From a batch to its answer: given only once Kafka has acknowledged every record."""

from __future__ import annotations

import asyncio
from typing import Final

from ingest.collector.admission import InFlight
from ingest.collector.batch import Batch
from ingest.collector.metrics import Counters
from ingest.collector.outcomes import Outcome, Outcomes, Repeat
from ingest.collector.outlet import Delivery, Outlet, size_of
from ingest.errors import TooLarge, Unavailable

MOST_RECORDS: Final = 50_000
"""Of one request: half of what the queue of `KafkaOutlet` takes, and acknowledged well within `ack_seconds`."""

_RETRY_SECONDS: Final = 2


class Intake:
    """Gives batches to the outlet. Belongs to the event loop.

    1. A request that came before (`Repeat`) is not sent again: it waits for what became of the first one. Records of it
       that failed, and only those, are sent again.
    2. Its records count as in flight until each is acknowledged or has failed, however long its caller waits.
    3. The answer is given after the last acknowledgement. Without one within `ack_seconds` the caller is told to come
       again; its records may be stored all the same.
    """

    def __init__(
        self,
        outlet: Outlet,
        in_flight: InFlight,
        counters: Counters,
        ack_seconds: float,
        remembered: int,
        remembered_bytes: int,
    ) -> None:
        self._outlet = outlet
        self._in_flight = in_flight
        self._counters = counters
        self._ack_seconds = ack_seconds
        self._outcomes = Outcomes(remembered, remembered_bytes)

    async def accept(self, batch: Batch, repeat: Repeat | None) -> bytes:
        """Return the answer of a batch once it is stored.

        Raises:
            TooLarge: it has more than `MOST_RECORDS`.
            KeyReused: its Idempotency-Key came before, with another body.
            Unavailable: it is not known to be stored.
        """
        if len(batch.records) > MOST_RECORDS:
            raise TooLarge("the request", MOST_RECORDS, unit="records for Kafka")
        outcome = None if repeat is None else self._outcomes.find(repeat)
        if outcome is None:
            outcome = self._begin(batch, repeat)
        else:
            self._counters.add("inferwatch_collector_repeats_total")
            self._send_failed(outcome.delivery)
        await self._acknowledged(outcome.delivery)
        return outcome.answer

    def _begin(self, batch: Batch, repeat: Repeat | None) -> Outcome:
        """Send a batch for the first time (step 1), and hold its bytes until it is settled (step 2)."""
        # What is remembered of a request must not keep its records: hence not `batch` below.
        counts, total = batch.counts, len(batch.records)

        def settled() -> None:
            self._in_flight.give_back(delivery.size)
            if not delivery.failed:
                for name, number in counts:
                    self._counters.add(name, number)
                if repeat is not None:
                    self._outcomes.no_longer_halved(repeat)
            elif repeat is not None and len(delivery.failed) < total:
                self._outcomes.keep_halved(repeat)
            elif repeat is not None:
                self._outcomes.forget(repeat)

        delivery = Delivery(settled)
        outcome = Outcome(batch.answer, delivery)
        self._in_flight.take(size_of(batch.records))
        if repeat is not None:
            self._outcomes.remember(repeat, outcome)
        self._outlet.send(batch.records, delivery)
        return outcome

    def _send_failed(self, delivery: Delivery) -> None:
        """Send what failed of a request, unless it is under way."""
        failed = delivery.failed
        if failed and not delivery.pending:
            self._in_flight.take(size_of(failed))
            delivery.failed = []
            self._outlet.send(failed, delivery)

    async def _acknowledged(self, delivery: Delivery) -> None:
        """Wait for the last acknowledgement (step 3)."""
        try:
            async with asyncio.timeout(self._ack_seconds):
                await delivery.wait()
        except TimeoutError:
            raise Unavailable(f"Kafka has not acknowledged it within {self._ack_seconds:g} s", _RETRY_SECONDS) from None
        if delivery.failed:
            raise Unavailable(f"Kafka has not taken it: {delivery.reason}", _RETRY_SECONDS)
