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
    """The last `most` requests that can be recognised. Belongs to the event loop.

    Of requests of which Kafka took some records and not others, which keep those, only the last few are remembered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._outcomes: OrderedDict[tuple[str, str, str], tuple[str, Outcome]] = OrderedDict()
        self._halved: OrderedDict[Repeat, None] = OrderedDict()

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
        """Remember a request; the oldest is forgotten where there are too many."""
        self._outcomes[repeat.key] = (repeat.digest, outcome)
        if len(self._outcomes) > self._most:
            self._outcomes.popitem(last=False)

    def keep_halved(self, repeat: Repeat) -> None:
        """Say that a request keeps records that failed; the oldest such one is forgotten where there are too many."""
        self._halved[repeat] = None
        self._halved.move_to_end(repeat)
        if len(self._halved) > _MOST_HALVED:
            self.forget(next(iter(self._halved)))

    def forget(self, repeat: Repeat) -> None:
        """Forget a request: when it comes again it is a new one."""
        self._outcomes.pop(repeat.key, None)
        self._halved.pop(repeat, None)

    def __len__(self) -> int:
        return len(self._outcomes)
