"""Numbered SQL files, each applied once, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.client import Client

from storage import migration_lease
from storage.client import StoreSettings, connect, translated_errors
from storage.cluster import render
from storage.errors import MigrationUnderWay, SchemaTooNew, SchemaTooOld, StoreRefused

FOLDER: Final = Path(__file__).parent / "migrations"

_APPLIED: Final = (
    "CREATE TABLE IF NOT EXISTS schema_migrations"
    " (number UInt32, name String, applied_at DateTime64(3, 'UTC'))"
    " ENGINE = ReplacingMergeTree(applied_at) ORDER BY number"
)
_DATABASE: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file and its statements."""

    number: int
    name: str
    statements: tuple[str, ...]


def load(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Return all migrations in order; the number is the file name's first part."""
    return tuple(
        Migration(int(path.name.split("_", 1)[0]), path.stem, tuple(_statements(path.read_text())))
        for path in sorted(folder.glob("[0-9]*.sql"))
    )


def migrate(settings: StoreSettings, migrations: tuple[Migration, ...] | None = None) -> tuple[str, ...]:
    """Create the database and bring it up to date; return the names of what was applied.

    Statements are idempotent: a run that was killed in the middle of a file is finished by the next one. Of several
    runs at once one works and the others wait for it (see `storage.migration_lease`).

    Raises:
        SchemaTooNew: a later version of this code has been here.
        MigrationUnderWay: another run does not end.
        ClusterRefused: a migration that cannot be given to the cluster in the settings.
        StoreUnavailable, StoreRefused: as `storage.client.connect`.
    """
    known = load() if migrations is None else migrations
    client = connect(settings, database="")
    try:
        with translated_errors(settings.url):
            for statement in _rendered(f"CREATE DATABASE IF NOT EXISTS {_quoted(settings.database)}", settings):
                client.command(statement)
            client.database = settings.database
            for statement in (*_rendered(_APPLIED, settings), *_rendered(migration_lease.TABLE, settings)):
                client.command(statement)
            if not _wanted(client, known):
                return ()
            with migration_lease.held(client) as lease:
                wanted = _wanted(client, known)
                for migration in wanted:
                    _apply(client, migration, settings, lease)
            return tuple(migration.name for migration in wanted)
    finally:
        client.close()


def check(settings: StoreSettings, migrations: tuple[Migration, ...] | None = None) -> None:
    """Look whether the database has the schema of this code; changes nothing.

    Raises:
        SchemaTooNew, SchemaTooOld: it has another.
        StoreUnavailable, StoreRefused: as `storage.client.connect`.
    """
    known = load() if migrations is None else migrations
    newest = max((migration.number for migration in known), default=0)
    client = connect(settings, database="")
    try:
        with translated_errors(settings.url):
            found = _found(client, settings.database)
    finally:
        client.close()
    if found > newest:
        raise SchemaTooNew(found, newest)
    if found < newest:
        raise SchemaTooOld(found, newest)


def _apply(client: Client, migration: Migration, settings: StoreSettings, lease: migration_lease.Lease) -> None:
    for statement in migration.statements:
        for rendered in _rendered(statement, settings):
            other = lease.keep()
            if other is not None:
                # Statements took longer than the lease is good for: the other one does the same work, and ends it.
                raise MigrationUnderWay(other, 0.0)
            client.command(rendered)
    client.command(
        "INSERT INTO schema_migrations SELECT {number:UInt32}, {name:String}, now64(3, 'UTC')",
        {"number": migration.number, "name": migration.name},
    )


def _wanted(client: Client, known: tuple[Migration, ...]) -> list[Migration]:
    found = int(str(client.command("SELECT max(number) FROM schema_migrations")))
    newest = max((migration.number for migration in known), default=0)
    if found > newest:
        raise SchemaTooNew(found, newest)
    return [migration for migration in known if migration.number > found]


def _found(client: Client, database: str) -> int:
    where = {"database": database, "table": "schema_migrations"}
    if not client.command("EXISTS TABLE {database:Identifier}.{table:Identifier}", where):
        return 0
    return int(str(client.command("SELECT max(number) FROM {database:Identifier}.{table:Identifier}", where)))


def _rendered(statement: str, settings: StoreSettings) -> tuple[str, ...]:
    return (statement,) if settings.cluster is None else render(statement, settings.cluster, settings.database)


def _quoted(database: str) -> str:
    if not _DATABASE.fullmatch(database):
        raise StoreRefused(None, f"{database!r} is not a database's name: letters, digits, _ and - only")
    return f"`{database}`"


def _statements(text: str) -> Iterator[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    for statement in "\n".join(lines).split(";\n"):
        if statement.strip(" \n;"):
            yield statement.strip(" \n;")
