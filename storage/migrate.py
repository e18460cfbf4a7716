"""Numbered SQL files, each applied once, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.client import StoreSettings, connect, translated_errors
from storage.errors import SchemaTooNew

FOLDER: Final = Path(__file__).parent / "migrations"


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

    Statements are idempotent: a run that was killed in the middle of a file is finished by the next one, and two
    runs at once do the same work twice without harm.

    Raises:
        SchemaTooNew: a later version of this code has been here.
        StoreUnavailable, StoreRefused: as `storage.client.connect`.
    """
    known = load() if migrations is None else migrations
    client = connect(settings, database="")
    try:
        with translated_errors(settings.url):
            client.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", {"name": settings.database})
            client.database = settings.database
            client.command(
                "CREATE TABLE IF NOT EXISTS schema_migrations"
                " (number UInt32, name String, applied_at DateTime64(3, 'UTC'))"
                " ENGINE = ReplacingMergeTree(applied_at) ORDER BY number"
            )
            found = int(str(client.command("SELECT max(number) FROM schema_migrations")))
            newest = max((migration.number for migration in known), default=0)
            if found > newest:
                raise SchemaTooNew(found, newest)
            wanted = [migration for migration in known if migration.number > found]
            for migration in wanted:
                for statement in migration.statements:
                    client.command(statement)
                client.command(
                    "INSERT INTO schema_migrations SELECT {number:UInt32}, {name:String}, now64(3, 'UTC')",
                    {"number": migration.number, "name": migration.name},
                )
            return tuple(migration.name for migration in wanted)
    finally:
        client.close()


def _statements(text: str) -> Iterator[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    for statement in "\n".join(lines).split(";\n"):
        if statement.strip(" \n;"):
            yield statement.strip(" \n;")
