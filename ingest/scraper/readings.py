"""What a server says at one moment, of whom; and how metrics and statistics are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

FAILURES: Final = "failures:"
"""Begins the names of counters of failed requests; the reason follows."""

UNKNOWN_REASON: Final = "UNKNOWN"
"""The reason of failures that a server counts without giving one."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Of whom a reading is: a version of a model, or a device (a GPU's UUID, or `cpu`)."""

    model: str = ""
    version: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters, which only grow until their server or model begins anew, and levels, which do as they like.

    Both are called like the fields of `inferwatch.ServerSample`, failures excepted, see `FAILURES`. Counters are whole:
    times in nanoseconds, energy in millijoules. What a server does not tell is not there.
    """

    counters: dict[str, int] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)


Readings: TypeAlias = Mapping[Subject, Reading]


def combined(metrics: Readings, statistics: Readings) -> dict[Subject, Reading]:
    """Return readings of all devices, and of the models that the statistics know.

    Counts and times are the statistics'; the metrics tell reasons of failures, what the cache did and what waits.
    Never a count of one where last time it was the other's: they are read one after the other, and round differently.
    """
    found = {subject: reading for subject, reading in metrics.items() if subject.device}
    for subject, counted in statistics.items():
        told = metrics.get(subject, Reading())
        counters = {name: value for name, value in told.counters.items() if name not in _COUNTED}
        if not any(name.startswith(FAILURES) for name in counters):
            counters[FAILURES + UNKNOWN_REASON] = counted.counters[FAILURES + UNKNOWN_REASON]
        counters |= {name: counted.counters[name] for name in _COUNTED}
        found[subject] = Reading(counters, told.levels)
    return found


_COUNTED: Final = (
    *("requests", "inferences", "executions", "request_time", "queue_time"),
    *("compute_input_time", "compute_infer_time", "compute_output_time"),
)
"""What statistics always have."""
