"""What there is to choose from, and how fresh it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from storage.queries.reader import Reader
from storage.queries.records import moment
from storage.queries.scope import ANY, TimeRange, from_micros, micros
from storage.queries.statement import Where, of_rollup, select
from storage.queries.tiles import HOUR

MOST_CHOICES: Final = 1_000
RECENT: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Choices:
    """Values that occur in a range, sorted; an empty string means that some rows have none."""

    environments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    pii_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Freshness:
    """When the store last got an inference, and how long those of the last minute took from their end to here.

    `delay` is the median in seconds. Both are None where the store is empty.
    """

    newest: datetime | None = None
    delay: float | None = None


def choices(reader: Reader, range: TimeRange) -> Choices:
    """Return what occurs in the hours that a range touches, at most `MOST_CHOICES` of each."""
    wide = range.widened(HOUR)
    rolled = of_rollup("t.bucket", wide, ANY)
    columns = ("environment", "model", "team", "service", "source")
    names = {f"{column}s": column for column in columns}
    of_metrics = reader.rows(select(_distinct(names), "metrics_1h", rolled), rolled.parameters)[0]
    hits = of_rollup("t.bucket", wide, ANY)
    of_hits = reader.rows(select(_distinct({"pii_types": "entity_type"}), "pii_hits", hits), hits.parameters)[0]
    return Choices(**{name: tuple(values) for name, values in {**of_metrics, **of_hits}.items()})


def freshness(reader: Reader) -> Freshness:
    """Return how fresh the store is; cheap, because days and their newest arrival are in the index."""
    newest = select({"newest": moment("max(t.ingested_at)"), "stored": "count()"}, "inferences")
    row = reader.rows(newest, {})[0]
    if not row["stored"]:
        return Freshness()
    where = Where().add(
        "t.ingested_at >= fromUnixTimestamp64Micro({recent:Int64}, 'UTC')", recent=row["newest"] - micros(RECENT)
    )
    since_start = f"({moment('t.ingested_at')} - {moment('t.started_at')}) / 1e6"
    delay = {"delay": f"quantileTDigest(0.5)({since_start} - t.duration)"}
    delayed = reader.rows(select(delay, "inferences", where), where.parameters)[0]
    # The clock of the application may run ahead of this one's.
    return Freshness(from_micros(row["newest"]), max(0.0, float(delayed["delay"])))


def _distinct(names: dict[str, str]) -> dict[str, str]:
    return {name: f"arraySort(groupUniqArray({MOST_CHOICES})(t.{column}))" for name, column in names.items()}
