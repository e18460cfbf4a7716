"""What a service counts about itself, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=str)


class NamedCounters(Generic[Name]):
    """Counts by name. Each name is counted by one thread only, any thread may read."""

    def __init__(self, names: Sequence[Name]) -> None:
        self._counts: dict[Name, int] = dict.fromkeys(names, 0)

    def add(self, name: Name, by: int = 1) -> None:
        """Count something that happened."""
        self._counts[name] += by

    def set(self, name: Name, value: int) -> None:
        """Say how much of something there is now."""
        self._counts[name] = value

    def __getitem__(self, name: Name) -> int:
        return self._counts[name]

    def values(self) -> dict[Name, int]:
        """Return everything by name."""
        return dict(self._counts)


def exposition(values: Mapping[Name, int]) -> str:
    """Return values in Prometheus' text format 0.0.4."""
    lines: list[str] = []
    for name, value in values.items():
        lines += (type_line(name), f"{name} {value}")
    return "\n".join(lines) + "\n"


def type_line(name: str) -> str:
    """Return what says of which type a metric is: names that end in `_total` are counters, the others gauges."""
    return f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"
