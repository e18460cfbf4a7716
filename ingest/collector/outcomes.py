"""What became of requests, so that one that comes again is not stored again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from ingest.collector.outlet import Delivery
from ingest.errors import KeyReused

_MOST_HALVED: Final = 8


@dataclass(frozen=True, slots=True)
class Repeat:
    """How a request is recognised when it comes again.

    `key` is whose it is, its path, and its Idempotency-Key or, where its events have ids of their own, the SHA-256 of
    its body; `digest` is the SHA-256 of the body.
    """

    key: tuple[str, str, str]
    digest: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of a request, and what became of its records."""

    answer: bytes
    delivery: Delivery


class Outcomes:
    """The last requests that can be recognised: at most `most`. Belongs to the event loop.

    Their answers have at most `most_bytes` together; the last request is remembered however large its answer is.
    Of requests of which Kafka took some records and not others, which keep those, only the last few are remembered.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._outcomes: OrderedDict[tuple[str, str, str], tuple[str, Outcome]] = OrderedDict()
        self._halved: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def find(self, repeat: Repeat) -> Outcome | None:
        """Return the outcome of a request that came before, None where it did not.

        Raises:
            KeyReused: its key came before, with another body.
        """
        known = self._outcomes.get(repeat.key)
        if known is None:
            return None
        digest, outcome = known
        if digest != repeat.digest:
            raise KeyReused
        self._outcomes.move_to_end(repeat.key)
        return outcome

    def remember(self, repeat: Repeat, outcome: Outcome) -> None:
        """Remember a request that is not known; the oldest are forgotten where there is too much."""
        self._outcomes[repeat.key] = (repeat.digest, outcome)
        self._bytes += len(outcome.answer)
        while len(self._outcomes) > self._most or (self._bytes > self._most_bytes and len(self._outcomes) > 1):
            self._forget(next(iter(self._outcomes)))

    def keep_halved(self, repeat: Repeat) -> None:
        """Say that a request keeps records that failed; the oldest such one is forgotten where there are too many."""
        self._halved[repeat.key] = None
        self._halved.move_to_end(repeat.key)
        if len(self._halved) > _MOST_HALVED:
            self._forget(next(iter(self._halved)))

    def no_longer_halved(self, repeat: Repeat) -> None:
        """Say that all of a request is stored; it is remembered like any other."""
        self._halved.pop(repeat.key, None)

    def forget(self, repeat: Repeat) -> None:
        """Forget a request: when it comes again it is a new one."""
        self._forget(repeat.key)

    def _forget(self, key: tuple[str, str, str]) -> None:
        self._halved.pop(key, None)
        known = self._outcomes.pop(key, None)
        if known is not None:
            self._bytes -= len(known[1].answer)

    def __len__(self) -> int:
        return len(self._outcomes)
