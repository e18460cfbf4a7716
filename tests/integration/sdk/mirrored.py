"""A mirror whose events a test can look at."""

from __future__ import annotations

from typing import Any

from inferwatch import InferenceEvent, Mirror, MirrorSettings
from inferwatch.transport import MemoryTransport, Report
from inferwatch.wire import decode_inference, split_record


class Mirrored:
    """A mirror that keeps what it sends."""

    def __init__(self, **settings: Any) -> None:
        self._transports: list[MemoryTransport] = []
        self.mirror = Mirror("unused:1", transport=self._transport, **settings)

    def events(self) -> list[InferenceEvent]:
        """Return every event so far, in the order in which inferences ended."""
        self.mirror.close()
        records = [record for transport in self._transports for record in transport.records]
        return [decode_inference(line, index) for record in records for index, line in split_record(record)]

    def event(self) -> InferenceEvent:
        """Return the one event that there is."""
        (event,) = self.events()
        return event

    def _transport(self, _settings: MirrorSettings, report: Report) -> MemoryTransport:
        self._transports.append(MemoryTransport(report))
        return self._transports[-1]
