"""State of a processor by partition: loaded when a partition comes, saved with its offsets, forgotten when it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from inferwatch.clock import Clock
from processors.retry import until_it_works
from processors.step import Record
from storage.errors import StoreUnavailable
from storage.state import SavedState, StateStore


class Snapshotting(Protocol):
    """State that is plain JSON outside."""

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state."""
        ...


S = TypeVar("S", bound=Snapshotting)


class PartitionStates(Generic[S]):
    """The states of one component.

    Records at or below the offset that a state was saved with were processed by it: `unprocessed` drops them. Offsets
    belong to topics by their ids (`topic_ids`): one that was made again begins afresh. States are saved about every
    `seconds`, all together; until then records stay unacknowledged and would come again.
    """

    def __init__(
        self,
        component: str,
        store: StateStore,
        clock: Clock,
        seconds: float,
        topic_ids: Mapping[str, str],
        new: Callable[[], S],
        restored: Callable[[dict[str, Any]], S],
    ) -> None:
        self._component = component
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._topic_ids = topic_ids
        self._new = new
        self._restored = restored
        self._states: dict[int, S] = {}
        self._offsets: dict[int, dict[str, int]] = {}
        self._changed: set[int] = set()
        self._saved_at = clock.elapsed()

    async def unprocessed(self, records: Sequence[Record]) -> Iterator[tuple[S, Record]]:
        """Return records not processed yet, each with the state of its partition.

        A record counts as processed once the next one is asked for: the one at which a loop is left does not, nor do
        those behind it.
        """
        for record in records:
            if record.partition not in self._states:
                await self._load(record.partition)
        return self._counted(records)

    def _counted(self, records: Sequence[Record]) -> Iterator[tuple[S, Record]]:
        for record in records:
            offsets = self._offsets[record.partition]
            topic = f"{record.topic}/{self._topic_ids[record.topic]}"
            if record.offset > offsets.get(topic, -1):
                self._changed.add(record.partition)
                yield self._states[record.partition], record
                offsets[topic] = record.offset

    def all(self) -> list[S]:
        """Return every state held now."""
        return list(self._states.values())

    def mark_all_changed(self) -> None:
        """Say that states changed without a record, by time alone."""
        self._changed.update(self._states)

    async def saved(self, *, now: bool = False) -> bool:
        """Save what changed, where it is time or `now`; return whether nothing is left unsaved.

        A store that is away is no reason to stop: watching goes on, and what is not saved stays unacknowledged.
        """
        if not self._changed:
            return True
        if not now and self._clock.elapsed() - self._saved_at < self._seconds:
            return False
        self._saved_at = self._clock.elapsed()
        for partition in sorted(self._changed):
            state = SavedState(dict(self._offsets[partition]), self._states[partition].snapshot())
            try:
                await asyncio.to_thread(self._store.save, self._component, partition, state)
            except StoreUnavailable:
                return False
            self._changed.discard(partition)
        return True

    def forget(self) -> None:
        """Forget all states: someone else may own the partitions next."""
        self._states.clear()
        self._offsets.clear()
        self._changed.clear()

    async def _load(self, partition: int) -> None:
        saved = await until_it_works(
            f"Loading the state of {self._component}",
            lambda: asyncio.to_thread(self._store.load, self._component, partition),
        )
        self._states[partition] = self._new() if saved is None else self._restored(saved.snapshot)
        self._offsets[partition] = {} if saved is None else dict(saved.offsets)
