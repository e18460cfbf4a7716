"""Whom or what an erasure is about."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Final, Literal

from storage.audit import subject_hash
from storage.erasure.errors import BadSubject

Kind = Literal["user", "conversation", "event"]

_SHORTEST: Final = 6
_LONGEST: Final = 512
_USER_HASH: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, a conversation or one event, by every id it has.

    Attributes:
        kind: which of the three.
        identity: the id as it was given; a user's plain id or the hash that stands for it.
        erasure_id: what stands for it in the audit log and in table `erasures`; a keyed hash.
        ids: values that columns hold: of a user the hash (and the plain id, where feedback names it).
        words: values that are looked for in the middle of texts, too.
    """

    kind: Kind
    identity: str = field(repr=False)
    erasure_id: str
    ids: tuple[str, ...] = field(repr=False)
    words: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, kind: Kind, identity: str, *, secret: str, user_hash: str, mentions: bool = False) -> Subject:
        """Return the subject of an erasure.

        Args:
            kind: which kind of id it is.
            identity: the id.
            secret: keys the hash that stands for it in the audit log.
            user_hash: for a user: the hash that stands for `identity` in rows.
            mentions: look for `identity` in texts also where it might be an ordinary word.

        Raises:
            BadSubject: not an id of that kind.
        """
        if not identity.strip() or len(identity) > _LONGEST or not identity.isprintable():
            raise BadSubject(kind, f"an id has 1 to {_LONGEST} printable characters")
        if kind == "event":
            identity = _event_id(identity)
        ids = [identity]
        if kind == "user" and user_hash != identity:
            ids.append(user_hash)
        words = tuple(value for value in ids if mentions or is_distinct(value))
        return cls(kind, identity, subject_hash(secret, kind, identity), tuple(ids), words)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Return a regular expression for each of `words`, for RE2 and for Python alike."""
        return tuple(map(pattern_of, self.words))

    @property
    def user_values(self) -> tuple[str, ...]:
        """Return what column `user` may hold: hashes alone, since no plain id is ever stored there."""
        return tuple(value for value in self.ids if _USER_HASH.fullmatch(value)) if self.kind == "user" else ()


def is_distinct(value: str) -> bool:
    """Whether a value is so unlike an ordinary word that wherever it stands, it is meant."""
    return bool(_USER_HASH.fullmatch(value)) or (len(value) >= _SHORTEST and not value.isalpha())


def pattern_of(word: str) -> str:
    """Return a regular expression for a word that is not part of a longer one.

    Texts are stored as JSON, where a line break is a backslash and a letter: that letter is not part of the word.
    Group 1 is what precedes it.
    """
    before = r"(\b|\\[nrtbf])" if _is_word(word[0]) else "()"
    after = r"\b" if _is_word(word[-1]) else ""
    return before + re.escape(word) + after


def _is_word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


def _event_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise BadSubject("event", "an event id is a UUID, such as 0192f0c1-2b3a-7c4d-8e5f-001122334455") from error
