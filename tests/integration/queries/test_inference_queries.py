from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest

from inferwatch.events import text_message
from storage.client import StoreSettings
from storage.errors import StoreRefused, StoreUnavailable
from storage.queries import (
    Cursor,
    Filters,
    Freshness,
    InferenceRow,
    Reader,
    TimeRange,
    choices,
    freshness,
    inference,
    inferences,
    open_reader,
    totals,
)
from storage.sink import ClickHouseSink
from tests.support import store_rows

NOW = store_rows.RECENT
HOUR = TimeRange.last(timedelta(hours=1), NOW)


def through(reader: Reader, filters: Filters, limit: int) -> list[InferenceRow]:
    """Every page, one after the other."""
    found: list[InferenceRow] = []
    after: Cursor | None = None
    while True:
        page = inferences(reader, HOUR, filters, limit=limit, after=after)
        found += page.rows
        if page.next is None:
            return found
        after = page.next


def test_pages_show_every_inference_once_newest_first(reader: Reader, sink: ClickHouseSink) -> None:
    rows = store_rows.an_hour(NOW, 100)
    for row in rows[:40]:
        row["started_at"] = NOW - timedelta(minutes=5)
    sink.write("inferences", store_rows.inferences(rows))
    found = through(reader, Filters(), 7)
    assert {row.event_id for row in found} == {row["event_id"] for row in rows}
    assert len(found) == 100
    assert [row.started_at for row in found] == sorted((row.started_at for row in found), reverse=True)


def test_pages_do_not_shift_when_new_inferences_arrive(reader: Reader, sink: ClickHouseSink) -> None:
    sink.write("inferences", store_rows.inferences(store_rows.an_hour(NOW, 20)))
    first = inferences(reader, HOUR, limit=10)
    sink.write("inferences", store_rows.inferences([{"started_at": NOW}]))
    second = inferences(reader, HOUR, limit=10, after=first.next)
    assert len({row.event_id for row in first.rows + second.rows}) == 20
    assert second.next is None


def test_the_list_matches_what_is_counted(reader: Reader, sink: ClickHouseSink) -> None:
    sink.write("inferences", store_rows.inferences(store_rows.an_hour(NOW, 200)))
    for filters in (Filters(status="error"), Filters(with_pii=True), Filters(text="password"), Filters(team="")):
        assert len(through(reader, filters, 50)) == totals(reader, HOUR, filters).requests > 0


def test_a_row_carries_what_the_list_shows(reader: Reader, sink: ClickHouseSink) -> None:
    event_id = uuid.uuid4()
    asked = "é" * 500
    row = {
        "event_id": event_id,
        "started_at": NOW,
        "time_to_first_token": 0.25,
        "input_tokens": 12,
        "cost": Decimal("0.000000001"),
        "input_messages": store_rows.chat(("system", "be kind"), ("user", asked)),
        "pii": [("PHONE_NUMBER", "output", 1), ("EMAIL_ADDRESS", "input", 1), ("EMAIL_ADDRESS", "output", 3)],
        "flags": ["late"],
    }
    sink.write("inferences", store_rows.inferences([row]))
    (found,) = inferences(reader, HOUR).rows
    assert (found.event_id, found.started_at) == (event_id, NOW)
    assert (found.time_to_first_token, found.time_per_output_token) == (0.25, None)
    assert (found.input_tokens, found.output_tokens) == (12, None)
    assert found.cost == Decimal("0.000000001")
    assert found.preview == "é" * 160
    assert found.pii_types == ("EMAIL_ADDRESS", "PHONE_NUMBER")
    assert found.flags == ("late",)


def test_one_inference_has_its_messages_parsed_and_times_exact(reader: Reader, sink: ClickHouseSink) -> None:
    event_id = uuid.uuid4()
    row = {
        "event_id": event_id,
        "started_at": NOW,
        "ingested_at": NOW + timedelta(seconds=2),
        "input_messages": store_rows.chat(("user", "call <PHONE_NUMBER>")),
        "input_characters": 19,
        "pii": [("PHONE_NUMBER", "input", 1)],
        "attributes": {"tenant": "north"},
        "finish_reasons": ["stop"],
        "truncated": True,
    }
    sink.write("inferences", store_rows.inferences([row]))
    found = inference(reader, event_id)
    assert found is not None
    assert found.started_at == NOW
    assert found.input_messages == (text_message("user", "call <PHONE_NUMBER>"),)
    assert found.output_messages == ()
    assert [(hit.entity_type, hit.place, hit.hits) for hit in found.pii] == [("PHONE_NUMBER", "input", 1)]
    assert found.attributes == {"tenant": "north"}
    assert found.finish_reasons == ("stop",)
    assert (found.truncated, found.text_expired) == (True, False)


def test_text_that_is_gone_is_told_from_text_that_never_was(reader: Reader, sink: ClickHouseSink) -> None:
    gone, never = uuid.uuid4(), uuid.uuid4()
    rows = [
        {"event_id": gone, "started_at": NOW, "input_characters": 5},
        {"event_id": never, "started_at": NOW},
    ]
    sink.write("inferences", store_rows.inferences(rows))
    found = [inference(reader, event_id) for event_id in (gone, never)]
    assert [one.text_expired for one in found if one is not None] == [True, False]


def test_an_inference_that_is_not_there_is_none(reader: Reader) -> None:
    assert inference(reader, uuid.uuid4()) is None


def test_choices_are_what_occurs(reader: Reader, sink: ClickHouseSink) -> None:
    sink.write("inferences", store_rows.inferences(store_rows.an_hour(NOW, 300)))
    found = choices(reader, HOUR)
    assert found.environments == ("production", "staging")
    assert found.models == ("ranker", "smollm2", "summariser")
    assert found.teams == ("", "search", "support")
    assert found.sources == ("otlp", "sdk", "sidecar-http")
    assert set(found.pii_types) <= {"CREDIT_CARD", "EMAIL_ADDRESS", "PHONE_NUMBER"}


def test_freshness_of_an_empty_store_is_unknown(reader: Reader) -> None:
    assert freshness(reader) == Freshness(None, None)


def test_freshness_is_the_last_arrival_and_the_delay_since_the_end(reader: Reader, sink: ClickHouseSink) -> None:
    old = {"started_at": NOW - timedelta(hours=2), "duration": 1.0}
    new = {"started_at": NOW, "duration": 1.0}
    sink.write("inferences", store_rows.inferences([old], arrived=NOW - timedelta(hours=1)))
    sink.write("inferences", store_rows.inferences([new], arrived=NOW + timedelta(seconds=4)))
    found = freshness(reader)
    assert found.newest == (NOW + timedelta(seconds=4)).replace(microsecond=789_000)
    assert found.delay == pytest.approx(3.0, abs=0.01)


def test_a_store_without_tables_refuses(settings: StoreSettings) -> None:
    elsewhere = open_reader(StoreSettings(url=settings.url, database="system"))
    with pytest.raises(StoreRefused) as caught:
        totals(elsewhere, HOUR)
    assert caught.value.code == 60


def test_a_store_that_is_not_there_says_where_it_should_be() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        open_reader(StoreSettings(url="http://127.0.0.1:1", connect_seconds=1))
    assert caught.value.url == "http://127.0.0.1:1"
