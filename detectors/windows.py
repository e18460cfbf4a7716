"""Sliding windows over event time, for alert rules: count, sum, mean, errors and quantiles of the last so many seconds.

Time is cut into steps. The window at `now` holds the step that `now` is in and the whole steps before it, together
`span_seconds`: it slides by a step at a time and counts every event at the time it happened, in whatever order events
come. With ``step_seconds == span_seconds`` it tumbles.

* Late events count where they belong as long as they are not older than `late_seconds` before the newest step seen.
  Older ones are dropped and counted in `dropped_late`.
* Events from the future would push everything else out. Where `add` is told `now`, those more than `early_seconds`
  ahead of it are dropped and counted in `dropped_early`.
* A question about an earlier `now` is answered in full for up to `late_seconds` before the newest step.

Memory is at most (span + late + early) / step + 3 steps, each of at most 2 · 2,048 counts, whatever comes in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, cast

from detectors.errors import BadInput, BadSetting
from detectors.protocols import JSON, Snapshot
from detectors.sketch import Sketch
from detectors.state import Reader, header

NAME = "sliding-window"
VERSION = 1


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Shape of a window.

    Attributes:
        span_seconds: how far it reaches back; a whole number of steps.
        step_seconds: how finely it slides.
        late_seconds: how late an event may come and still be counted.
        early_seconds: how far ahead of the clock an event's time may be.
    """

    span_seconds: float
    step_seconds: float
    late_seconds: float = 300.0
    early_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Raise `BadSetting` for values that cannot work."""
        if not (math.isfinite(self.step_seconds) and self.step_seconds > 0.0):
            raise BadSetting("step_seconds", self.step_seconds, "above 0")
        steps = self.span_seconds / self.step_seconds
        if not math.isfinite(steps) or steps < 1.0 or abs(steps - round(steps)) > 1e-9 * steps:
            raise BadSetting("span_seconds", self.span_seconds, f"a whole number of steps of {self.step_seconds}")
        for name in ("late_seconds", "early_seconds"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise BadSetting(name, getattr(self, name), "at least 0")


class _Step:
    """What happened in one step of time."""

    __slots__ = ("count", "errors", "sketch", "total")

    def __init__(self) -> None:
        self.count = self.errors = 0
        self.total = 0.0
        self.sketch = Sketch()


class SlidingWindow:
    """One window over one key's events; see the module for what it counts.

    >>> window = SlidingWindow(60.0, 10.0)
    >>> for at in (100.0, 110.0, 155.0):
    ...     window.add(at, 2.0)
    >>> window.count(now=155.0), window.count(now=165.0), window.sum(now=169.0)
    (3, 2, 4.0)
    """

    def __init__(
        self, span_seconds: float, step_seconds: float, late_seconds: float = 300.0, early_seconds: float = 60.0
    ) -> None:
        """Start empty. Raises `BadSetting`."""
        self.settings = WindowSettings(span_seconds, step_seconds, late_seconds, early_seconds)
        self._span = round(span_seconds / step_seconds)
        self._kept = self._span + math.ceil(late_seconds / step_seconds)
        self._steps: dict[int, _Step] = {}
        self._newest: int | None = None
        self.dropped_late = 0
        self.dropped_early = 0

    def add(self, at: float, value: float, *, error: bool = False, now: float | None = None) -> bool:
        """Count a value that happened `at`; whether it was counted. Raises `BadInput` if a number is not finite.

        `now` is the caller's clock. Without it `at` is trusted, and one event from the far future empties the window.
        """
        if not (math.isfinite(at) and math.isfinite(value)):
            raise BadInput(f"at={at!r}, value={value!r}", "window", "must be finite; leave such events out")
        if now is not None and at > now + self.settings.early_seconds:
            self.dropped_early += 1
            return False
        index = self._index(at)
        if self._newest is None or index > self._newest:
            self._advance(index)
        elif index <= self._newest - self._kept:
            self.dropped_late += 1
            return False
        step = self._steps.get(index)
        if step is None:
            step = self._steps[index] = _Step()
        step.count += 1
        step.total += value
        step.errors += error
        step.sketch.add(value)
        return True

    def count(self, now: float) -> int:
        """Events in the window."""
        return sum(step.count for step in self._in_window(now))

    def sum(self, now: float) -> float:
        """Sum of their values."""
        return math.fsum(step.total for step in self._in_window(now))

    def errors(self, now: float) -> int:
        """How many of them were errors."""
        return sum(step.errors for step in self._in_window(now))

    def mean(self, now: float) -> float | None:
        """Mean of their values; None when there are none."""
        count = self.count(now)
        return self.sum(now) / count if count else None

    def quantile(self, now: float, q: float) -> float | None:
        """A quantile of their values, within 1 % of the value (see `detectors.sketch`); None when there are none."""
        merged = Sketch()
        for step in self._in_window(now):
            merged.merge(step.sketch)
        return merged.quantile(q)

    def _index(self, at: float) -> int:
        return math.floor(at / self.settings.step_seconds)

    def _advance(self, newest: int) -> None:
        self._newest = newest
        for index in [index for index in self._steps if index <= newest - self._kept]:
            del self._steps[index]

    def _in_window(self, now: float) -> Iterator[_Step]:
        last = self._index(now)
        if len(self._steps) < self._span:
            return (step for index, step in self._steps.items() if last - self._span < index <= last)
        return (self._steps[index] for index in range(last - self._span + 1, last + 1) if index in self._steps)

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""
        steps: list[JSON] = [
            [index, step.count, step.errors, step.total, cast("list[JSON]", step.sketch.numbers())]
            for index, step in sorted(self._steps.items())
        ]
        return header(NAME, VERSION, self.settings) | {
            "newest": self._newest,
            "dropped_late": self.dropped_late,
            "dropped_early": self.dropped_early,
            "steps": steps,
        }

    @classmethod
    def from_snapshot(cls, settings: WindowSettings, state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`."""
        reader = Reader(NAME, VERSION, settings, state)
        made = cls(settings.span_seconds, settings.step_seconds, settings.late_seconds, settings.early_seconds)
        made.dropped_late, made.dropped_early = reader.integer("dropped_late"), reader.integer("dropped_early")
        made._newest = int(reader.number("newest")) if reader.has("newest") else None
        for fields in reader.records("steps", 5):
            index, count, errors, total = reader.numbers_of("steps", fields[:4])
            step = made._steps[int(index)] = _Step()
            step.count, step.errors, step.total = int(count), int(errors), total
            step.sketch = Sketch.from_numbers(reader.rows_of("steps", fields[4], 3))
        return made
