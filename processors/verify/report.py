"""What a verification found: numbers for programs, and a text for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from processors.verify.bounds import Bounds
from processors.verify.compare import Run
from processors.verify.narrow import Narrowed
from storage.verify import RepeatedEvent
from storage.verify_rollups import RollupState


@dataclass(slots=True)
class HourCount:
    """What one partition has of one hour of record times. `hour` is Unix time, None where records have no time.

    `ranges_differ` counts ranges of offsets in which rows and dead letters are not exactly the events.
    """

    partition: int
    hour: int | None
    records: int = 0
    events: int = 0
    dead: int = 0
    rows: int = 0
    ranges_differ: int = 0

    @property
    def difference(self) -> int:
        """Return how many events have neither row nor dead letter; below 0, how many rows are too many."""
        return self.events - self.dead - self.rows


@dataclass(slots=True)
class Report:
    """Everything that was found.

    Attributes:
        topic: the topic that rows come from.
        topic_id: its id.
        bounds: what was compared of each partition.
        hours: counts, by partition and hour.
        found: exactly where rows differ, as much of it as was asked for.
        forgotten: rows of records that Kafka does not have any more.
        older_topics: rows of topics that were deleted.
        unjudged: offsets that nothing can be said about: Kafka or the store forgot them meanwhile.
        repeated_ids: event ids of which there are several rows.
        repeated: some of them.
        rollups: what became of each rollup.
        late_seconds: after this long, rows that a rollup does not have yet count as a difference.
        repaired: days whose rollups were made again.
        read_seconds: how long reading Kafka took.
        at: when it was looked.
    """

    topic: str
    topic_id: str
    bounds: list[Bounds]
    hours: list[HourCount]
    found: Narrowed
    forgotten: int
    older_topics: int
    unjudged: int
    repeated_ids: int
    repeated: list[RepeatedEvent]
    rollups: list[RollupState]
    late_seconds: float
    read_seconds: float
    at: dt.datetime
    repaired: tuple[dt.date, ...] = ()

    @property
    def rows_agree(self) -> bool:
        """Tell whether every event that was processed is a row or a dead letter, once."""
        return not self.found.more_ranges and not any(run.wrong for run in self.found.runs)

    @property
    def rollups_agree(self) -> bool:
        """Tell whether rollups hold what rows give, and are not far behind."""
        return not any(state.differing or self.is_late(state) for state in self.rollups)

    @property
    def agrees(self) -> bool:
        """Tell whether nothing differs."""
        return self.rows_agree and self.rollups_agree

    def is_late(self, state: RollupState) -> bool:
        """Tell whether rows have waited for a rollup for too long."""
        since = state.waiting_since
        return since is not None and (self.at - since).total_seconds() > self.late_seconds

    def days_to_rebuild(self) -> list[dt.date]:
        """Return the days of arrival of which a rollup differs or is late."""
        days = {hour.day for state in self.rollups for hour in state.differing}
        days.update(day for state in self.rollups if self.is_late(state) for day in state.waiting_days)
        return sorted(days)

    def total(self) -> HourCount:
        """Return the sum over all hours."""
        total = HourCount(-1, None)
        for hour in self.hours:
            for name in ("records", "events", "dead", "rows", "ranges_differ"):
                setattr(total, name, getattr(total, name) + getattr(hour, name))
        return total


def summary(report: Report) -> Iterator[str]:
    """Yield sentences on what differs and what does not count as a difference."""
    for run in report.found.runs:
        yield _run(run)
    if report.found.more_runs or report.found.more_ranges:
        yield f"and more: {report.found.more_runs:,} places and {report.found.more_ranges:,} ranges of offsets differ"
    waiting = sum(bounds.waiting for bounds in report.bounds)
    if waiting:
        yield f"waiting: {waiting:,} records are not processed yet"
    if report.forgotten:
        yield f"no longer in Kafka: {report.forgotten:,} rows whose records retention removed; nothing can be compared"
    if report.older_topics:
        yield f"no longer in Kafka: {report.older_topics:,} rows of topics that were deleted and made again"
    if report.unjudged:
        yield f"not judged: {report.unjudged:,} offsets that Kafka or the store forgot meanwhile"
    if report.repeated_ids:
        yield f"{report.repeated_ids:,} event ids were sent more than once: the same event in several Kafka lines"
        for repeated in report.repeated:
            places = ", ".join(":".join(map(str, place)) for place in repeated.places)
            yield f"  {repeated.event_id}: {repeated.rows} rows, at {places}"


def rollup_lines(report: Report, most: int) -> Iterator[str]:
    """Yield what became of each rollup."""
    for state in report.rollups:
        verdict = f"{len(state.differing)} of {state.hours} hours differ" if state.differing else "agrees"
        yield f"{state.table}: {verdict}{_behind(report, state)}"
        for hour in state.differing[:most]:
            figures = ", ".join(
                f"{name} {rolled} of {rows}" for name, (rows, rolled) in hour.figures.items() if name != "fingerprint"
            )
            at = dt.datetime.fromtimestamp(hour.hour, dt.UTC)
            yield f"  {at:%Y-%m-%d %H}h, arrived {hour.day}: {figures or 'made of other rows'}"
        if len(state.differing) > most:
            yield f"  and {len(state.differing) - most} more"


def _behind(report: Report, state: RollupState) -> str:
    if state.waiting_since is None:
        return ", up to date"
    seconds = max(0.0, (report.at - state.waiting_since).total_seconds())
    late = ": too long, does an enrich worker run?" if report.is_late(state) else ""
    return f", {state.waiting:,} rows behind, the oldest for {seconds:,.0f} s{late}"


def _run(run: Run) -> str:
    place = f"partition {run.partition}, offset {run.first[0]}"
    if run.events > 1:
        place += f" line {run.first[1]} to offset {run.last[0]} line {run.last[1]}"
    elif run.first[1]:
        place += f" line {run.first[1]}"
    says = {
        "no row": "neither a row nor a dead letter",
        "more than one row": "more than one row each",
        "row of nothing": "rows that are in no Kafka record",
        "dead letter and row": "rows although there is a dead letter too; this is no difference",
    }[run.kind]
    return f"{place}: {run.events:,} event{'s' if run.events > 1 else ''}, {says}"
