"""What waits between the caller's thread and the background one: bounded, oldest dropped first."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Final, TypeAlias

from inferwatch.events import FeedbackEvent, InferenceEvent

Mirrored: TypeAlias = InferenceEvent | FeedbackEvent
"""What an application mirrors."""

_FIXED_BYTES: Final = 512


def text_size(event: Mirrored) -> int:
    """Return roughly how many bytes an event holds; counts what grows: text, and what applications put beside it."""
    if isinstance(event, FeedbackEvent):
        return _FIXED_BYTES + len(event.comment or "")
    size = _FIXED_BYTES + _size(event.parameters) + _size(event.attributes) + len(event.error_message or "")
    for message in (*event.input_messages, *event.output_messages):
        for part in message.parts:
            size += len(part.content or "") + _size(part.arguments) + _size(part.response) + 64
    return size + 32 * len(event.embedding or ())


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(key) + _size(item) + 64 for key, item in value.items())
    if isinstance(value, list | tuple):
        return sum(_size(item) + 16 for item in value)
    return 32


class EventBuffer:
    """A queue of events between threads that never blocks the one that puts.

    Holds at most `max_events` events of at most `max_bytes` of text. Beyond either the oldest are dropped and counted.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._events: deque[tuple[Mirrored, int]] = deque()
        self._bytes = 0
        # Re-entrant, and no `threading.Event`, whose lock is not: the garbage collector may run anywhere in here, and
        # where it ends an abandoned generator that was timing an inference, the same thread comes back to `put`.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._filled = False
        self.recorded = 0
        self.dropped = 0

    def put(self, event: Mirrored) -> None:
        """Add an event; drop from the other end whatever no longer fits."""
        size = text_size(event)
        with self._lock:
            self._events.append((event, size))
            self._bytes += size
            self.recorded += 1
            while len(self._events) > self._max_events or (self._bytes > self._max_bytes and len(self._events) > 1):
                _, gone = self._events.popleft()
                self._bytes -= gone
                self.dropped += 1
            self.wake()

    def take(self, most: int) -> list[Mirrored]:
        """Remove and return up to `most` events, oldest first."""
        taken: list[Mirrored] = []
        with self._lock:
            while len(taken) < most and self._events:
                event, size = self._events.popleft()
                self._bytes -= size
                taken.append(event)
            if not self._events:
                self._filled = False
        return taken

    def wait(self, timeout: float) -> bool:
        """Wait until there is an event, at most `timeout` seconds; return whether there is."""
        with self._changed:
            if not self._filled:
                self._changed.wait(timeout)
            return self._filled

    def wake(self) -> None:
        """Let a waiting thread look around, although nothing may have come."""
        with self._changed:
            if not self._filled:
                self._filled = True
                self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._events)
