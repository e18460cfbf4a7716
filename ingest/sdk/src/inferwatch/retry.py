"""What the answer to a request means for the record in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TRY_AGAIN: Final = (408, 425, 429, 500, 502, 503, 504)
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with its `Retry-After`, or status 0 and the name of the error that came instead."""

    status: int
    retry_after: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The record is acknowledged."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The record is refused for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """The record is refused because of one of its events."""


@dataclass(frozen=True, slots=True)
class Again:
    """The record may be sent again after so many seconds; `reason` is why it has to be."""

    after: float
    reason: str


def judge(answer: Answer, attempts: int, events: int) -> Delivered | Lost | Split | Again:
    """Return what to do with a record of `events` events that was sent `attempts` times before this."""
    if 200 <= answer.status < 300:
        return Delivered()
    if answer.status == 0 or answer.status in _TRY_AGAIN:
        reason = f"the collector answered {answer.status}" if answer.status else f"no collector: {answer.error}"
        return Again(_pause(answer.retry_after, attempts), reason)
    if answer.status in (413, 422) and events > 1:
        return Split()
    return Lost(f"the collector refused it with {answer.status}")


def _pause(retry_after: str | None, attempts: int) -> float:
    """Return seconds: those asked for, where they are a number (RFC 9110, section 10.2.3), else growing ones."""
    if retry_after and retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), 10 * _LONGEST_PAUSE)
    return float(min(_FIRST_PAUSE * 2.0 ** min(attempts, 10), _LONGEST_PAUSE))
