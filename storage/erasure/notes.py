"""Table `erasures`: what an erasure under way is about. It survives a kill, and the next run goes on with it."""

from __future__ import annotations

import re
import secrets
import uuid
from pathlib import Path
from typing import Final

from storage.erasure.statements import Statements
from storage.erasure.subject import Subject
from storage.erasure.tables import NOTES

_ID: Final = re.compile(r"[a-z]+:[0-9a-f]{32}")
_NOBODY: Final = uuid.UUID(int=0)


class Notes:
    """The notes of one erasure, and the SQL by which mutations refer to them."""

    def __init__(self, statements: Statements, subject: Subject) -> None:
        # It becomes part of SQL: bound parameters do not reach a mutation that a server resumes.
        if not _ID.fullmatch(subject.erasure_id):
            raise ValueError(f"{subject.erasure_id!r} is not the id of an erasure")
        self._statements = statements
        self._subject = subject
        self._mine = f"FROM {NOTES} WHERE erasure_id = '{subject.erasure_id}'"

    def open(self) -> bool:
        """Write down ids, patterns and a key that replaces ids; return whether nothing was written down before.

        The notes of a run that was killed stay, and this one goes on with them.
        """
        subject = self._subject
        fresh = not self._statements.rows(f"SELECT 1 {self._mine} AND kind = 'key' LIMIT 1")
        kinds = ["id"] * len(subject.ids) + [f"pattern {number}" for number in range(len(subject.patterns))]
        texts = [*subject.ids, *subject.patterns]
        if fresh:
            kinds.append("key")
            texts.append(secrets.token_hex(32))
        self._statements.insert(
            NOTES,
            {
                "erasure_id": [subject.erasure_id] * len(kinds),
                "kind": kinds,
                "event_id": [_NOBODY] * len(kinds),
                "text": texts,
            },
        )
        return fresh

    def add_events(self, condition: str) -> int:
        """Note the events of table `inferences` that fit a condition; return how many notes there are now."""
        self._statements.command(
            f"INSERT INTO {NOTES} SELECT '{self._subject.erasure_id}', 'event', event_id, response_id"  # noqa: S608 - ours
            f" FROM inferences WHERE {condition} AND event_id NOT IN {self.events}"
        )
        return self.count()

    def add_event(self) -> int:
        """Note the event that the subject is, although there is no row of it; return how many notes there are now."""
        event_id = uuid.UUID(self._subject.identity)
        self._statements.insert(
            NOTES,
            {"erasure_id": [self._subject.erasure_id], "kind": ["event"], "event_id": [event_id], "text": [""]},
        )
        return self.count()

    def count(self) -> int:
        """Return how many events are noted."""
        return int(self._statements.rows(f"SELECT uniqExact(event_id) {self._mine} AND kind = 'event'")[0][0])

    def event_ids(self) -> set[str]:
        """Return the noted events."""
        rows = self._statements.rows(f"SELECT DISTINCT toString(event_id) {self._mine} AND kind = 'event'")
        return {str(row[0]) for row in rows}

    def response_ids(self) -> set[str]:
        """Return the ids of the noted events' responses."""
        rows = self._statements.rows(f"SELECT DISTINCT text {self._mine} AND kind = 'event' AND text != ''")
        return {str(row[0]) for row in rows}

    def close(self) -> None:
        """Forget everything; the key, too."""
        self._statements.command(f"ALTER TABLE {NOTES} DROP PARTITION '{self._subject.erasure_id}'")

    def folders(self) -> tuple[Path, ...]:
        """Return where on the server's disk notes are kept."""
        rows = self._statements.rows(
            f"SELECT data_paths FROM system.tables WHERE database = currentDatabase() AND name = '{NOTES}'"  # noqa: S608 - ours
        )
        return tuple(Path(path) for path in rows[0][0])

    @property
    def patterns(self) -> range:
        """Numbers of the patterns."""
        return range(len(self._subject.patterns))

    @property
    def events(self) -> str:
        """Return SQL: the set of noted events."""
        return f"(SELECT event_id {self._mine} AND kind = 'event')"

    @property
    def responses(self) -> str:
        """Return SQL: the set of the noted events' response ids."""
        return f"(SELECT text {self._mine} AND kind = 'event' AND text != '')"

    @property
    def ids(self) -> str:
        """Return SQL: the set of the subject's own ids."""
        return f"(SELECT text {self._mine} AND kind = 'id')"

    @property
    def ids_as_events(self) -> str:
        """Return SQL: the same set, where the subject is an event."""
        return f"(SELECT toUUIDOrZero(text) {self._mine} AND kind = 'id')"

    def pattern(self, number: int) -> str:
        """Return SQL: a constant, one pattern."""
        return f"assumeNotNull((SELECT min(text) {self._mine} AND kind = 'pattern {number}'))"

    def replacement(self, event_id: str) -> str:
        """Return SQL: what replaces an event id, the same wherever it stands. Without the key nobody can tell which."""
        key = f"assumeNotNull((SELECT min(text) {self._mine} AND kind = 'key'))"
        digest = f"toFixedString(substring(SHA256(concat({key}, toString({event_id}))), 1, 16), 16)"
        return f"toUUID(UUIDNumToString({digest}))"
