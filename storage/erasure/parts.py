"""What mutations replaced stays on disk for minutes: waiting until it is deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from storage.erasure.report import Found
from storage.erasure.statements import Statements

_EVERY: Final = 0.2


def replaced_parts(statements: Statements, tables: Sequence[str]) -> set[tuple[str, str]]:
    """Return table and name of every part that a newer one has replaced and that is still on disk."""
    rows = statements.rows(
        f"SELECT table, name FROM {statements.system('parts')} WHERE database = {{database:String}} AND NOT active"  # noqa: S608 - ours
        " AND has({tables:Array(String)}, table)",
        database=statements.database,
        tables=[statements.stored(table) for table in tables],
    )
    names = {statements.stored(table): table for table in tables}
    return {(names[str(table)], str(name)) for table, name in rows}


def delete_replaced_parts(
    statements: Statements, tables: Sequence[str], keep_seconds: int, most_seconds: float, alive: Callable[[], None]
) -> Found:
    """Wait until every part that is replaced by now is off the disk; return how many there were and how many are left.

    Tables keep such parts for `keep_seconds` meanwhile, not for the server's eight minutes. A query that still reads
    one holds it; after `most_seconds` it is reported as left.
    """
    replaced = left = replaced_parts(statements, tables)
    touched = sorted({table for table, _ in replaced})
    for table in touched:
        statements.command(
            f"ALTER TABLE {statements.on_each_node(table)} MODIFY SETTING old_parts_lifetime = {keep_seconds}"
        )
    try:
        deadline = time.monotonic() + most_seconds
        while left and time.monotonic() < deadline:
            for table in {table for table, _ in left}:
                # Dropping a partition that is not there lets the server clean up now; by itself it takes half a minute.
                statements.command(f"ALTER TABLE {statements.altered(table)} DROP PARTITION ID 'none'")
            alive()
            time.sleep(_EVERY)
            left = left & replaced_parts(statements, touched)
    finally:
        for table in touched:
            statements.command(f"ALTER TABLE {statements.on_each_node(table)} RESET SETTING old_parts_lifetime")
    note = ", ".join(sorted(f"{table}/{name}" for table, name in left)[:5])
    return Found("replaced parts on disk", len(replaced), "parts", len(left), note)
