"""How long each table keeps its rows, and texts within them; put into tables where they say something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors
from storage.cluster import render
from storage.errors import StorageError

_LONGEST: Final = 36_500


class BadRetention(StorageError):
    """`name` days cannot be kept."""

    def __init__(self, name: str, days: int, expected: str) -> None:
        super().__init__(f"retention of {name}: {days} days; expected {expected}")
        self.name = name
        self.days = days
        self.expected = expected


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """Days that things are kept, counted from their arrival, figures and embeddings from their own time.

    Attributes:
        rows: inferences, without their texts.
        text: prompts, answers, error messages, and comments of feedback.
        minutes: figures by minute, and what model servers say.
        hours: figures by hour, counts of PII, and what mirrors lost.
        embeddings: embeddings of a sample of prompts.
        feedback: ratings, without their comments.
        incidents: detections, alerts and retraining runs; None is for ever. So is the audit log.
    """

    rows: int = 90
    text: int = 30
    minutes: int = 60
    hours: int = 400
    embeddings: int = 30
    feedback: int = 400
    incidents: int | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            BadRetention: less than a day, or text that would outlive its row.
        """
        for each in fields(self):
            days = getattr(self, each.name)
            if days is not None and not 1 <= days <= _LONGEST:
                raise BadRetention(each.name, days, f"1 to {_LONGEST}")
        for name in ("text", "embeddings"):
            if getattr(self, name) > self.rows:
                raise BadRetention(name, getattr(self, name), f"at most as many as rows are kept, {self.rows}")
        if self.text > self.feedback:
            raise BadRetention("text", self.text, f"at most as many as feedback is kept, {self.feedback}")


@dataclass(frozen=True, slots=True)
class _Lifetime:
    """Of a table or, with `column`, of one column. `when` is what days are counted from."""

    table: str
    when: str
    days: int | None
    column: str = ""
    condition: str = ""

    @property
    def expression(self) -> str:
        return f"{self.when} + toIntervalDay({self.days}){self.condition}"


def apply(settings: StoreSettings, retention: RetentionSettings) -> tuple[str, ...]:
    """Let tables keep what `retention` says; return what was changed, in words. Tables must exist. It can be repeated.

    Where less is kept than before, ClickHouse removes the rest in the background.

    Raises:
        StoreUnavailable, StoreRefused: as `storage.client.connect`.
    """
    client = connect(settings)
    try:
        with translated_errors(settings.url):
            changed = []
            for lifetime in _lifetimes(retention):
                stored = lifetime.table if settings.cluster is None else settings.cluster.stored(lifetime.table)
                statement = _change(lifetime, _definition(client, stored))
                if statement:
                    for one in _rendered(statement, settings):
                        client.command(one, settings={"mutations_sync": 0})
                    what = f"{lifetime.table}.{lifetime.column}".rstrip(".")
                    kept = "for ever" if lifetime.days is None else f"for {lifetime.days} days"
                    changed.append(f"{what} is kept {kept}")
            return tuple(changed)
    finally:
        client.close()


def _lifetimes(retention: RetentionSettings) -> Iterator[_Lifetime]:
    arrived, figures = "toDateTime(ingested_at)", " WHERE environment != ''"
    yield _Lifetime("inferences", arrived, retention.rows)
    for column in ("error_message", "input_messages", "output_messages"):
        yield _Lifetime("inferences", arrived, retention.text, column)
    yield _Lifetime("metrics_1m", "bucket", retention.minutes, condition=figures)
    yield _Lifetime("metrics_1h", "bucket", retention.hours, condition=figures)
    yield _Lifetime("pii_hits", "bucket", retention.hours, condition=figures)
    yield _Lifetime("server_samples", "toDateTime(at)", retention.minutes)
    yield _Lifetime("drop_reports", "toDateTime(at)", retention.hours)
    yield _Lifetime("embeddings", "toDateTime(at)", retention.embeddings)
    yield _Lifetime("feedback", arrived, retention.feedback)
    yield _Lifetime("feedback", arrived, retention.text, "comment")
    for table in ("detections", "alerts", "retraining_runs"):
        yield _Lifetime(table, "toDateTime(at)", retention.incidents)


def _rendered(statement: str, settings: StoreSettings) -> tuple[str, ...]:
    return (statement,) if settings.cluster is None else render(statement, settings.cluster, settings.database)


def _definition(client: Client, table: str) -> str:
    rows = client.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        parameters={"table": table},
    ).result_rows
    return str(rows[0][0]) if rows else ""


def _change(lifetime: _Lifetime, definition: str) -> str:
    """Return the statement that changes a table of that definition, or "" where nothing is to be changed."""
    table, column = lifetime.table, lifetime.column
    if column:
        # Up to the next column: a type has no backquotes.
        found = re.search(rf"`{column}` [^`]*? TTL ([^`]*?)(?:, `|, INDEX|, PROJECTION|\) ENGINE)", definition)
        if found and _plain(found[1]) == _plain(lifetime.expression):
            return ""
        return f"ALTER TABLE {table} MODIFY COLUMN {column} TTL {lifetime.expression}"
    found = re.search(r"\) ENGINE = .*? TTL (.*?)(?: SETTINGS .*)?$", definition, re.DOTALL)
    if lifetime.days is None:
        return f"ALTER TABLE {table} REMOVE TTL" if found else ""
    if found and _plain(found[1]) == _plain(lifetime.expression):
        return ""
    return f"ALTER TABLE {table} MODIFY TTL {lifetime.expression}"


def _plain(expression: str) -> str:
    """Return an expression as it is compared: servers write it with their own blanks and brackets."""
    return re.sub(r"[\s()`]", "", expression)
