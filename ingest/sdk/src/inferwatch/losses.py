"""What a mirror lost is told by the mirror itself, in events of their own, so that what is missing is known to be."""

from __future__ import annotations

import os
import socket
from collections import Counter
from typing import Final

from inferwatch import topics
from inferwatch.clock import Clock
from inferwatch.events import DropReport
from inferwatch.ids import new_event_id
from inferwatch.settings import MirrorSettings
from inferwatch.transport import Record
from inferwatch.wire import encode_event

MEMORY_FULL: Final = "memory full"
"""The reason given for events that never left the process."""


class Losses:
    """Counts lost events by reason and makes the reports that tell of them.

    A report that was not acknowledged is made again with the same id and start and what was lost since: of two that
    arrive with one id, the one with the later `at` holds. Used by the mirror's background thread.
    """

    def __init__(self, settings: MirrorSettings, clock: Clock, instance: str | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._instance = instance or f"{socket.gethostname()}:{os.getpid()}:{new_event_id()[-12:]}"
        self._failed: Counter[str] = Counter()
        self._dropped = 0
        self._told: Counter[str] = Counter()
        self._sent: tuple[Record, Counter[str], float] | None = None
        self._since = clock.now()
        self._report_id = new_event_id()
        self._due = clock.elapsed() + settings.report_interval

    def failed(self, events: int, reason: str) -> None:
        """Count events that were sent and are lost, or could not be sent."""
        self._failed[reason] += events

    def dropped(self, so_far: int) -> None:
        """See how many events the buffer dropped since it was made."""
        self._dropped = so_far

    def due(self, *, at_the_end: bool = False) -> Record | None:
        """Return a report, None where there is nothing to tell or the last one was too short ago."""
        now = self._clock.elapsed()
        if self._sent is not None or (now < self._due and not at_the_end):
            return None
        lost = Counter({**self._failed, MEMORY_FULL: self._dropped}) - self._told
        if not lost:
            return None
        self._due = now + self._settings.report_interval
        at = self._clock.now()
        record = Record(topics.TELEMETRY, encode_event(self._report(lost, at)), 1, self._key())
        self._sent = (record, self._told + lost, at)
        return record

    def settled(self, record: Record, lost_because: str | None) -> None:
        """See whether a report arrived; what one told that did not is told again by the next."""
        if self._sent is None or record is not self._sent[0]:
            return
        _, told, at = self._sent
        self._sent = None
        if lost_because is None:
            self._told, self._since, self._report_id = told, at, new_event_id()

    def _report(self, lost: Counter[str], at: float) -> DropReport:
        dropped = lost[MEMORY_FULL]
        return DropReport(
            report_id=self._report_id,
            at=at,
            since=self._since,
            source=self._settings.source,
            instance=self._instance,
            service=self._settings.service,
            environment=self._settings.environment,
            team=self._settings.team,
            dropped=dropped,
            failed=lost.total() - dropped,
            reasons=dict(lost),
        )

    def _key(self) -> bytes:
        # As everything of one environment and model is keyed, here of no model.
        return f"{self._settings.environment}/".encode("utf-8", "replace")
