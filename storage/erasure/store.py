"""The erasure of one subject from everything that the store and its exports hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from inferwatch.clock import Clock, SystemClock
from storage import audit
from storage.client import StoreSettings
from storage.erasure.disk import needles, search_files
from storage.erasure.exports import Exports
from storage.erasure.labels import erase_labels
from storage.erasure.notes import Notes
from storage.erasure.parts import delete_replaced_parts
from storage.erasure.report import Found, total
from storage.erasure.rewrite import erase_mentions, erase_references, erase_rows
from storage.erasure.search import search
from storage.erasure.statements import Statements
from storage.erasure.subject import Subject
from storage.erasure.tables import NOTES, tables

EXPORT: Final = "export"
"""Action of the audit log whose details name a file that was exported, as `path`."""


@dataclass(frozen=True, slots=True)
class ErasureSettings:
    """What is erased from, and how.

    Attributes:
        store: the database.
        exports: folders and files with datasets, beside those that the audit log names.
        store_path: the embedded engine's folder where it is on this machine; its files are searched, too.
        keep_parts_seconds: how long parts that were replaced stay on disk: long enough that the new ones are there
            also after a power failure.
        parts_seconds: longest wait for these parts to go.
    """

    store: StoreSettings
    exports: tuple[Path, ...] = ()
    store_path: Path | None = None
    keep_parts_seconds: int = 5
    parts_seconds: float = 600.0
    clock: Clock = field(default_factory=SystemClock)


class StoreErasure:
    """One run for one subject. Use it with `with`; every method blocks and can be repeated.

    All methods raise `StoreUnavailable`, `StoreRefused` and `ErasureError`s.
    """

    def __init__(self, settings: ErasureSettings, subject: Subject, alive: Callable[[], None]) -> None:
        self._settings = settings
        self._subject = subject
        self._alive = alive
        self._statements = Statements(settings.store)
        self._notes = Notes(self._statements, subject)

    def __enter__(self) -> StoreErasure:
        return self

    def __exit__(self, *_: object) -> None:
        self._statements.close()

    def open(self) -> bool:
        """Note the subject; return whether no earlier run for it was left unfinished. Comes first."""
        return self._notes.open()

    def note(self) -> int:
        """Note every event of the subject that is stored by now; return how many are noted."""
        match self._subject.kind:
            case "event":
                return self._notes.add_events(f"event_id IN {self._notes.ids_as_events}") or self._notes.add_event()
            case "user":
                return self._notes.add_events(f"user != '' AND user IN {self._notes.ids}")
            case "conversation":
                return self._notes.add_events(f"conversation_id != '' AND conversation_id IN {self._notes.ids}")

    def event_ids(self) -> set[str]:
        """Return the noted events."""
        return self._notes.event_ids()

    def response_ids(self) -> set[str]:
        """Return the ids of their responses."""
        return self._notes.response_ids()

    def newest_arrival(self) -> dt.datetime | None:
        """Return when the last of the noted events that are still whole arrived."""
        condition = f"event_id IN {self._notes.events}"
        count, newest = self._statements.rows(f"SELECT count(), max(ingested_at) FROM inferences WHERE {condition}")[0]  # noqa: S608 - ours
        return newest if count else None

    def erase(self) -> None:
        """Remove the noted events and every mention of the subject, the events' own rows last."""
        found = tables(self._statements)
        for table in found:
            self._statements.wait_for_mutations(table.name, self._alive)
        self._exports().erase()
        erase_references(self._statements, self._notes, self._alive)
        erase_mentions(self._statements, self._notes, found, self._alive)
        erase_rows(self._statements, self._notes, self._alive)
        erase_labels(self._settings.store, self._statements, self._notes, found, self._settings.clock, self._alive)
        # Once more: a dataset may have been made from rows as they were.
        self._exports().erase()

    def search(self) -> list[Found]:
        """Look for the subject in every table and export."""
        return [*search(self._statements, self._notes, tables(self._statements)), *self._exports().search()]

    def clean_disk(self) -> list[Found]:
        """Wait until what was replaced is off the disk; return what is left of it."""
        names = [*(table.name for table in tables(self._statements)), NOTES]
        keep, most = self._settings.keep_parts_seconds, self._settings.parts_seconds
        return [delete_replaced_parts(self._statements, names, keep, most, self._alive)]

    def forget(self) -> None:
        """Forget what was noted."""
        self._notes.close()

    def close(self) -> list[Found]:
        """Search the engine's files where they can be reached; where nothing is left, forget the notes. Comes last.

        While something is left, the notes are how the next run finds it.
        """
        wanted = needles(self._subject.words, self.event_ids())
        folder, most = self._settings.store_path, self._settings.parts_seconds
        on_disk = folder is not None and folder.is_dir()
        notes = self._notes.folders()
        places = [search_files(folder, wanted, self._alive, notes)] if folder is not None and on_disk else []
        if total(places):
            return places
        self.forget()
        left = delete_replaced_parts(self._statements, [NOTES], 0, most, self._alive)
        places += [left] if left.found else []
        places += [search_files(path, wanted, self._alive) for path in notes if on_disk]
        return places

    def record(self, actor: str, outcome: str, details: dict[str, object]) -> None:
        """Write a line into the audit log; never with an id in it."""
        audit.record(
            self._statements.client,
            actor=actor,
            action="erase",
            subject=self._subject.erasure_id,
            outcome=outcome,
            details=details,
        )

    def _exports(self) -> Exports:
        places = dict.fromkeys((*self._settings.exports, *self._recorded_exports()))
        return Exports(places, self.event_ids(), self._subject.patterns)

    def _recorded_exports(self) -> Iterable[Path]:
        inside = tuple(self._settings.exports)
        for entry in audit.entries(self._statements.client, actions=[EXPORT], most=1_000_000):
            path = Path(str(entry.details.get("path") or ""))
            if path.is_absolute() and not any(path.is_relative_to(folder.resolve()) for folder in inside):
                yield path
