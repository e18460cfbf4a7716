"""Does what is stored, counted and set apart come to what was produced: no more, no less, nothing twice?"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from app.bench.ledger import Figures, Ledger, Place
from inferwatch import topics
from processors.settings import KafkaSettings
from processors.topic_reader import Removed, TopicReader, headers_of

GROUP: Final = "inferwatch-enrich"
_SUMS: Final = tuple(field.name for field in dataclasses.fields(Figures))
_SHOWN: Final = 5


def behind(kafka: KafkaSettings) -> int:
    """Return how many records the enrich workers have not acknowledged yet."""
    with TopicReader(kafka, topics.INFERENCES) as reader:
        spans = reader.whole()
        committed = reader.committed(GROUP, [span.partition for span in spans])
    return sum(span.end - committed.get(span.partition, 0) for span in spans)


def counted(client: Client) -> dict[str, int]:
    """Return how many rows there are, and how many of them each rollup counts."""
    tables = {
        "inferences": "SELECT count() FROM inferences",
        "metrics_1m": "SELECT sum(requests) FROM metrics_1m",
        "metrics_1h": "SELECT sum(requests) FROM metrics_1h",
        "pii_hits": "SELECT sum(inferences) FROM pii_hits",
    }
    return {table: int(str(client.command(sql))) for table, sql in tables.items()}


def expected(ledger: Ledger) -> dict[str, int]:
    """Return what `counted` should come to."""
    with_hits = sum(inferences for _, inferences in ledger.hits().values())
    return {**dict.fromkeys(("inferences", "metrics_1m", "metrics_1h"), len(ledger.events)), "pii_hits": with_hits}


def differences(ledger: Ledger, client: Client) -> list[str]:
    """Return what of rows and rollups is not as the ledger says, in words."""
    found = _differing("rows", _rows(client), {(*place, event.event_id): 1 for place, event in ledger.events.items()})
    for table, seconds in (("metrics_1m", 60), ("metrics_1h", 3600)):
        expected = {key: dataclasses.astuple(figures) for key, figures in ledger.figures(seconds).items()}
        found += _differing(table, _sums(client, table), expected)
    found += _differing("pii_hits", _hits(client), ledger.hits())
    rows = client.command(
        "SELECT sum(cityHash64(source_topic_id, source_partition, source_offset, source_index)) FROM inferences"
    )
    for table in ("metrics_1m", "metrics_1h"):
        of_table = client.command(f"SELECT sum(fingerprint) FROM {table} WHERE environment != ''")  # noqa: S608 - ours
        if of_table != rows:
            found.append(f"{table}: its fingerprint {of_table} is not that of the rows, {rows}")
    return found


def letters(kafka: KafkaSettings) -> Counter[tuple[Place, bytes]]:
    """Return what was set apart, by where it stood, and how often."""
    found: Counter[tuple[Place, bytes]] = Counter()
    with TopicReader(kafka, topics.DEAD_LETTERS) as reader:
        for messages in reader.read(reader.whole()):
            if isinstance(messages, Removed):
                raise TimeoutError("dead letters were removed while they were read")
            for message in messages:
                headers = headers_of(message)
                place = (int(headers["partition"]), int(headers["offset"]), int(headers["index"]))
                found[place, message.value() or b""] += 1
    return found


def wrong_letters(ledger: Ledger, found: Mapping[tuple[Place, bytes], int]) -> list[str]:
    """Return what of the dead letters is not as the ledger says. They may repeat."""
    expected = dict.fromkeys(ledger.poison.items(), 1)
    return _differing("dead letters", dict.fromkeys(found, 1), expected)


def _rows(client: Client) -> Counter[tuple[int, int, int, str]]:
    result = client.query(
        "SELECT source_partition, source_offset, source_index, toString(event_id) FROM inferences", settings=_NO_CAP
    )
    return Counter((int(row[0]), int(row[1]), int(row[2]), str(row[3])) for row in result.result_rows)


def _sums(client: Client, table: str) -> dict[tuple[int, str], tuple[Any, ...]]:
    sums = ", ".join(f"sum({name})" for name in _SUMS)
    result = client.query(
        f"SELECT bucket, model, {sums} FROM {table} WHERE environment != '' GROUP BY bucket, model"  # noqa: S608 - ours
    )
    return {(_seconds(row[0]), str(row[1])): tuple(row[2:]) for row in result.result_rows}


def _hits(client: Client) -> dict[tuple[int, str, str], tuple[int, int]]:
    result = client.query(
        "SELECT bucket, model, place, sum(hits), sum(inferences), groupUniqArray(entity_type) FROM pii_hits"
        " WHERE environment != '' GROUP BY bucket, model, place"
    )
    return {
        (_seconds(row[0]), str(row[1]), str(row[2]) if row[5] == ["EMAIL_ADDRESS"] else f"{row[2]}: {row[5]}"): (
            int(row[3]),
            int(row[4]),
        )
        for row in result.result_rows
    }


def _differing(what: str, found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> list[str]:
    keys: list[Hashable] = [
        key for key in sorted(found.keys() | expected.keys(), key=str) if found.get(key) != expected.get(key)
    ]
    told = [f"{what}: {key} is {found.get(key)}, not {expected.get(key)}" for key in keys[:_SHOWN]]
    return told if len(keys) <= _SHOWN else [*told, f"{what}: {len(keys) - _SHOWN} more differ"]


def _seconds(bucket: dt.datetime) -> int:
    return int(bucket.replace(tzinfo=dt.UTC).timestamp())


_NO_CAP: Final = {"max_result_rows": 0}
