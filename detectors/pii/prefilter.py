"""Which recognisers are worth running on an event; most events need none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec

from detectors.pii.recogniser import Recogniser

LEAST_WRITTEN_NUMBER: Final = 10**11
"""JSON numbers from here on are looked at as if they were texts: a payment card's number has 12 digits."""


class Prefilter(Protocol):
    """Tells what may be found, sooner than finding it."""

    def suspects(self, blobs: Sequence[bytes]) -> list[int]:
        """For each JSON document, or nothing, a number whose bit n is set if recogniser n may find something in it.

        A bit is clear only if that recogniser would find nothing in any string, name of a member or long whole number
        of the document.
        """


MakePrefilter = Callable[[Sequence[Recogniser]], Prefilter]


def fastest_prefilter(recognisers: Sequence[Recogniser]) -> Prefilter:
    """Hyperscan's, or the plain one where Hyperscan is not installed or does not know the processor."""
    try:
        # There are platforms for which it is not published.
        from detectors.pii.hyperscan_prefilter import HyperscanPrefilter

        return HyperscanPrefilter(recognisers)
    except ImportError:
        return PlainPrefilter(recognisers)


class PlainPrefilter:
    """Asks every recogniser about every text."""

    def __init__(self, recognisers: Sequence[Recogniser]) -> None:
        self._recognisers = tuple(enumerate(recognisers))
        self._all = (1 << len(recognisers)) - 1

    def suspects(self, blobs: Sequence[bytes]) -> list[int]:
        """See `Prefilter`. What is not JSON is suspect altogether."""
        return list(map(self._suspects, blobs))

    def _suspects(self, blob: bytes) -> int:
        if not blob:
            return 0
        try:
            texts = list(texts_in(msgspec.json.decode(blob)))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return self._all
        return sum(1 << bit for bit, each in self._recognisers if any(map(each.possible, texts)))


def texts_in(value: Any) -> Iterator[str]:
    """Every string in decoded JSON, the names of members and long whole numbers among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, int | float) and abs(value) >= LEAST_WRITTEN_NUMBER and value == value // 1:
        yield str(int(value))
