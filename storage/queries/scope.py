"""What a question is about: a time range and filters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start` up to, not including, `end`; both aware of their zone.

    Raises:
        ValueError: a time without a zone, or an end that is not after the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("A time range needs times with a zone, such as datetime.now(UTC)")
        if self.end <= self.start:
            raise ValueError(f"A time range must end after it starts: {self.start} to {self.end}")

    @classmethod
    def last(cls, length: timedelta, now: datetime, step: timedelta = timedelta(minutes=1)) -> TimeRange:
        """Return the range from at least `length` before `now` to the end of the step that `now` lies in.

        It lies on whole steps, which makes a series add up to the totals of the same range.
        """
        return cls(floor(now - length, step), floor(now, step) + step)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return (self.end - self.start).total_seconds()

    def on_whole(self, step: timedelta) -> bool:
        """Tell whether start and end both lie on whole steps."""
        return floor(self.start, step) == self.start and floor(self.end, step) == self.end

    def widened(self, step: timedelta) -> TimeRange:
        """Return the whole steps that the range touches."""
        end = floor(self.end, step)
        return TimeRange(floor(self.start, step), end if end == self.end else end + step)

    def newest_first(self, first: timedelta, growth: int) -> Iterator[TimeRange]:
        """Return the range in pieces from its end to its start: the first so long, each next `growth` times longer."""
        end, length = self.end, first
        while end > self.start:
            start = max(self.start, end - length) if length < end - self.start else self.start
            yield TimeRange(start, end)
            end, length = start, length * growth

    def steps(self, step: timedelta) -> list[datetime]:
        """Return the start of every step that the range touches."""
        at = floor(self.start, step)
        found = []
        while at < self.end:
            found.append(at)
            at += step
        return found


@dataclass(frozen=True, slots=True)
class Filters:
    """What rows must have; None is no condition, an empty string means "without one".

    `pii_type` is one entity type that was found in the texts; `with_pii` asks for any. `text` is words that all stand
    in messages, tool calls and error messages, in any order and any case. A word of three letters or more may be part
    of a longer one, a shorter one and one beyond ASCII is whole; what is in double quotes must stand there as it is.
    """

    environment: str | None = None
    model: str | None = None
    team: str | None = None
    service: str | None = None
    model_version: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    source: str | None = None
    status: str | None = None
    user: str | None = None
    trace_id: str | None = None
    conversation_id: str | None = None
    pii_type: str | None = None
    with_pii: bool = False
    text: str | None = None


ANY: Final = Filters()
"""No condition at all."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the last whole step since 1970 that is not after `moment`, in UTC."""
    size = micros(step)
    return from_micros(to_micros(moment) // size * size)


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970, exactly."""
    return micros(moment - EPOCH)


def from_micros(value: int) -> datetime:
    """Return the moment in UTC."""
    return EPOCH + timedelta(microseconds=value)


def micros(length: timedelta) -> int:
    """Return whole microseconds."""
    return length // timedelta(microseconds=1)
