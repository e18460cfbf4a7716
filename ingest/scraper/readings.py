"""What a server says at one moment, and of whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ingest.errors import ContentError

FAILURES: Final = "failures:"
"""Begins the names of counters of failed requests; the reason follows."""

UNKNOWN_REASON: Final = "UNKNOWN"
"""The reason of failures that a server counts without giving one."""

LARGEST: Final = 2**63 - 1
"""What a counter or a level may be, in the units of `Reading`."""
TOO_LARGE: Final = "a number beyond 2^63"


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


def believable(found: dict[Subject, Reading], source: str) -> dict[Subject, Reading]:
    """Return readings as they are.

    Raises:
        ContentError: one of their numbers is larger than anything that was ever counted.
    """
    for reading in found.values():
        if any(abs(number) > LARGEST for number in (*reading.counters.values(), *reading.levels.values())):
            raise ContentError(source, TOO_LARGE)
    return found


@dataclass(frozen=True, slots=True)
class Answers:
    """What a server says in its metrics, and in its statistics where it was asked for them."""

    metrics: Readings
    statistics: Readings | None = None
