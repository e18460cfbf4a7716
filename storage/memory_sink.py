"""The sink of unit tests: lists instead of tables, and the same promises."""

from __future__ import annotations

import threading
from typing import Any

from storage.sink import Appended, Block, Columns, Table, check, listed


class MemorySink:
    """Keeps rows in lists."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self._writing = threading.Lock()

    def write(self, table: str, columns: Columns) -> None:
        """Keep the rows."""
        names = list(columns)
        rows = zip(*columns.values(), strict=True)
        self.tables.setdefault(table, []).extend(dict(zip(names, row, strict=True)) for row in rows)

    def append(self, table: Table, block: Block) -> Appended:
        """Keep those rows of a block that are not kept yet."""
        check(block)
        with self._writing:
            position = max(self.positions(table, block.topic_id).get(block.partition, -1), block.after)
            rest = block.behind(position)
            constant = {
                "source_topic_id": block.topic_id,
                "source_partition": block.partition,
                "ingested_at": block.ingested_at,
            }
            columns = {name: listed(values) for name, values in rest.columns.items()}
            self.write(table, {**columns, **{name: [value] * len(rest) for name, value in constant.items()}})
            return Appended(int(rest.offsets[-1]) if len(rest) else position, len(block) - len(rest))

    def positions(self, table: Table, topic_id: str) -> dict[int, int]:
        """Return the highest offset kept of each partition of the topic with that id."""
        highest: dict[int, int] = {}
        for row in self.tables.get(table, []):
            if row["source_topic_id"] != topic_id:
                continue
            partition = row["source_partition"]
            highest[partition] = max(highest.get(partition, -1), row["source_offset"])
        return highest

    def close(self) -> None:
        """Nothing to release."""
