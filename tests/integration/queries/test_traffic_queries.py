from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest

from storage.client import StoreSettings, connect
from storage.queries import (
    Dimension,
    Filters,
    Latency,
    Reader,
    TimeRange,
    Traffic,
    breakdown,
    pii_by_type,
    series,
    totals,
)
from storage.queries.figures import parts
from storage.queries.statement import Where
from storage.queries.tiles import Kept, tiles
from storage.sink import ClickHouseSink
from tests.support import store_rows

NOW = store_rows.RECENT
HOUR = TimeRange.last(timedelta(hours=1), NOW)
MINUTE = timedelta(minutes=1)
STRANGE = ["it's", 'say "x"', "back\\slash", "tab\tnewline\n", "{start:Int64}", "naïve ☃", "%s"]
SUMS = (
    "requests",
    "errors",
    "cancelled",
    "input_tokens",
    "output_tokens",
    "requests_without_cost",
    "requests_with_pii",
)


@pytest.fixture
def rows(sink: ClickHouseSink) -> list[dict[str, Any]]:
    """A thousand inferences of the last hour, in the store."""
    made = store_rows.an_hour(NOW, 1_000)
    sink.write("inferences", store_rows.inferences(made))
    return made


def added(parts: list[Traffic]) -> dict[str, Any]:
    """Sums of figures; costs of parts without any are left out."""
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in SUMS}
    return sums | {"cost": sum((part.cost for part in parts if part.cost is not None), Decimal(0))}


def figures(traffic: Traffic) -> dict[str, Any]:
    return {name: getattr(traffic, name) for name in SUMS} | {"cost": traffic.cost}


def test_totals_are_what_was_written(reader: Reader, rows: list[dict[str, Any]]) -> None:
    found = totals(reader, HOUR)
    assert found.requests == len(rows)
    assert found.errors == sum(row["status"] == "error" for row in rows)
    assert found.cancelled == sum(row["status"] == "cancelled" for row in rows)
    assert found.input_tokens == sum(row["input_tokens"] or 0 for row in rows)
    assert found.output_tokens == sum(row["output_tokens"] or 0 for row in rows)
    assert found.cost == sum(row["cost"] for row in rows if row["cost"] is not None)
    assert found.requests_without_cost == sum(row["cost"] is None for row in rows)
    assert found.requests_with_pii == sum(bool(row["pii"]) for row in rows)


@pytest.mark.parametrize("name", ["duration", "time_to_first_token", "time_per_output_token"])
def test_quantiles_are_close_to_exact_ones(reader: Reader, rows: list[dict[str, Any]], name: str) -> None:
    measured = sorted(row[name] for row in rows if row[name] is not None)
    found: Latency = getattr(totals(reader, HOUR), name)
    for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        assert value is not None
        rank = sum(one <= value for one in measured) / len(measured)
        assert math.isclose(rank, share, abs_tol=0.02)


@pytest.mark.parametrize("step", [timedelta(seconds=15), MINUTE, timedelta(minutes=15)])
def test_a_series_adds_up_to_the_totals(reader: Reader, rows: list[dict[str, Any]], step: timedelta) -> None:
    range = TimeRange.last(timedelta(hours=1), NOW, step)
    points = series(reader, range, step)
    assert [point.at for point in points] == range.steps(step)
    assert added([point.traffic for point in points]) == figures(totals(reader, range))
    assert totals(reader, range).requests == len(rows)


@pytest.mark.parametrize("dimension", get_args(Dimension))
@pytest.mark.parametrize("filters", [Filters(), Filters(status="ok"), Filters(model="smollm2")])
def test_a_breakdown_adds_up_to_the_totals(
    reader: Reader, rows: list[dict[str, Any]], dimension: Dimension, filters: Filters
) -> None:
    groups = breakdown(reader, HOUR, dimension, filters)
    whole = totals(reader, HOUR, filters)
    assert added([group.traffic for group in groups]) == figures(whole)
    assert whole.requests > 0
    assert [group.traffic.requests for group in groups] == sorted(
        (group.traffic.requests for group in groups), reverse=True
    )


def test_every_way_to_put_a_range_together_says_what_rows_say(reader: Reader, sink: ClickHouseSink) -> None:
    days = [store_rows.an_hour(NOW - timedelta(hours=hours), 40, seed=hours) for hours in (0, 5, 20, 30, 47, 60, 75)]
    for rows in days:
        sink.write("inferences", store_rows.inferences(rows))
    whole = TimeRange.last(timedelta(hours=76), NOW)
    for range, step in (
        (whole, timedelta(minutes=30)),
        (whole.widened(timedelta(hours=1)), timedelta(hours=1)),
        (whole.widened(timedelta(days=1)), timedelta(days=1)),
        (TimeRange(whole.start + timedelta(hours=7), whole.end - timedelta(hours=9, minutes=13)), None),
    ):
        found = totals(reader, range)
        of_rows = totals(reader, TimeRange(range.start, range.end - timedelta(microseconds=1)))
        assert figures(found) == figures(of_rows)
        assert found.duration.p95 == pytest.approx(of_rows.duration.p95, rel=0.05)
        if step is not None:
            assert added([point.traffic for point in series(reader, range, step)]) == figures(found)
        for dimension in ("service", "source", "status"):
            assert added([group.traffic for group in breakdown(reader, range, dimension)]) == figures(found)


def test_what_rollups_no_longer_keep_is_counted_from_rows(
    reader: Reader, rows: list[dict[str, Any]], settings: StoreSettings
) -> None:
    before, hits = totals(reader, HOUR), pii_by_type(reader, HOUR)
    with closing(connect(settings)) as client:
        for table, days in (("metrics_1m", 5), ("metrics_1h", 6), ("pii_hits", 6)):
            client.command(f"ALTER TABLE {table} MODIFY TTL bucket + toIntervalDay({days}) WHERE environment != ''")
            client.command(f"TRUNCATE TABLE {table}")
    a_week_later = replace(reader, now=lambda: NOW + timedelta(days=7))
    assert figures(totals(a_week_later, HOUR)) == figures(before)
    assert added([point.traffic for point in series(a_week_later, HOUR, MINUTE)]) == figures(before)
    assert pii_by_type(a_week_later, HOUR) == hits
    assert totals(replace(reader, now=lambda: NOW + timedelta(days=4)), HOUR).requests == 0


def test_days_and_hours_are_answered_from_projections(reader: Reader, rows: list[dict[str, Any]]) -> None:
    for range, step, projection in (
        (TimeRange(HOUR.start - timedelta(days=3), HOUR.end), None, "by_day"),
        (HOUR.widened(timedelta(hours=1)), timedelta(hours=1), "by_hour"),
    ):
        where = Where().bind(step=3_600)
        by = "intDiv(toInt64(toUnixTimestamp({time})), {step:Int64}) * {step:Int64}" if step else ""
        source = parts(tiles(range, step, Kept(range.start, range.start)), Filters(), "at" if step else "", by, where)
        plan = reader.client.query(f"EXPLAIN projections = 1 SELECT * FROM {source}", where.parameters).result_rows
        assert any(projection in line for (line,) in plan), plan


def test_minutes_and_rows_say_the_same(reader: Reader, rows: list[dict[str, Any]]) -> None:
    from_minutes = totals(reader, HOUR)
    from_rows = totals(reader, TimeRange(HOUR.start, HOUR.end - timedelta(microseconds=1)))
    assert figures(from_minutes) == figures(from_rows)
    assert from_minutes.duration.p50 == pytest.approx(from_rows.duration.p50, rel=0.02)


@pytest.mark.parametrize(
    ("filters", "holds"),
    [
        (Filters(environment="staging"), lambda row: row["environment"] == "staging"),
        (Filters(team=""), lambda row: row["team"] == ""),
        (Filters(source="otlp"), lambda row: row["source"] == "otlp"),
        (Filters(status="error", model="smollm2"), lambda row: (row["status"], row["model"]) == ("error", "smollm2")),
        (Filters(with_pii=True), lambda row: bool(row["pii"])),
        (Filters(pii_type="CREDIT_CARD"), lambda row: any(hit[0] == "CREDIT_CARD" for hit in row["pii"])),
        (Filters(text="CHARGED twice"), lambda row: "charged twice" in row["input_messages"]),
        (Filters(text="content"), lambda row: False),
        (Filters(user=""), lambda row: True),
    ],
)
def test_filters_choose_exactly_their_rows(
    reader: Reader, rows: list[dict[str, Any]], filters: Filters, holds: Any
) -> None:
    assert totals(reader, HOUR, filters).requests == sum(map(holds, rows))


@pytest.mark.parametrize(
    "value", ["it's", 'say "x"', "back\\slash", "tab\tnewline\n", "{start:Int64}", "naïve ☃", "%s"]
)
def test_strange_values_are_found_as_they_are(reader: Reader, sink: ClickHouseSink, value: str) -> None:
    row = {"started_at": NOW, "team": value, "input_messages": store_rows.chat(("user", f"<{value}>"))}
    sink.write("inferences", store_rows.inferences([row, {"started_at": NOW, "team": "other"}]))
    assert totals(reader, HOUR, Filters(team=value)).requests == 1
    assert totals(reader, HOUR, Filters(text=value)).requests == 1
    assert [group.name for group in breakdown(reader, HOUR, "team", Filters(text=value))] == [value]


def test_an_empty_store_has_zeros_and_unknown_latencies(reader: Reader) -> None:
    assert totals(reader, HOUR) == Traffic()
    assert {point.traffic for point in series(reader, HOUR, MINUTE)} == {Traffic()}
    assert breakdown(reader, HOUR, "model") == []
    assert pii_by_type(reader, HOUR) == []


def test_cost_without_any_price_is_unknown_and_with_some_is_their_sum(reader: Reader, sink: ClickHouseSink) -> None:
    free, priced = {"started_at": NOW}, {"started_at": NOW, "cost": Decimal("0.000000123"), "team": "priced"}
    sink.write("inferences", store_rows.inferences([free, free]))
    assert totals(reader, HOUR).cost is None
    sink.write("inferences", store_rows.inferences([priced]))
    found = totals(reader, HOUR)
    assert (found.cost, found.requests_without_cost) == (Decimal("0.000000123"), 2)
    costs = {group.name: group.traffic.cost for group in breakdown(reader, HOUR, "team")}
    assert costs == {"search": None, "priced": Decimal("0.000000123")}


def test_the_end_of_a_range_belongs_to_the_next(reader: Reader, sink: ClickHouseSink) -> None:
    sink.write("inferences", store_rows.inferences([{"started_at": HOUR.end}, {"started_at": HOUR.start}]))
    assert totals(reader, HOUR).requests == 1
    assert totals(reader, TimeRange(HOUR.end, HOUR.end + MINUTE)).requests == 1


def test_rows_that_arrived_late_count_by_their_own_time(reader: Reader, sink: ClickHouseSink) -> None:
    sink.write("inferences", store_rows.inferences([{"started_at": NOW}], arrived=NOW + timedelta(days=3)))
    assert totals(reader, HOUR, Filters(source="sdk")).requests == 1


@pytest.mark.parametrize("filters", [Filters(), Filters(model="smollm2"), Filters(source="sdk"), Filters(status="ok")])
def test_pii_adds_up_by_type_and_place(reader: Reader, rows: list[dict[str, Any]], filters: Filters) -> None:
    wanted: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if all(getattr(filters, name) in (None, row[name]) for name in ("model", "source", "status")):
            for kind, place, hits in row["pii"]:
                wanted.setdefault((kind, place), []).append(hits)
    found = {(one.entity_type, one.place): (one.hits, one.inferences) for one in pii_by_type(reader, HOUR, filters)}
    assert found == {key: (sum(hits), len(hits)) for key, hits in wanted.items()}
    assert found
