"""verify: does everything that was mirrored stand in the store, once, and in every figure?"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from app import settings
from app.cli.audited import audited
from app.cli.times import MOMENT, iso

if TYPE_CHECKING:
    from processors.verify.report import HourCount, Report
    from storage.verify_rollups import RollupState

_MOST_LINES: Final = 60


@click.command()
@click.option("--since", type=MOMENT, help="Only records from then on: 2h or 7d (ago), or 2026-05-31T14:00.")
@click.option("--until", type=MOMENT, help="Only records before then.")
@click.option("--list", "most", default=20, show_default=True, help="How many places that differ to list.")
@click.option("--repair", is_flag=True, help="Make rollups again, from rows, of the days on which they differ.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(since: float | None, until: float | None, most: int, repair: bool, as_json: bool) -> None:
    """Compare Kafka with rows, and rows with rollups, while everything goes on.

    Exits with 0 when all agree, with 1 when something differs, with 2 when it cannot be looked at. Events that are not
    processed yet, and rows whose records Kafka has removed, are no difference.
    """
    from inferwatch.clock import SystemClock
    from processors.verify.options import VerifyOptions
    from processors.verify.repair import repaired
    from processors.verify.run import verify as run

    if most < 1:
        raise click.UsageError("--list must be at least 1")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since must be before --until")
    loaded = settings.load(os.environ)
    options, clock = VerifyOptions(since=since, until=until, most=most), SystemClock()
    report = run(loaded.kafka, loaded.store, options, clock, _say)
    if repair and (days := report.days_to_rebuild()):
        with audited(loaded.store, "verify --repair", f"rollups of {', '.join(map(str, days))}") as details:
            report = repaired(report, loaded.store, options, clock, _say)
            details["rollups_agree"] = report.rollups_agree
    click.echo(json.dumps(as_dict(report)) if as_json else "\n".join(as_text(report, most)))
    sys.exit(0 if report.agrees else 1)


def as_text(report: Report, most: int) -> Iterator[str]:
    """Yield the lines of a report for people."""
    from processors.verify.report import rollup_lines, summary

    yield f"{'partition':>9}  {'hour (UTC)':<13}{'records':>12}{'events':>12}{'dead':>9}{'rows':>12}{'difference':>12}"
    hours = report.hours
    if len(hours) > _MOST_LINES:
        hours = [hour for hour in hours if hour.ranges_differ or hour.difference]
        yield f"{len(report.hours) - len(hours)} hours of partitions agree and are not shown"
    for hour in hours[:_MOST_LINES]:
        yield _line(f"{hour.partition}", iso(hour.hour) or "no time", hour)
    if len(hours) > _MOST_LINES:
        yield f"and {len(hours) - _MOST_LINES} more"
    yield _line("all", "", report.total())
    yield ""
    yield f"Kafka and rows: {'agree' if report.rows_agree else 'DIFFER'}"
    yield from (f"  {line}" for line in summary(report))
    yield f"Rows and rollups: {'agree' if report.rollups_agree else 'DIFFER'}"
    yield from (f"  {line}" for line in rollup_lines(report, most))
    if report.repaired:
        yield f"Rollups were made again of {', '.join(map(str, report.repaired))}"
    elif report.days_to_rebuild():
        yield "`inferwatch verify --repair` makes rollups again from rows"


def as_dict(report: Report) -> dict[str, Any]:
    """Return a report for programs. Times are ISO 8601, figures of money are texts."""
    return {
        "agrees": report.agrees,
        "at": report.at.isoformat(),
        "topic": report.topic,
        "topic_id": report.topic_id,
        "read_seconds": round(report.read_seconds, 3),
        "rows": _rows(report),
        "rollups": {
            "agree": report.rollups_agree,
            "repaired": [str(day) for day in report.repaired],
            "tables": [_table(report, state) for state in report.rollups],
        },
    }


def _rows(report: Report) -> dict[str, Any]:
    return {
        "agree": report.rows_agree,
        "total": _counts(report.total()),
        "hours": [
            {
                "partition": hour.partition,
                "hour": iso(hour.hour),
                **_counts(hour),
                "differs": hour.ranges_differ > 0,
            }
            for hour in report.hours
        ],
        "partitions": [
            {
                "partition": bounds.partition,
                "kafka_from": bounds.low,
                "kafka_to": bounds.high,
                "compared_from": bounds.first,
                "compared_to": bounds.end,
                "waiting_records": bounds.waiting,
            }
            for bounds in report.bounds
        ],
        "differences": [
            {
                "kind": run.kind,
                "partition": run.partition,
                "first": {"offset": run.first[0], "index": run.first[1]},
                "last": {"offset": run.last[0], "index": run.last[1]},
                "events": run.events,
                "is_difference": run.wrong,
            }
            for run in report.found.runs
        ],
        "more_places_that_differ": report.found.more_runs,
        "more_ranges_that_differ": report.found.more_ranges,
        "no_longer_in_kafka": report.forgotten,
        "of_older_topics": report.older_topics,
        "offsets_not_judged": report.unjudged,
        "repeated_event_ids": report.repeated_ids,
    }


def _table(report: Report, state: RollupState) -> dict[str, Any]:
    return {
        "table": state.table,
        "hours": state.hours,
        "waiting_rows": state.waiting,
        "waiting_since": None if state.waiting_since is None else state.waiting_since.isoformat(),
        "late": report.is_late(state),
        "differences": [
            {
                "arrived_on": str(hour.day),
                "hour": iso(hour.hour),
                "figures": {
                    name: {"rows": str(rows), "rollup": str(rolled)} for name, (rows, rolled) in hour.figures.items()
                },
            }
            for hour in state.differing
        ],
    }


def _counts(hour: HourCount) -> dict[str, int]:
    return {
        "records": hour.records,
        "events": hour.events,
        "dead": hour.dead,
        "rows": hour.rows,
        "difference": hour.difference,
    }


def _line(partition: str, hour: str, count: HourCount) -> str:
    mark = "  !" if count.ranges_differ else ""
    return (
        f"{partition:>9}  {hour[:13].replace('T', ' '):<13}{count.records:>12,}{count.events:>12,}{count.dead:>9,}"
        f"{count.rows:>12,}{count.difference:>12,}{mark}"
    )


def _say(line: str) -> None:
    """Progress goes to standard error: standard output is for the result."""
    click.echo(line, err=True)


COMMANDS: Final = (verify,)
