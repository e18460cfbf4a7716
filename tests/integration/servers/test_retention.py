"""Lifetimes on the real engine: applied once, idempotent, and rows really go."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from storage import audit
from storage.client import StoreSettings, connect
from storage.migrate import migrate
from storage.retention import RetentionSettings, apply
from tests.support import store_rows
from tests.support.waiting import wait_for


@pytest.fixture
def migrated(store: StoreSettings) -> StoreSettings:
    migrate(store)
    return store


def test_what_migrations_create_is_the_default(migrated: StoreSettings) -> None:
    assert apply(migrated, RetentionSettings()) == ()


def test_lifetimes_are_changed_once_and_can_be_taken_back(migrated: StoreSettings) -> None:
    other = RetentionSettings(rows=80, text=7, minutes=10, hours=100, embeddings=8, feedback=90, incidents=365)
    changed = apply(migrated, other)
    assert len(changed) == 15
    assert "inferences.input_messages is kept for 7 days" in changed
    assert "alerts is kept for 365 days" in changed
    assert apply(migrated, other) == ()
    assert len(apply(migrated, RetentionSettings())) == 15
    assert apply(migrated, RetentionSettings()) == ()


def test_a_shorter_lifetime_removes_what_is_older(migrated: StoreSettings) -> None:
    client = connect(migrated)
    try:
        now = dt.datetime.now(dt.UTC)
        for days in (1, 10, 50):
            at = now - dt.timedelta(days=days)
            columns = store_rows.inferences([{"started_at": at, "input_messages": f"text {days}"}], arrived=at)
            client.insert("inferences", list(columns.values()), column_names=list(columns), column_oriented=True)
        apply(migrated, RetentionSettings(rows=40, text=5, embeddings=5))

        def kept() -> list[str]:
            return [row[0] for row in client.query("SELECT input_messages FROM inferences ORDER BY 1").result_rows]

        wait_for(lambda: kept() == ["", "text 1"], "rows of 40 days, texts of 5")
    finally:
        client.close()


def test_the_audit_log_tells_who_did_what_newest_first(migrated: StoreSettings) -> None:
    audit.record(migrated, actor="cli:a", action="erase", subject="user:1", outcome="started")
    client = connect(migrated)
    try:
        audit.record(
            client, actor="cli:a", action="erase", subject="user:1", outcome="done", details={"rows": 3, "é": None}
        )
        audit.record(client, actor="dashboard:b", action="export", subject="rows", outcome="done")
        assert [entry.action for entry in audit.entries(client)] == ["export", "erase", "erase"]
        last = audit.entries(client, actions=["erase"], subject="user:1", most=1)
    finally:
        client.close()
    assert [(entry.actor, entry.outcome, entry.details) for entry in last] == [
        ("cli:a", "done", {"rows": 3, "é": None})
    ]
    assert json.dumps(last[0].details)
    assert audit.entries(migrated, since=last[0].at + dt.timedelta(days=1)) == []
