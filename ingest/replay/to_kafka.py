"""Events to the inferences topic. Where Kafka has no room, the replay waits: nothing is dropped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from inferwatch import topics
from inferwatch.clock import Clock
from inferwatch.delivery import TransportFactory
from inferwatch.settings import MirrorSettings
from inferwatch.transport import Record
from inferwatch.truncation import truncate
from inferwatch.wire import encode_event, join_record
from ingest.replay.events import event_of
from ingest.replay.schedule import Due
from ingest.replay.settings import EventSettings
from ingest.replay.tally import Tally
from ingest.replay.target import Start

_PAUSE_WHEN_FULL: Final = 0.01
_LAST_WORDS_SECONDS: Final = 0.5


class KafkaTarget:
    """Sends events that are due together in one record, as the SDK's mirror does, each when it has ended.

    The transport is the mirror's own. The mirror is not: it drops the oldest events where Kafka is slow.
    """

    def __init__(
        self,
        mirror: MirrorSettings,
        settings: EventSettings,
        tally: Tally,
        clock: Clock,
        transport: TransportFactory,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._mirror = mirror
        self._settings = settings
        self._tally = tally
        self._clock = clock
        self._pause = pause
        self._transport = transport(mirror, self._report)
        self._lines: list[bytes] = []
        self._dues: list[tuple[Due, Start]] = []
        self._bytes = 0

    async def send(self, due: Due, start: Start) -> None:
        """Hold an event until its record is full, or until `flush`."""
        # As fast as possible, there is no time at which it began but the one that lets it end now.
        began = self._clock.now() - due.duration if due.begins is None else start.now + due.begins
        most = self._mirror.max_text_characters
        line = encode_event(truncate(event_of(due, began, self._settings, most), most))
        if self._lines and self._bytes + len(line) > self._mirror.record_bytes:
            await self.flush()
        self._lines.append(line)
        self._dues.append((due, start))
        self._bytes += len(line)
        if len(self._lines) >= self._mirror.events_per_record:
            await self.flush()

    async def flush(self) -> None:
        """Hand over what is held, waiting for room."""
        if not self._lines:
            self._transport.poll(0)
            return
        await self._hand_over(Record(topics.INFERENCES, join_record(self._lines), len(self._lines)))
        elapsed = self._clock.elapsed()
        for due, start in self._dues:
            self._tally.note_sent(due, elapsed - start.elapsed)
        self._lines, self._dues, self._bytes = [], [], 0
        self._transport.poll(0)
        # Lets signals and progress have their turn, where there is always something due.
        await self._pause(0)

    async def answered(self) -> None:
        """Wait until each event is acknowledged or given up by librdkafka."""
        while self._tally.unanswered:
            self._transport.poll(0)
            await self._pause(_PAUSE_WHEN_FULL)

    async def close(self) -> None:
        """Count as failed what is not acknowledged."""
        self._transport.close(_LAST_WORDS_SECONDS)

    async def _hand_over(self, record: Record) -> None:
        while True:
            try:
                return self._transport.send(record)
            except BufferError:
                self._transport.poll(0)
                await self._pause(_PAUSE_WHEN_FULL)
            except Exception as error:
                # librdkafka refuses at once what is larger than any broker takes.
                return self._report(record, f"not sent: {type(error).__name__}")

    def _report(self, record: Record, lost_because: str | None) -> None:
        if lost_because is None:
            self._tally.ok += record.events
        else:
            self._tally.failed[lost_because] += record.events
