"""One erasure, from the first look to the proof.

1. Write into the audit log that it begins.
2. Wait until the workers have processed what is in Kafka now, in the order in which it travels: what arrived before the
   command is erased, in whatever state it was.
3. Note the events that are stored, look everywhere, and say what was found.
4. Remove records from topics, texts and ids from the store, rows from exports.
5. Note again: what arrived meanwhile is erased in another round.
6. Wait until the replaced parts are off the disk, search everywhere again, forget the notes.
7. Write the outcome into the audit log.

Killed anywhere, it can be run again; see `storage.erasure` for what makes that safe.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from inferwatch import topics
from inferwatch.clock import Clock, SystemClock
from processors.enrich.mask import keyed_hash
from processors.erasure.letters import remove_letters
from processors.erasure.matcher import RecordMatcher
from processors.erasure.progress import ends_of, wait_until_processed
from processors.erasure.report import ErasureReport, many
from processors.erasure.topic import Scan, remove_before, scan
from processors.settings import KafkaSettings
from storage.client import StoreSettings
from storage.erasure import Found, Kind, StoreErasure, Subject
from storage.erasure.report import total
from storage.erasure.store import ErasureSettings
from storage.errors import StorageError

_TRAVELS: Final = (
    (topics.INFERENCES, topics.FEEDBACK, topics.TELEMETRY),
    (topics.MEASUREMENTS, topics.EMBEDDINGS),
    (topics.DETECTIONS,),
)
"""Topics in the order in which one leads to the next."""

_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class EraseSettings:
    """What is erased from, and how long it may wait.

    Attributes:
        user_hash_secret: the one that the workers hash users with.
        exports: folders with datasets.
        store_path: the embedded engine's folder, where it is on this machine.
        wait_seconds: longest that workers may take to process what is in Kafka.
        settle_seconds: an inference that arrived less long ago may still be on its way to its embedding.
        keep_parts_seconds: see `storage.erasure.store.ErasureSettings`.
    """

    kafka: KafkaSettings
    store: StoreSettings
    user_hash_secret: str = field(repr=False)
    exports: tuple[Path, ...] = ()
    store_path: Path | None = None
    wait_seconds: float = 60.0
    settle_seconds: float = 20.0
    keep_parts_seconds: int = 5


class Erasure:
    """One run for one subject."""

    def __init__(
        self, settings: EraseSettings, kind: Kind, identity: str, *, mentions: bool = False, clock: Clock | None = None
    ) -> None:
        """Take what is to be erased; nothing is asked of store or Kafka yet.

        Args:
            settings: where and how.
            kind: user, conversation or event.
            identity: its id; a user's plain id, or the hash that rows have.
            mentions: look for the id in texts although it might be an ordinary word.
            clock: for tests.

        Raises:
            BadSubject: not an id of that kind.
        """
        self._settings = settings
        self._clock = clock or SystemClock()
        self.subject = Subject.of(
            kind, identity, secret=settings.user_hash_secret, user_hash=self._hash(identity), mentions=mentions
        )

    def run(self, actor: str, say: Callable[[str], None], *, dry_run: bool = False) -> ErasureReport:
        """Erase, or with `dry_run` only look; return what was found and what is left. It can be repeated.

        Raises:
            NotYetProcessed: workers are behind, or do not run. Nothing was changed.
            TopicUnreadable, TopicNotErased: Kafka is away, or refuses.
            StoreUnavailable, StoreRefused, ErasureError: as `StoreErasure`.
        """
        began = self._clock.elapsed()
        settings = ErasureSettings(
            self._settings.store,
            self._settings.exports,
            self._settings.store_path,
            self._settings.keep_parts_seconds,
            clock=self._clock,
        )
        with StoreErasure(settings, self.subject, lambda: None) as store:
            after: list[Found] = []
            if dry_run:
                events, before = self._look(store, say)
            else:
                store.record(actor, "started", {})
                try:
                    events, before, after = self._erase(store, say)
                except BaseException as error:
                    with contextlib.suppress(StorageError):
                        store.record(actor, "failed", {"error": type(error).__name__})
                    raise
                outcome = "remains" if total(after) else "done"
                store.record(actor, outcome, {"events": events, "found": _counts(before), "left": _counts(after)})
        seconds = self._clock.elapsed() - began
        return ErasureReport(self.subject.erasure_id, dry_run, events, tuple(before), tuple(after), seconds)

    def _look(self, store: StoreErasure, say: Callable[[str], None]) -> tuple[int, list[Found]]:
        fresh = store.open()
        events = store.note()
        say(f"{many(events, 'inference')}; looking everywhere")
        found = [*store.search(), *(one.as_found() for one in self._scan(store))]
        if fresh:
            store.forget()
        return events, found

    def _erase(self, store: StoreErasure, say: Callable[[str], None]) -> tuple[int, list[Found], list[Found]]:
        say("waiting until the workers have processed what is in Kafka")
        self._wait(store)
        store.open()
        events = store.note()
        say(f"{many(events, 'inference')}; looking everywhere")
        scans = self._scan(store)
        before = [*store.search(), *(one.as_found() for one in scans)]
        for _ in range(_ROUNDS):
            say("erasing")
            self._remove(store, scans)
            store.erase()
            noted = store.note()
            if noted == events:
                break
            say(f"{noted - events} more inferences arrived meanwhile")
            events = noted
            self._wait(store)
            scans = self._scan(store)
        say("waiting until replaced parts are off the disk")
        parts = store.clean_disk()
        say("searching everywhere again")
        after = [*store.search(), *parts, *(one.as_found() for one in self._scan(store))]
        if not total(after):
            after += store.close()
        return events, before, after

    def _wait(self, store: StoreErasure) -> None:
        for place, names in enumerate(_TRAVELS):
            ends = ends_of(self._settings.kafka, names)
            wait_until_processed(self._settings.kafka, ends, self._settings.wait_seconds, lambda: None)
            if place == 0:
                store.open()
                store.note()
                newest = store.newest_arrival()
                age = self._clock.now() - newest.timestamp() if newest else self._settings.settle_seconds
                time.sleep(max(0.0, self._settings.settle_seconds - age))

    def _scan(self, store: StoreErasure) -> list[Scan]:
        matches = self._matcher(store)
        return [scan(self._settings.kafka, topic, matches, lambda: None) for topic in topics.ALL]

    def _remove(self, store: StoreErasure, scans: Sequence[Scan]) -> None:
        kafka = self._settings.kafka
        ends = {one.topic: one.behind for one in scans if one.behind}
        wait_until_processed(kafka, ends, self._settings.wait_seconds, lambda: None)
        for one in scans:
            if one.topic == topics.DEAD_LETTERS:
                remove_letters(kafka, one, self._matcher(store), lambda: None)
            else:
                remove_before(kafka, one.topic, one.behind)

    def _matcher(self, store: StoreErasure) -> RecordMatcher:
        return RecordMatcher(self.subject, store.event_ids(), store.response_ids(), self._hash)

    def _hash(self, user: str) -> str:
        return keyed_hash(user, self._settings.user_hash_secret.encode())


def _counts(places: Sequence[Found]) -> dict[str, int]:
    return {place.place: place.found for place in places if place.found}
