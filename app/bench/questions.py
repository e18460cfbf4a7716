"""The questions of benchmark `queries`: every one that `storage.queries` offers, and each kind of filter."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast, get_args

from app.bench.generate_rows import Traffic, identity
from app.bench.row_expressions import NEEDLE
from storage import queries
from storage.queries import Dimension, Filters, Reader, TimeRange

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
FORTNIGHT: Final = timedelta(days=13, hours=20)


@dataclass(slots=True)
class Asking:
    """One who asks: each time about another moment and other values."""

    reader: Reader
    traffic: Traffic
    dice: random.Random
    now: datetime = field(init=False)
    row: Mapping[str, Any] = field(init=False)
    words: tuple[str, ...] = field(init=False)

    def choose(self) -> None:
        """Choose what the next question is about."""
        self.now = self.traffic.end - timedelta(seconds=self.dice.uniform(60, 4 * 3600))
        number = self.dice.randrange(self.traffic.rows // 10, self.traffic.rows * 9 // 10)
        self.row = identity(self.reader.client, self.traffic, number)
        self.words = tuple(word for word in self.row["words"] if len(word) > 3) or ("word",)

    def word(self) -> str:
        """Return a word that stands in some text, a frequent one more often."""
        return self.dice.choice(self.words)

    def last(self, length: timedelta, step: timedelta = timedelta(minutes=1)) -> TimeRange:
        """Return a range that ends about now."""
        return TimeRange.last(length, self.now, step)


Question = Callable[[Asking], Any]


def _totals(length: timedelta, filters: Callable[[Asking], Filters]) -> Question:
    return lambda asking: queries.totals(asking.reader, asking.last(length), filters(asking))


def _series(length: timedelta, step: timedelta, filters: Callable[[Asking], Filters]) -> Question:
    return lambda asking: queries.series(asking.reader, asking.last(length, step), step, filters(asking))


def _breakdown(length: timedelta, dimension: str) -> Question:
    return lambda asking: queries.breakdown(asking.reader, asking.last(length), cast(Dimension, dimension))


def _pii(length: timedelta, filters: Callable[[Asking], Filters]) -> Question:
    return lambda asking: queries.pii_by_type(asking.reader, asking.last(length), filters(asking))


def _page(filters: Callable[[Asking], Filters]) -> Question:
    return lambda asking: queries.inferences(asking.reader, asking.last(FORTNIGHT), filters(asking))


def _next_page(asking: Asking) -> Any:
    at = asking.now - DAY
    after = queries.Cursor(at, asking.row["event_id"])
    return queries.inferences(asking.reader, asking.last(FORTNIGHT), after=after)


_OF_ROLLUPS: Final[dict[str, Callable[[Asking], Filters]]] = {
    "all": lambda asking: Filters(),
    "model": lambda asking: Filters(environment="production", model=asking.row["model"]),
    "team": lambda asking: Filters(team=asking.row["team"]),
    "status": lambda asking: Filters(status="error"),
    "source": lambda asking: Filters(source=asking.dice.choice(("sdk", "otlp", "http"))),
}
_OF_ROWS: Final[dict[str, Callable[[Asking], Filters]]] = {
    "pii": lambda asking: Filters(with_pii=True),
    "pii_type": lambda asking: Filters(pii_type=asking.dice.choice(("PERSON", "EMAIL_ADDRESS"))),
    "user": lambda asking: Filters(user=asking.row["user"]),
    "trace": lambda asking: Filters(trace_id=asking.row["trace_id"]),
    "conversation": lambda asking: Filters(conversation_id=asking.row["conversation_id"]),
    "word": lambda asking: Filters(text=asking.word()),
    "part_of_word": lambda asking: Filters(text=asking.word()[:-1]),
    "words": lambda asking: Filters(text=f"{asking.word()} {asking.word()}"),
    "rare_word": lambda asking: Filters(text=NEEDLE[asking.dice.randrange(4) :]),
    "no_word": lambda asking: Filters(text=f"xyzzy{asking.dice.random()}"),
}
_ONLY_LISTED: Final[dict[str, Callable[[Asking], Filters]]] = {
    "model_and_word": lambda asking: replace(Filters(model=asking.row["model"]), text=asking.word()),
    "quoted": lambda asking: Filters(text=f'"{asking.words[0]}"'),
}
_STEPS: Final = {
    "hour": (HOUR, timedelta(minutes=1)),
    "day": (DAY, timedelta(minutes=15)),
    "fortnight": (FORTNIGHT, HOUR),
}

OF_ROWS_FOR_A_FORTNIGHT: Final[dict[str, Question]] = {
    **{f"totals_fortnight_{name}": _totals(FORTNIGHT, filters) for name, filters in _OF_ROWS.items()},
    "pii_fortnight_status": _pii(FORTNIGHT, _OF_ROLLUPS["status"]),
}
QUESTIONS: Final[dict[str, Question]] = {
    **{
        f"totals_{length}_{name}": _totals(span, filters)
        for length, (span, _) in _STEPS.items()
        for name, filters in _OF_ROLLUPS.items()
    },
    **{f"totals_day_{name}": _totals(DAY, filters) for name, filters in _OF_ROWS.items()},
    "series_quarter_hour_all": _series(timedelta(minutes=15), timedelta(seconds=15), _OF_ROLLUPS["all"]),
    **{
        f"series_{length}_{name}": _series(span, step, filters)
        for length, (span, step) in _STEPS.items()
        for name, filters in _OF_ROLLUPS.items()
    },
    **{
        f"breakdown_{length}_{name}": _breakdown(span, name)
        for length, (span, _) in _STEPS.items()
        for name in get_args(Dimension)
    },
    **{f"pii_{length}_all": _pii(span, _OF_ROLLUPS["all"]) for length, (span, _) in _STEPS.items()},
    "pii_day_status": _pii(DAY, _OF_ROLLUPS["status"]),
    **{f"list_{name}": _page(filters) for name, filters in (_OF_ROLLUPS | _OF_ROWS | _ONLY_LISTED).items()},
    "list_next_page": _next_page,
    "one_inference": lambda asking: queries.inference(asking.reader, asking.row["event_id"]),
    "choices_day": lambda asking: queries.choices(asking.reader, asking.last(DAY)),
    "choices_fortnight": lambda asking: queries.choices(asking.reader, asking.last(FORTNIGHT)),
    "freshness": lambda asking: queries.freshness(asking.reader),
    "transitions": lambda asking: queries.transitions(asking.reader, asking.last(FORTNIGHT)),
    "alerts": lambda asking: queries.alerts(asking.reader, asking.last(FORTNIGHT)),
    "open_alerts": lambda asking: queries.open_alerts(asking.reader),
    "detections": lambda asking: queries.detections(asking.reader, asking.last(FORTNIGHT)),
    "drift_signals": lambda asking: queries.drift_signals(asking.reader, asking.last(FORTNIGHT)),
    "retraining_runs": lambda asking: queries.retraining_runs(asking.reader),
    **OF_ROWS_FOR_A_FORTNIGHT,
}
