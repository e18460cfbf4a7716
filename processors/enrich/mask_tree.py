"""Masking one value at a time, whatever is nested in it: messages, tool calls, parameters, attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from detectors.pii.mask import mask
from detectors.protocols import PiiScanner
from inferwatch.events import Message, Part

Hits = Counter[tuple[str, str]]
"""How often each entity type was found in each place."""

_json: Final = msgspec.json.Encoder()
_SHORTEST_NUMBER: Final = 10**11
"""The shortest number that is told to be personal by itself, a payment card's, has 12 digits."""
_SHORT: Final = 24
"""Characters; texts of at most so many are remembered."""


class TreeMasker:
    """Masks every string, key and long number of a value with one scanner."""

    def __init__(self, scanner: PiiScanner) -> None:
        self._scanner = scanner
        # Roles, kinds of parts, names of tools and of arguments: short, and the same ones again and again.
        self._scan_short = lru_cache(maxsize=8_192)(scanner.scan)

    def messages(self, given: tuple[Message, ...], hints: int, place: str, hits: Hits, most: int) -> bytes:
        """Return messages as JSON, masked, and then each text cut to `most` characters: half of a value is not known.

        Raises:
            RecursionError: a tool call is nested too deeply.
        """

        def text(value: str | None) -> str | None:
            return None if value is None else self.text(value, hints, place, hits)

        def tree(value: Any) -> Any:
            masked = None if value is None else self.value(value, hints, place, hits)
            return masked[:most] if isinstance(masked, str) else masked

        masked = [
            Message(
                role=self.text(message.role, hints, place, hits),
                parts=tuple(
                    [
                        Part(
                            type=self.text(part.type, hints, place, hits),
                            content=part.content and self.text(part.content, hints, place, hits)[:most],
                            id=text(part.id),
                            name=text(part.name),
                            arguments=tree(part.arguments),
                            response=tree(part.response),
                        )
                        for part in message.parts
                    ]
                ),
                finish_reason=text(message.finish_reason),
            )
            for message in given
        ]
        return _json.encode(masked)

    def text(self, value: str, hints: int, place: str, hits: Hits) -> str:
        """Return a text masked, and count what was found."""
        spans = self._scan_short(value) if len(value) <= _SHORT else self._scanner.scan_with(value, hints)
        if not spans:
            return value
        hits.update([(span.entity_type, place) for span in spans])
        return mask(value, spans)

    def value(self, value: Any, hints: int, place: str, hits: Hits) -> Any:
        """Return anything that JSON can hold, masked."""

        def text(value: str) -> str:
            return self.text(value, hints, place, hits)

        return _walk(value, text, lambda number: self.number(number, place, hits))

    def number(self, number: int | float, place: str, hits: Hits) -> Any:
        """Return a number, or what it is where it is personal by itself."""
        # An encoder may write an integer as a float, `4111111111111111.0`.
        if abs(number) < _SHORTEST_NUMBER or not (isinstance(number, int) or number.is_integer()):
            return number
        written = str(int(number))
        spans = self._scanner.scan(written)
        hits.update([(span.entity_type, place) for span in spans])
        return mask(written, spans) if spans else number


def _walk(value: Any, text: Callable[[str], str], number: Callable[[int | float], Any]) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {text(str(key)): _walk(item, text, number) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, text, number) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return number(value)
    # Whatever else a decoder may come to return must not pass unseen.
    return text(str(value))
