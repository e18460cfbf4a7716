"""Search in texts says the same whether the index answers or the texts are read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect
from storage.queries import Filters, Reader, TimeRange, inferences, totals
from storage.sink import ClickHouseSink
from tests.support import store_rows

NOW = store_rows.RECENT
HOUR = TimeRange.last(timedelta(hours=1), NOW)
TEXTS = (
    "Why was my card charged twice?",
    "Twice the user asked: is it charged?",
    "first line\nsecond line\r\nthird\tcolumn",
    r"C:\new\table",
    'He said "good morning" to me',
    "naïve café, Привет мир",
    "你好世界",
    "100% ok :-)",
)


@pytest.fixture
def client(settings: StoreSettings) -> Iterator[Client]:
    opened = connect(settings)
    yield opened
    opened.close()


@pytest.fixture(params=["as it was written", "merged", "without the index"])
def written(request: pytest.FixtureRequest, sink: ClickHouseSink, client: Client) -> None:
    """Every text in a row of its own, in a part of its own or merged, with an index or without."""
    if request.param == "without the index":
        client.command("ALTER TABLE inferences DROP INDEX words")
    for text in TEXTS:
        sink.write("inferences", store_rows.inferences([{"started_at": NOW, "input_messages": _chat(text)}]))
    failed = {"started_at": NOW, "status": "error", "error_message": "request timed out in the queue"}
    sink.write("inferences", store_rows.inferences([failed]))
    if request.param == "merged":
        client.command("OPTIMIZE TABLE inferences FINAL")


def _chat(text: str) -> str:
    return store_rows.chat(("system", "Be kind."), ("user", text))


@pytest.mark.usefixtures("written")
def test_words_are_found_where_they_stand_and_nowhere_else(reader: Reader) -> None:
    found = {text: totals(reader, HOUR, Filters(text=text)).requests for text in WANTED}
    assert found == WANTED


WANTED = {
    "charged": 2,
    "CHARGED twice": 2,
    "twice charged": 2,
    '"charged twice"': 1,
    "harge": 2,
    "absent": 0,
    # Names that JSON has beside the texts are no text.
    "user": 1,
    "content": 0,
    "text": 0,
    "parts": 0,
    "system": 0,
    # Short words are whole words.
    "is": 1,
    "hi": 0,
    # Line breaks and backslashes part words.
    "second": 1,
    "econd": 1,
    "nsecond": 0,
    "third": 1,
    "column": 1,
    "new": 1,
    "table": 1,
    r'"C:\new\table"': 1,
    '"first line\nsecond line"': 1,
    # Words beyond ASCII are whole words, in scripts that part words.
    "NAÏVE": 1,
    "привет": 1,
    "приве": 0,
    "世界": 1,
    "good morning": 1,
    "100%": 1,
    ":-)": 1,
    "timed out": 1,
    "kind": len(TEXTS),
}


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("text", ["charged", "kind", "timed queue", "世界"])
def test_the_list_holds_what_is_counted(reader: Reader, text: str) -> None:
    assert len(inferences(reader, HOUR, Filters(text=text)).rows) == totals(reader, HOUR, Filters(text=text)).requests


def test_the_index_forgets_the_words_of_text_that_expired(reader: Reader, sink: ClickHouseSink, client: Client) -> None:
    then = NOW - timedelta(days=31)
    old = {"started_at": then, "input_messages": _chat("remember me"), "input_characters": 11}
    range = TimeRange(then - timedelta(minutes=1), NOW)
    sink.write("inferences", store_rows.inferences([old]))
    client.command("OPTIMIZE TABLE inferences FINAL")
    assert totals(reader, range, Filters(user="")).requests == 1
    assert totals(reader, range, Filters(text="remember")).requests == 0
    words = "SELECT count() FROM mergeTreeTextIndex(currentDatabase(), 'inferences', 'words')"
    assert client.query(words).result_rows == [(0,)]
