"""Whether there is room for a request: so many bytes in memory, so much a second from one key."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inferwatch.clock import Clock
from ingest.errors import TooMany, Unavailable

_BURST_SECONDS: Final = 2.0


class InFlight:
    """Counts the bytes that are held, of which there may be `most` at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def take(self, size: int) -> None:
        """Hold more bytes.

        Raises:
            Unavailable: there would be too many.
        """
        if self.held + size > self._most:
            raise Unavailable("too much is in flight", retry_after=1)
        self.held += size

    def give_back(self, size: int) -> None:
        """Hold fewer bytes."""
        self.held -= size

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Hold bytes until the block ends."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.give_back(hold.size)


class Hold:
    """The bytes of one request, more and more of them."""

    __slots__ = ("_in_flight", "size")

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self.size = 0

    def grow(self, size: int) -> None:
        """Hold more bytes. Raises `Unavailable` as `InFlight.take` does."""
        self._in_flight.take(size)
        self.size += size


class Bucket:
    """A token bucket: `per_second` on average, twice as many at once. What costs more waits for a full one."""

    __slots__ = ("_at", "_most", "_per_second", "_tokens")

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._most = self._tokens = per_second * _BURST_SECONDS
        self._at = now

    def wait(self, cost: float, now: float) -> float:
        """Return for how many seconds there is not enough; takes nothing."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, (min(cost, self._most) - self._tokens) / self._per_second)

    def take(self, cost: float) -> None:
        """Take tokens; those of a large request may be missing from later ones."""
        self._tokens -= cost


class Rates:
    """How much each key may send a second. A rate of 0 is no limit. Keys are known ones, so buckets are few."""

    def __init__(self, requests_per_second: int, bytes_per_second: int, clock: Clock) -> None:
        self._rates = {"requests": requests_per_second, "bytes": bytes_per_second}
        self._clock = clock
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def request(self, key_id: str) -> None:
        """Count a request. Raises `TooMany` where it is one too many."""
        self._count("requests", key_id, 1)

    def body(self, key_id: str, size: int) -> None:
        """Count the bytes of a body. Raises `TooMany` where they are too many."""
        self._count("bytes", key_id, size)

    def _count(self, what: str, key_id: str, cost: float) -> None:
        rate = self._rates[what]
        if not rate:
            return
        now = self._clock.elapsed()
        bucket = self._buckets.setdefault((what, key_id), Bucket(rate, now))
        wait = bucket.wait(cost, now)
        if wait > 0:
            raise TooMany(what, max(1, math.ceil(wait)))
        bucket.take(cost)
