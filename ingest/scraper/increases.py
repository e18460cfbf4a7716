"""What was added to the counters of one server from one look at it to the next, also where they began anew. Pure.

- The first look at a server says where its counters stand; nobody knows since when, so nothing was added.
- A model that was not there the last time was loaded meanwhile, and its counters began at 0; so did a counter that a
  subject did not have before.
- Where any counter of a subject has fallen, all of that subject's began anew, at 0: the server was started again, or
  the model loaded again. What was counted between the last look and that moment nobody knows any more. It is not
  recognised where every counter has grown beyond its old value by the next look.
- A look that failed is none: the next one says what was added since the last that did not.
- A model that is not there any more was unloaded, and is forgotten. A device is not: one that does not answer for a
  while has not begun anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.scraper.readings import Reading, Readings, Subject


@dataclass(frozen=True, slots=True)
class Increase:
    """What was added to the counters of a subject, and its levels now. `anew` where its counters began again."""

    subject: Subject
    counters: dict[str, int]
    levels: dict[str, float]
    anew: bool


@dataclass(slots=True)
class Increases:
    """The counters of one server as they were at the last look. `elapsed` is in seconds of a clock that only grows."""

    _known: dict[Subject, dict[str, int]] = field(default_factory=dict)
    _looked: float | None = None

    def look(self, elapsed: float, readings: Readings) -> tuple[float, list[Increase]]:
        """Take readings; return the seconds since the last ones and what was added, nothing on the first look."""
        before, self._looked = self._looked, elapsed
        if before is None:
            self._known = {subject: dict(reading.counters) for subject, reading in readings.items()}
            return 0.0, []
        found = [self._increase(subject, readings[subject]) for subject in sorted(readings)]
        for subject in [subject for subject in self._known if not subject.device and subject not in readings]:
            del self._known[subject]
        return elapsed - before, found

    def _increase(self, subject: Subject, reading: Reading) -> Increase:
        known = self._known.setdefault(subject, {})
        now = reading.counters
        anew = any(value < known.get(name, 0) for name, value in now.items())
        added = {name: value if anew else value - known.get(name, 0) for name, value in now.items()}
        if anew:
            known.clear()
        known.update(now)
        return Increase(subject, added, dict(reading.levels), anew)
