"""Reads the topic of halves and writes what belongs together, at least once and, but for a kill in between, once.

All collectors are one consumer group, and halves of one inference have one key: whoever owns their partition sees both.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from inferwatch import topics
from inferwatch.clock import Clock
from inferwatch.errors import EventError
from inferwatch.events import InferenceEvent
from inferwatch.transport import Record
from inferwatch.wire import decode_inference
from ingest.collector.batch import inference_line, inference_records
from ingest.collector.cloudevents.half import Half, decode, encode
from ingest.collector.cloudevents.inference import bare, inference
from ingest.collector.cloudevents.join import Join, Pair, hurried
from ingest.collector.cloudevents.leave import leave
from ingest.collector.metrics import Counters, MetricName
from ingest.collector.outlet import Delivery, Outlet
from ingest.collector.settings import CollectorSettings
from ingest.collector.validity import event_invalid
from ingest.errors import ContentError, Refused

log: Final = logging.getLogger("inferwatch.collector")

GROUP: Final = "inferwatch-collector-joiner"
_MOST_MESSAGES: Final = 500
_POLL_SECONDS: Final = 0.25
_PAUSE_SECONDS: Final = 1.0
_ASK_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Partition:
    """What is known of one partition; `committed` is what Kafka was told last."""

    join: Join
    committed: int = -1


class Joiner:
    """One round after the other, until it is stopped:

    1. Take what came. A partition that is new here is first read again from where its last owner still waited for
       something to where it ends now; until then nothing of it is due, see `Join`.
    2. Write the inferences that are due, until Kafka has acknowledged all of them.
    3. Note in the topic of halves that they are written, until Kafka has acknowledged that.
    4. Tell Kafka from where another owner would have to read.

    Killed between 2 and 3, the next owner writes the same inferences again, with the same ids. Where Kafka does not
    hear of 4, the next owner reads more, and the notes say what of it is written.
    """

    def __init__(self, settings: CollectorSettings, outlet: Outlet, counters: Counters, clock: Clock) -> None:
        self._settings = settings
        self._outlet = outlet
        self._counters = counters
        self._clock = clock
        self._stopping = asyncio.Event()
        self._partitions: dict[int, _Partition] = {}

    async def run(self) -> None:
        """Join until `stop` is called. After an error it begins anew, from where Kafka was told to resume."""
        while not self._stopping.is_set():
            consumer = Consumer({**_configuration(self._settings), "on_commit": self._told}, logger=log)
            consumer.subscribe([topics.CLOUDEVENT_HALVES], on_revoke=self._revoked, on_lost=self._revoked)
            try:
                while not self._stopping.is_set():
                    await self._round(consumer)
            except KafkaException as error:
                log.warning("Halves of inferences wait: %s", error.args[0].str())
                await self._pause()
            finally:
                self._partitions.clear()
                left = leave(consumer)
            # Cancelled, this is not waited for: the group notices by itself that a member has gone.
            await asyncio.wait((left,))

    def stop(self) -> None:
        """End after this round."""
        self._stopping.set()

    async def _round(self, consumer: Consumer) -> None:
        for message in await asyncio.to_thread(consumer.consume, _MOST_MESSAGES, _POLL_SECONDS):
            await self._take(consumer, message)
        owned = {place.partition for place in consumer.assignment()}
        states = self._partitions = {number: state for number, state in self._partitions.items() if number in owned}
        now = self._clock.now()
        joins = [state.join for state in states.values()]
        due = [pair for join in joins for pair in join.due(now)]
        if await self._write([*due, *hurried(joins, self._settings.join_bytes, now)]):
            await self._commit(consumer)
        self._counters.set("inferwatch_collector_waiting_halves", sum(state.join.waiting for state in states.values()))
        for state in states.values():
            self._counters.add("inferwatch_collector_late_halves_total", state.join.take_late())
            self._counters.add("inferwatch_collector_hurried_halves_total", state.join.take_hurried())

    async def _take(self, consumer: Consumer, message: Message) -> None:
        """Take a record in (step 1)."""
        error = message.error()
        number, offset = message.partition(), message.offset()
        if error is not None:
            # The topic may be made later than this starts.
            if error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise KafkaException(error)
            return
        assert number is not None, "a record without a partition"
        assert offset is not None, "a record without an offset"
        if number not in self._partitions:
            place = TopicPartition(topics.CLOUDEVENT_HALVES, number)
            _, end = await asyncio.to_thread(consumer.get_watermark_offsets, place, _ASK_SECONDS)
            self._partitions[number] = _Partition(Join(self._settings.join_seconds, end))
        join = self._partitions[number].join
        try:
            join.take(decode(message.value()), offset, message.timestamp()[1] / 1000)
        except ContentError as wrong:
            log.error("A record of halves is left out: %s", wrong)
            join.skip(offset)

    async def _write(self, pairs: Sequence[Pair]) -> bool:
        """Write inferences (step 2) and the notes of them (step 3); return False where the joiner was stopped first."""
        if not pairs:
            return True
        records = await asyncio.to_thread(self._records, pairs)
        if not await self._acknowledged(records) or not await self._acknowledged([_note(pair) for pair in pairs]):
            return False
        self._counters.add("inferwatch_collector_events_total", len(pairs))
        for pair in pairs:
            self._counters.add(_name(pair))
        return True

    def _records(self, pairs: Sequence[Pair]) -> list[Record]:
        return list(inference_records(self._line(inference(pair, self._settings.environment)) for pair in pairs))

    def _line(self, event: InferenceEvent) -> bytes:
        """Return the line of an event; where processing would refuse it, that of what is sure of it."""
        most = self._settings.max_text_characters
        try:
            line = inference_line(event, most, 0)
            if event_invalid(decode_inference(line), self._clock.now()) is None:
                return line
        except (Refused, EventError):
            pass
        return inference_line(bare(event), most, 0)

    async def _acknowledged(self, records: Sequence[Record]) -> bool:
        """Send records until each is acknowledged; return False where the joiner was stopped before that."""
        left = list(records)
        while left:
            delivery = Delivery()
            self._outlet.send(left, delivery)
            await delivery.wait()
            left = delivery.failed
            if left:
                log.warning("Joined inferences wait for Kafka: %s", delivery.reason)
                await self._pause()
                if self._stopping.is_set():
                    return False
        return True

    async def _commit(self, consumer: Consumer) -> None:
        """Tell Kafka where to resume (step 4)."""
        changed = {
            number: state for number, state in self._partitions.items() if state.join.resume_at != state.committed
        }
        if not changed:
            return
        places = [
            TopicPartition(topics.CLOUDEVENT_HALVES, number, state.join.resume_at) for number, state in changed.items()
        ]
        # Waiting for the answer would take as long as a broker stands still, and nothing could end it.
        consumer.commit(offsets=places, asynchronous=True)
        for state in changed.values():
            state.committed = state.join.resume_at

    def _told(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """See whether Kafka has heard of 4; if not, it is told again. Runs inside `consume`, as `_revoked` does."""
        for place in places:
            failed = place.error if error is None else error
            if failed is not None and place.partition in self._partitions:
                log.warning("Where to resume is not known to Kafka: %s", failed.str())
                self._partitions[place.partition].committed = -1

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                await self._stopping.wait()

    def _revoked(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        """Forget partitions that another collector owns now. Runs inside `consume`, when nothing is under way."""
        for place in places:
            self._partitions.pop(place.partition, None)


def _configuration(settings: CollectorSettings) -> dict[str, str | int | float | bool]:
    return {
        "client.id": "inferwatch-collector",
        **settings.security,
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": GROUP,
        "session.timeout.ms": int(settings.session_seconds * 1000),
        "heartbeat.interval.ms": int(settings.session_seconds * 1000 / 3),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "partition.assignment.strategy": "cooperative-sticky",
        "queued.max.messages.kbytes": 16 << 10,
        "log.connection.close": False,
    }


def _name(pair: Pair) -> MetricName:
    if pair.request is None:
        return "inferwatch_collector_requests_missing_total"
    if pair.response is None:
        return "inferwatch_collector_responses_missing_total"
    return "inferwatch_collector_joined_total"


def _note(pair: Pair) -> Record:
    half = Half(kind="done", key=pair.key)
    return Record(topics.CLOUDEVENT_HALVES, encode(half), 1, pair.key.encode("utf-8", "replace"))
