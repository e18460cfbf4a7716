"""Who did what to whose data, and what came of it: table `audit_log`. Append only.

A subject that is a person is never written as it is: pass a keyed hash of it, see `subject_hash`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors

_HASH_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the log. `details` are what a reader needs to judge it: counts and places, never values."""

    at: dt.datetime
    actor: str
    action: str
    subject: str
    outcome: str
    details: dict[str, Any]


def record(
    store: StoreSettings | Client,
    *,
    actor: str,
    action: str,
    subject: str,
    outcome: str,
    details: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Append one entry and return it; it is stored once this returns.

    Args:
        store: where; a client stays open.
        actor: who, such as `cli:ada` or `dashboard:ada@example.org`.
        action: what, a word such as `erase`, `export`, `acknowledge`, `approve`.
        subject: to what.
        outcome: `started`, `done`, `failed` or another word.
        details: anything that JSON can hold.

    Raises:
        StoreUnavailable, StoreRefused: as `storage.client.connect`.
    """
    entry = AuditEntry(dt.datetime.now(dt.UTC), actor, action, subject, outcome, dict(details or {}))
    row = [entry.at, actor, action, subject, outcome, json.dumps(entry.details, ensure_ascii=False, default=str)]
    with _client(store) as client:
        client.insert(
            "audit_log",
            [row],
            column_names=["at", "actor", "action", "subject", "outcome", "details"],
            settings={"async_insert": 0},
        )
    return entry


def entries(
    store: StoreSettings | Client,
    *,
    since: dt.datetime | None = None,
    actions: Sequence[str] = (),
    subject: str = "",
    most: int = 1_000,
) -> list[AuditEntry]:
    """Return the latest `most` entries, newest first; of some actions or one subject where these are given.

    Raises:
        StoreUnavailable, StoreRefused: as `storage.client.connect`.
    """
    with _client(store) as client:
        rows = client.query(
            "SELECT at, actor, action, subject, outcome, details FROM audit_log"
            " WHERE at >= {since:DateTime64(6, 'UTC')}"
            " AND (empty({actions:Array(String)}) OR has({actions:Array(String)}, action))"
            " AND (empty({subject:String}) OR subject = {subject:String})"
            " ORDER BY at DESC LIMIT {most:UInt32}",
            parameters={
                "since": since or dt.datetime.fromtimestamp(0, dt.UTC),
                "actions": list(actions),
                "subject": subject,
                "most": most,
            },
        ).result_rows
    return [
        AuditEntry(at, actor, action, subject, outcome, json.loads(details or "{}"))
        for at, actor, action, subject, outcome, details in rows
    ]


def subject_hash(secret: str, kind: str, identity: str) -> str:
    """Return what stands for `identity` in the log: `kind:` and 128 bits of HMAC-SHA256 under `secret`.

    It differs from the hash that stands for a user in rows, so the log leads to no row.
    """
    message = f"audit\0{kind}\0{identity}".encode()
    return f"{kind}:{hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()[:_HASH_CHARACTERS]}"


@contextmanager
def _client(store: StoreSettings | Client) -> Iterator[Client]:
    if isinstance(store, Client):
        with translated_errors(str(getattr(store, "url", "ClickHouse"))):
            yield store
        return
    client = connect(store)
    try:
        with translated_errors(store.url):
            yield client
    finally:
        client.close()
