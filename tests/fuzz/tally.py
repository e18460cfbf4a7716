"""What was sent, what was answered, and what is wrong with that."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST_PROBLEMS = 20


@dataclass
class Tally:
    """Counts of all who send; any thread may add."""

    answers: Counter[str] = field(default_factory=Counter)
    good: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, way: str, status: int | str, headers: Mapping[str, str]) -> None:
        """Count an answer; a server's error that is no 503 with Retry-After is a problem."""
        names = {name.lower() for name in headers}
        with self._lock:
            self.answers[f"{way} {status}"] += 1
        if isinstance(status, int) and status >= 500 and not (status == 503 and "retry-after" in names):
            self.problem(f"{way} was answered with {status}")

    def problem(self, what: str) -> None:
        """Note what is wrong."""
        with self._lock:
            if len(self.problems) < _MOST_PROBLEMS:
                self.problems.append(what)

    def acknowledged(self, event_id: str, way: str) -> None:
        """Note a good event that must be in Kafka."""
        with self._lock:
            self.good[event_id] = way

    def found(self, stored: Counter[str]) -> dict[str, Any]:
        """Compare with what Kafka holds, and return the figures."""
        lost = [f"{way} {event_id}" for event_id, way in self.good.items() if not stored[event_id]]
        repeated = [f"{way} {event_id}" for event_id, way in self.good.items() if stored[event_id] > 1]
        return {
            "requests": self.answers.total(),
            "answers": dict(sorted(self.answers.items())),
            "good_events": len(self.good),
            "good_events_by_way": dict(sorted(Counter(self.good.values()).items())),
            "lost": len(lost),
            "repeated": len(repeated),
            "problems": [
                *self.problems,
                *(f"lost: {each}" for each in lost[:9]),
                *(f"twice: {each}" for each in repeated[:9]),
            ],
        }
