"""Snapshots of processor state, each with the offsets, by topic, that it belongs to. Plain JSON, never a pickle."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, Protocol

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors


@dataclass(frozen=True, slots=True)
class SavedState:
    """What a component knew of one partition once it had processed everything up to `offsets`, by topic."""

    offsets: dict[str, int]
    snapshot: dict[str, Any]


class StateStore(Protocol):
    """Keeps the latest snapshot of each component and partition. Calls block; both raise `StorageError`s."""

    def load(self, component: str, partition: int) -> SavedState | None:
        """Return the latest snapshot, or None where there is none."""
        ...

    def save(self, component: str, partition: int, state: SavedState) -> None:
        """Replace the snapshot."""
        ...


class ClickHouseStateStore:
    """Snapshots in table `state`."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._client: Client | None = None

    def load(self, component: str, partition: int) -> SavedState | None:
        """Return the latest snapshot, or None where there is none."""
        with translated_errors(self._settings.url):
            rows = (
                self._connected()
                .query(
                    "SELECT offsets, snapshot FROM state"
                    " WHERE component = {component:String} AND partition = {partition:UInt32}"
                    " ORDER BY saved_at DESC LIMIT 1",
                    parameters={"component": component, "partition": partition},
                )
                .result_rows
            )
        if not rows:
            return None
        offsets, snapshot = rows[0]
        return SavedState({str(topic): int(offset) for topic, offset in offsets.items()}, json.loads(snapshot))

    def save(self, component: str, partition: int, state: SavedState) -> None:
        """Replace the snapshot."""
        row = [component, partition, state.offsets, json.dumps(state.snapshot), dt.datetime.now(dt.UTC)]
        with translated_errors(self._settings.url):
            self._connected().insert(
                "state", [row], column_names=["component", "partition", "offsets", "snapshot", "saved_at"]
            )

    def _connected(self) -> Client:
        if self._client is None:
            self._client = connect(self._settings)
        return self._client


class MemoryStateStore:
    """Snapshots in a dictionary, through JSON as the real one: the store of unit tests."""

    def __init__(self) -> None:
        self._saved: dict[tuple[str, int], str] = {}

    def load(self, component: str, partition: int) -> SavedState | None:
        """Return the latest snapshot, or None where there is none."""
        text = self._saved.get((component, partition))
        return None if text is None else SavedState(**json.loads(text))

    def save(self, component: str, partition: int, state: SavedState) -> None:
        """Replace the snapshot."""
        self._saved[component, partition] = json.dumps({"offsets": state.offsets, "snapshot": state.snapshot})
