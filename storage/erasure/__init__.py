"""Removing a person, a conversation or one event from everything that is stored, and showing that it is gone.

The order matters, because rows are how everything else is found:

1. Note the ids of the events in table `erasures`; mutations refer to that table and never hold a value themselves.
2. Files, then whatever refers to events (feedback, embeddings, detections), texts that mention the person, labels of
   rollups, and the events' own rows last.
3. Wait until the parts that these statements replaced are deleted from disk.
4. Search every table, and the files of the embedded engine where they can be reached.
5. Drop the notes.

Killed anywhere, the next run for the same subject finds the notes of the first and goes on.
"""

from __future__ import annotations

from storage.erasure.report import Found
from storage.erasure.store import StoreErasure
from storage.erasure.subject import Kind, Subject

__all__ = ["Found", "Kind", "StoreErasure", "Subject"]
