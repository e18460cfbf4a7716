"""Searching the files of the embedded engine, byte by byte.

Columns are compressed, so an absent text proves little; ids are random, which no compression changes, and stand there
as they are: as text, or as ClickHouse keeps a UUID, in two halves with their bytes reversed.
"""

from __future__ import annotations

import mmap
import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from storage.erasure.report import Found

MOST_EVENTS: Final = 32
"""Of more events than these, so many are searched for: each costs a pass over all files."""


def needles(words: Iterable[str], event_ids: Iterable[str]) -> tuple[bytes, ...]:
    """Return what to search files for: words as they are, events as text and as the random half of a stored UUID."""
    chosen = sorted(event_ids)[:MOST_EVENTS]
    halves = (uuid.UUID(event_id).bytes[8:][::-1] for event_id in chosen)
    return (*(word.encode() for word in words), *(event_id.encode() for event_id in chosen), *halves)


def search_files(
    folder: Path, wanted: tuple[bytes, ...], alive: Callable[[], None], passed_over: tuple[Path, ...] = ()
) -> Found:
    """Return how many files a folder has and in how many of them something wanted stands.

    Folders that are `passed_over` hold what is wanted, and are known to.
    """
    looked_at, hits = 0, []
    # Not `rglob`, which fails where a folder is merged away while it is read.
    names = [Path(at, name) for at, _, files in os.walk(folder) for name in files]
    for path in sorted(names):
        try:
            if not path.is_file() or any(path.is_relative_to(other) for other in passed_over):
                continue
            looked_at += 1
            if _holds(path, wanted):
                hits.append(path.relative_to(folder).as_posix())
        except FileNotFoundError:
            continue  # merged away meanwhile: what it held is in a file that is looked at, or was
        if looked_at % 1000 == 0:
            alive()
    return Found(f"files in {folder}", looked_at, "files", len(hits), ", ".join(hits[:5]))


def _holds(path: Path, wanted: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(one) >= 0 for one in wanted)
