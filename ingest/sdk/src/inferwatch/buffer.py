"""What waits between the caller's thread and the background one: bounded, oldest dropped first."""

from __future__ import annotations

import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from inferwatch.events import FeedbackEvent, InferenceEvent, Message
from inferwatch.tensors import TensorSample


class Pending(Protocol):
    """An inference of which no event is made yet."""

    @property
    def size(self) -> int:
        """Roughly how many bytes it holds."""
        ...

    def event(self) -> InferenceEvent:
        """Return the event."""
        ...


Mirrored: TypeAlias = InferenceEvent | FeedbackEvent | Pending
"""What an application mirrors."""

_FIXED_BYTES: Final = 512
# Tuples, made once: a union would be made anew for each value, in the caller's thread.
_TEXTS: Final = (str, bytes, bytearray)
_SEVERAL: Final = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class _Unmeasured:
    """Stands for an event that holds what cannot be measured: it is counted, and fails where an event is to be made."""

    error: Exception
    size: int = 0

    def event(self) -> InferenceEvent:
        """Raise what measuring raised."""
        raise self.error


def text_size(event: Mirrored) -> int:
    """Return roughly how many bytes an event holds; counts what grows: text, and what applications put beside it."""
    if isinstance(event, FeedbackEvent):
        return _FIXED_BYTES + sum(map(size_of, (event.comment, event.label, event.who)))
    if not isinstance(event, InferenceEvent):
        return _FIXED_BYTES + event.size
    size = _FIXED_BYTES
    for message in event.input_messages:
        size += _message_size(message)
    for message in event.output_messages:
        size += _message_size(message)
    for value in (event.parameters, event.attributes, event.error_message, event.embedding):
        if value:
            size += size_of(value)
    if event.input_tensors or event.output_tensors:
        size += size_of(event.input_tensors) + size_of(event.output_tensors)
    return size


def size_of(value: Any) -> int:
    """Return roughly how many bytes something holds that an application put into an event."""
    if isinstance(value, _TEXTS):
        return len(value)
    if isinstance(value, memoryview):
        return value.nbytes
    if isinstance(value, dict):
        return sum([64 + size_of(key) + size_of(item) for key, item in value.items()])
    if isinstance(value, _SEVERAL):
        return sum([16 + size_of(item) for item in value])
    if isinstance(value, Message):
        return _message_size(value)
    return value.size if isinstance(value, TensorSample) else sys.getsizeof(value)


def _message_size(message: Message) -> int:
    size = 0
    for part in message.parts:
        size += 64 + (len(part.content) if part.content else 0)
        if part.arguments is not None or part.response is not None:
            size += size_of(part.arguments) + size_of(part.response)
    return size


class EventBuffer:
    """A queue of events between threads that never blocks the one that puts.

    Holds at most `max_events` events of at most `max_bytes` of text. Beyond either the oldest are dropped and counted.
    `held_bytes` is roughly how many are held, `recorded` and `dropped` count events.
    Nobody is woken by an event: that costs the caller's thread more than all the rest. Whoever takes looks regularly.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._events: deque[tuple[Mirrored, int]] = deque()
        self.held_bytes = 0
        # Re-entrant: the garbage collector may run anywhere in here, and where it ends an abandoned generator that was
        # timing an inference, the same thread comes back to `put`.
        self._lock = threading.RLock()
        self.recorded = 0
        self.dropped = 0

    def put(self, event: Mirrored) -> None:
        """Add an event; drop from the other end whatever no longer fits."""
        try:
            size = text_size(event)
        except Exception as error:
            # Without its traceback, which holds on to the event.
            event, size = _Unmeasured(error.with_traceback(None)), _FIXED_BYTES
        with self._lock:
            self._events.append((event, size))
            self.held_bytes += size
            self.recorded += 1
            while len(self._events) > self._max_events or (self.held_bytes > self._max_bytes and len(self._events) > 1):
                _, gone = self._events.popleft()
                self.held_bytes -= gone
                self.dropped += 1

    def take(self, most: int) -> list[Mirrored]:
        """Remove and return up to `most` events, oldest first."""
        taken: list[Mirrored] = []
        with self._lock:
            while len(taken) < most and self._events:
                event, size = self._events.popleft()
                self.held_bytes -= size
                taken.append(event)
        return taken

    def __len__(self) -> int:
        return len(self._events)
