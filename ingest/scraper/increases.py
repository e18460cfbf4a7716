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

Metrics and statistics are looked at side by side, each compared with its own last look: Triton's statistics of a model
begin anew when it is loaded again, its metrics do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingest.scraper.readings import FAILURES, Answers, Readings, Subject


@dataclass(frozen=True, slots=True)
class Increase:
    """What was added to the counters of a subject, and its levels now. `anew` where its counters began again."""

    subject: Subject
    counters: dict[str, int]
    levels: dict[str, float]
    anew: bool


@dataclass(slots=True)
class Increases:
    """The counters of one source of one server as they were at the last look."""

    _known: dict[Subject, dict[str, int]] | None = None

    def look(self, readings: Readings) -> list[Increase]:
        """Take readings and return what was added, for each subject; nothing on the first look."""
        if self._known is None:
            self._known = {subject: dict(reading.counters) for subject, reading in readings.items()}
            return []
        found = []
        for subject in sorted(readings):
            known, now = self._known.setdefault(subject, {}), readings[subject].counters
            anew = any(value < known.get(name, 0) for name, value in now.items())
            if anew:
                known.clear()
            added = {name: value - known.get(name, 0) for name, value in now.items()}
            known.update(now)
            found.append(Increase(subject, added, dict(readings[subject].levels), anew))
        for gone in [subject for subject in self._known if not subject.device and subject not in readings]:
            del self._known[gone]
        return found


@dataclass(slots=True)
class ServerIncreases:
    """The counters of one server, of both sources. `elapsed` is in seconds of a clock that only grows."""

    _metrics: Increases = field(default_factory=Increases)
    _statistics: Increases = field(default_factory=Increases)
    _looked: float | None = None

    def look(self, elapsed: float, answers: Answers) -> tuple[float, list[Increase]]:
        """Take what a server says; return the seconds since it was heard last, and what was added since."""
        before, self._looked = self._looked, elapsed
        metrics = self._metrics.look(answers.metrics)
        found = metrics if answers.statistics is None else together(metrics, self._statistics.look(answers.statistics))
        return (0.0, []) if before is None else (elapsed - before, found)


def together(metrics: Sequence[Increase], statistics: Sequence[Increase]) -> list[Increase]:
    """Return what was added as the metrics have it, and from the statistics what those do not tell.

    Without `counter_latencies`, Triton's metrics list counters of requests and failures that never move: where they
    tell no `request_time`, the statistics count.

    Metrics go on telling of models that were unloaded; one that the statistics no longer know, and that did nothing,
    is left out.
    """
    found = {one.subject: one for one in metrics}
    for counted in statistics:
        told = found.get(counted.subject) or Increase(counted.subject, {}, {}, anew=False)
        if "request_time" in told.counters:
            counters = _without_failures(counted.counters, told.counters) | told.counters
        else:
            counters = _without_failures(told.counters, counted.counters) | counted.counters
        anew = told.anew or counted.anew
        found[counted.subject] = Increase(counted.subject, counters, told.levels, anew)
    loaded = {one.subject for one in statistics}
    return [one for one in found.values() if one.subject.device or one.subject in loaded or any(one.counters.values())]


def _without_failures(counters: Mapping[str, int], where: Mapping[str, int]) -> dict[str, int]:
    """Return counters but for failures that are told in `where` too."""
    told = any(name.startswith(FAILURES) for name in where)
    return {name: count for name, count in counters.items() if not (told and name.startswith(FAILURES))}
