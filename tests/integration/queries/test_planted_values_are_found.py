"""The demo's search for planted values finds them wherever they stand: its "none" must mean that there is none."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from app.demo import audit
from storage.client import StoreSettings, connect
from storage.sink import ClickHouseSink
from storage.state import ClickHouseStateStore, SavedState
from tests.support import store_rows

EMAIL = "ada.000001@example.org"
CARD = "4111 1111 1111 1111"
OTHERS = [f"absent.{number}@example.org" for number in range(450)]


@pytest.fixture
def client(settings: StoreSettings) -> Iterator[Client]:
    opened = connect(settings)
    yield opened
    opened.close()


def row(**values: Any) -> dict[str, Any]:
    return {"started_at": store_rows.RECENT, **values}


def test_nothing_is_found_where_nothing_stands(sink: ClickHouseSink, client: Client) -> None:
    sink.write("inferences", store_rows.inferences([row(input_messages=store_rows.chat(("user", "<EMAIL_ADDRESS>")))]))
    assert audit.found_in_clear(client, [EMAIL, CARD, *OTHERS]) == []


@pytest.mark.parametrize(
    "values",
    [
        {"input_messages": store_rows.chat(("user", f"write to {EMAIL} soon"))},
        {"output_messages": store_rows.chat(("assistant", EMAIL))},
        {"attributes": {"note": f"from {EMAIL}"}},
        {"attributes": {EMAIL: "a key"}},
        {"finish_reasons": ["stop", EMAIL]},
        {"team": EMAIL},
        {"error_message": f'said "{EMAIL}"'},
        {"parameters": f'{{"user": "{EMAIL}"}}'},
    ],
    ids=lambda values: next(iter(values)),
)
def test_a_value_in_any_column_is_found_among_many(
    sink: ClickHouseSink, client: Client, values: dict[str, Any]
) -> None:
    sink.write("inferences", store_rows.inferences([row(), row(**values), row()]))
    assert audit.found_in_clear(client, [*OTHERS, EMAIL]) == [EMAIL]


def test_a_value_without_its_blanks_is_found(sink: ClickHouseSink, client: Client) -> None:
    sink.write("inferences", store_rows.inferences([row(parameters='{"card": 4111111111111111}')]))
    assert audit.found_in_clear(client, [CARD]) == [CARD]


def test_a_value_in_another_table_is_found(sink: ClickHouseSink, settings: StoreSettings, client: Client) -> None:
    sink.write(
        "alerts", store_rows.columns([store_rows.transition(uuid.uuid4(), "firing", store_rows.RECENT, summary=EMAIL)])
    )
    assert audit.found_in_clear(client, [EMAIL, CARD]) == [EMAIL]
    ClickHouseStateStore(settings).save("detect", 0, SavedState({}, {"model": CARD}))
    assert audit.found_in_clear(client, [EMAIL, CARD]) == sorted([EMAIL, CARD])
