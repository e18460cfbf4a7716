"""Datasets that were exported to files: JSON lines, each with the `event_id` that it came from.

A file is rewritten beside itself and renamed over, so that a trainer that reads it sees the old one or the new one.
Whoever writes datasets writes to `*.unfinished` and renames that; while texts of rows are in such a writer's memory,
its file is there. Removed, its renaming fails, and it begins again from rows that are erased by then.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from storage.erasure.errors import FileNotErased
from storage.erasure.report import Found
from storage.erasure.rewrite import ERASED

UNFINISHED: Final = ".unfinished"
_REWRITTEN: Final = ".erasing"
_LINES: Final = frozenset({".jsonl", ".ndjson"})
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


class Exports:
    """The files in some folders, and files by themselves."""

    def __init__(self, places: Iterable[Path], event_ids: set[str], patterns: Iterable[str]) -> None:
        """Look for rows of events, and for text that a pattern fits."""
        self._places = tuple(places)
        self._ids = {event_id.encode() for event_id in event_ids}
        self._patterns = [re.compile(pattern.encode()) for pattern in patterns]

    def erase(self) -> None:
        """Remove the events' rows and what names the subject. Other formats than JSON lines are left as they are.

        Raises:
            FileNotErased: a file cannot be read or written.
        """
        # In this order: what is renamed before it can be removed is found among the finished files.
        for path in self._files(UNFINISHED, _REWRITTEN):
            path.unlink(missing_ok=True)
        for path in self._files():
            try:
                if path.suffix in _LINES and self._rows_in(path):
                    self._rewrite(path)
            except OSError as error:
                raise FileNotErased(str(path), error.strerror or type(error).__name__) from error

    def search(self) -> list[Found]:
        """Return, for each folder or file, how many files were read and in how many lines the subject stands."""
        found = []
        for place in self._places:
            counts = {path: self._rows_in(path) for path in _files_in(place)}
            note = ", ".join(path.name for path, count in counts.items() if count)
            if not place.exists():
                note = "not on this machine, or gone"
            found.append(Found(f"exports in {place}", len(counts), "files", sum(counts.values()), note))
        return found

    def _files(self, *suffixes: str) -> Iterator[Path]:
        for place in self._places:
            yield from (path for path in _files_in(place) if not suffixes or path.suffix in suffixes)

    def _rows_in(self, path: Path) -> int:
        try:
            with path.open("rb") as file:
                return sum(1 for line in file if self._is_of_subject(line) or self._names(line))
        except FileNotFoundError:
            return 0

    def _is_of_subject(self, line: bytes) -> bool:
        return any(found.lower() in self._ids for found in _UUID.findall(line))

    def _names(self, line: bytes) -> bool:
        return any(pattern.search(line) for pattern in self._patterns)

    def _rewrite(self, path: Path) -> None:
        beside = path.with_name(path.name + _REWRITTEN)
        with path.open("rb") as old, beside.open("wb") as new:
            shutil.copymode(path, beside)
            for line in old:
                if self._is_of_subject(line):
                    continue
                for pattern in self._patterns:
                    line = pattern.sub(rb"\1" + ERASED.encode(), line)
                new.write(line)
            new.flush()
            os.fsync(new.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _files_in(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*") if path.is_file())
