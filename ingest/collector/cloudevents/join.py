"""Which halves belong together: a pure state machine over one partition of the topic of halves."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ingest.collector.cloudevents.half import Half

_DONE_FACTOR: Final = 10
_MOST_DONE: Final = 100_000


@dataclass(slots=True)
class Pair:
    """Two halves of an inference, or the one that came; `arrived` is when the first did, `offset` where it stands."""

    key: str
    arrived: float
    offset: int
    request: Half | None = None
    response: Half | None = None

    @property
    def complete(self) -> bool:
        """Whether both are here."""
        return self.request is not None and self.response is not None

    @property
    def size(self) -> int:
        """Roughly how many bytes it takes in memory."""
        return sum(half.size for half in (self.request, self.response) if half is not None)


class Join:
    """Takes the records of one partition in their order and says which inferences are due.

    An inference is due when both halves are here, or when one has waited for `join_seconds`. Nothing is due before the
    record at `replayed_to` - 1 has been seen: until then records are read again that an earlier owner of the partition
    may have joined, as the notes behind them say. `hurry` takes one out before that; `size` is roughly how many bytes
    what waits takes in memory.
    """

    def __init__(self, join_seconds: float, replayed_to: int = 0) -> None:
        self._join_seconds = join_seconds
        self._replayed_to = replayed_to
        self._next = 0
        self._waiting: OrderedDict[str, Pair] = OrderedDict()
        self._done: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._now = 0.0
        self.size = 0
        self._late = 0
        self._hurried = 0

    def take(self, half: Half, offset: int, arrived: float) -> None:
        """Take the next record: a half, or the note that an inference was written."""
        self._next = offset + 1
        if half.kind == "done":
            pair = self._forget(half.key)
            self._remember(half.key, arrived, offset if pair is None else pair.offset)
            return
        pair = self._waiting.get(half.key)
        if half.key in self._done or (pair is not None and getattr(pair, half.kind) is not None):
            self._late += 1
            return
        if pair is None:
            pair = self._waiting[half.key] = Pair(half.key, arrived, offset)
        setattr(pair, half.kind, half)
        self.size += half.size

    def skip(self, offset: int) -> None:
        """Pass the next record by, because nobody can read it."""
        self._next = offset + 1

    def due(self, now: float) -> list[Pair]:
        """Return what is due and forget it; whoever asks writes it, and notes that in the topic."""
        self._now = now
        found = []
        if self._next >= self._replayed_to:
            found = [pair for pair in self._waiting.values() if pair.complete or self._has_waited(pair, now)]
        for pair in found:
            self._forget(pair.key)
            self._remember(pair.key, now, pair.offset)
        return found

    def hurry(self, now: float) -> Pair:
        """Return the oldest that waits and forget it, as if it were due. There must be one."""
        pair = next(iter(self._waiting.values()))
        self._hurried += not pair.complete
        self._forget(pair.key)
        self._remember(pair.key, now, pair.offset)
        return pair

    @property
    def oldest(self) -> float:
        """When the oldest came that waits; infinity where none does."""
        return next((pair.arrived for pair in self._waiting.values()), math.inf)

    @property
    def resume_at(self) -> int:
        """The offset from which another owner has to read to know what waits, and what was written a short while ago.

        Without the latter, a half that is sent again would be taken for a new one after a change of owners.
        """
        waiting = (pair.offset for pair in self._waiting.values())
        written = (offset for at, offset in self._done.values() if self._now - at < self._join_seconds)
        return min((*waiting, *written), default=self._next)

    @property
    def waiting(self) -> int:
        """How many inferences wait for a half."""
        return len(self._waiting)

    def take_late(self) -> int:
        """Return how many halves were left out since this was asked last: they came twice, or after their inference."""
        late, self._late = self._late, 0
        return late

    def take_hurried(self) -> int:
        """Return how many halves did not wait to the end since this was asked last, but were hurried."""
        hurried, self._hurried = self._hurried, 0
        return hurried

    def _has_waited(self, pair: Pair, now: float) -> bool:
        return now - pair.arrived >= self._join_seconds

    def _forget(self, key: str) -> Pair | None:
        pair = self._waiting.pop(key, None)
        if pair is not None:
            self.size -= pair.size
        return pair

    def _remember(self, key: str, at: float, offset: int) -> None:
        """Remember for a while what was written: a half that comes later adds nothing."""
        self._done.setdefault(key, (at, offset))
        long_ago = at - _DONE_FACTOR * self._join_seconds
        # A note that is read long after its inference was written may leave nothing to remember.
        while self._done and (len(self._done) > _MOST_DONE or next(iter(self._done.values()))[0] < long_ago):
            self._done.popitem(last=False)


def hurried(joins: Collection[Join], most_bytes: int, now: float) -> list[Pair]:
    """Return the oldest of all partitions, until what waits in them takes no more than `most_bytes` in memory."""
    found = []
    while sum(join.size for join in joins) > most_bytes:
        found.append(min(joins, key=lambda join: join.oldest).hurry(now))
    return found
