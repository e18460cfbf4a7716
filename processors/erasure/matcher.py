"""Does a record hold something of a subject? Also records that are not JSON: dead letters are kept because of that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from storage.erasure.subject import Subject, pattern_of

_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_VALUE: Final = rb'"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)'
_PEOPLE: Final = re.compile(rb'"(?:user|who)' + _VALUE)
_CONVERSATIONS: Final = re.compile(rb'"conversation_id' + _VALUE)
_RESPONSES: Final = re.compile(rb'"response_id' + _VALUE)


class RecordMatcher:
    """Knows a subject, its events and their responses. `hash_user` is how rows name a user."""

    def __init__(
        self, subject: Subject, event_ids: set[str], response_ids: set[str], hash_user: Callable[[str], str]
    ) -> None:
        self._subject = subject
        self._events = {event_id.encode() for event_id in event_ids}
        self._responses = response_ids
        self._hash_user = hash_user
        words = {word for given in subject.words for word in (given, json.dumps(given)[1:-1])}
        # As bytes of text the boundaries of words are those of ASCII, as in the store.
        self._words = [re.compile(pattern_of(word).encode()) for word in sorted(words)]

    def __call__(self, value: bytes) -> bool:
        """Tell whether a record's value holds something of the subject."""
        return (
            any(found.lower() in self._events for found in _UUID.findall(value))
            or any(word.search(value) for word in self._words)
            or self._names_subject(value)
            or any(_text(found) in self._responses for found in _RESPONSES.findall(value))
        )

    def _names_subject(self, value: bytes) -> bool:
        ids = self._subject.ids
        if self._subject.kind == "user":
            people = set(map(_text, _PEOPLE.findall(value)))
            return any(one in ids or self._hash_user(one) in ids for one in people if one)
        if self._subject.kind == "conversation":
            return any(_text(found) in ids for found in _CONVERSATIONS.findall(value))
        return False


def _text(token: bytes) -> str:
    """Return what a JSON token says; one that cannot be read as JSON stands for itself."""
    try:
        return str(json.loads(token))
    except ValueError:
        return token.decode("utf-8", "replace").strip('"')
