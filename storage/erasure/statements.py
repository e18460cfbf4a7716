"""Statements of an erasure: long ones, that no server writes down, and mutations that are waited for."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors
from storage.erasure.errors import MutationFailed

_LONGEST_QUERY: Final = 6 * 3600.0
_QUIET: Final[dict[str, Any]] = {"log_queries": 0, "max_execution_time": 0}
"""Erasing must leave no trace of what was erased in the log of queries."""

_MUTATION: Final[dict[str, Any]] = {**_QUIET, "allow_nondeterministic_mutations": 1}
_OURS: Final = "database = {database:String} AND table = {table:String} AND command LIKE '%erasures%'"
_EVERY: Final = 0.1


class Statements:
    """One client. Raises `StoreUnavailable` and `StoreRefused`; close it, or use it with `with`."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._client: Client = connect(dataclasses.replace(settings, query_seconds=_LONGEST_QUERY))

    def __enter__(self) -> Statements:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    @property
    def client(self) -> Client:
        """The client itself, for what others write with."""
        return self._client

    def rows(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Return the rows of a SELECT."""
        with translated_errors(self._settings.url):
            return self._client.query(sql, parameters=parameters, settings=_QUIET).result_rows

    def command(self, sql: str, **parameters: Any) -> None:
        """Run a statement that returns nothing."""
        with translated_errors(self._settings.url):
            self._client.command(sql, parameters, settings=_QUIET)

    def insert(self, table: str, columns: dict[str, list[Any]]) -> None:
        """Insert columns, as one part a partition."""
        with translated_errors(self._settings.url):
            self._client.insert(
                table,
                list(columns.values()),
                column_names=list(columns),
                column_oriented=True,
                settings={**_QUIET, "async_insert": 0},
            )

    def stored(self, table: str) -> str:
        """Return the name of the table that holds a table's rows on each node."""
        cluster = self._settings.cluster
        return table if cluster is None else cluster.stored(table)

    def altered(self, table: str) -> str:
        """Return what a statement that changes rows or partitions of a table on all nodes names."""
        cluster = self._settings.cluster
        # Replicas pass on such a statement by themselves; shards do not.
        return f"{cluster.stored(table)} {cluster.on}" if cluster is not None and cluster.is_sharded(table) else table

    def on_each_node(self, table: str) -> str:
        """Return what a statement that is about the nodes themselves, such as their settings, names."""
        cluster = self._settings.cluster
        return table if cluster is None else f"{cluster.stored(table)} {cluster.on}"

    def system(self, table: str) -> str:
        """Return SQL: a table of database `system`, of all nodes together."""
        cluster = self._settings.cluster
        return f"system.{table}" if cluster is None else f"clusterAllReplicas('{cluster.name}', system.{table})"

    @property
    def database(self) -> str:
        """The database."""
        return self._settings.database

    def mutate(self, table: str, sql: str, alive: Callable[[], None]) -> None:
        """Run a mutation that names table `erasures`, and wait until it is done; `alive` is called meanwhile.

        A mutation that fails is tried again by the server for ever and holds up all that follow: it is cancelled.

        Raises:
            MutationFailed: it cannot be done.
        """
        with translated_errors(self._settings.url):
            # Only this waits for replicas; alone it would say nothing meanwhile.
            wait = 0 if self._settings.cluster is None else 2
            self._client.command(sql, settings={**_MUTATION, "mutations_sync": wait})
        self.wait_for_mutations(table, alive)

    def wait_for_mutations(self, table: str, alive: Callable[[], None]) -> None:
        """Wait until no mutation of an erasure is under way on a table, this run's or an earlier one's."""
        while True:
            under_way = self.rows(
                f"SELECT mutation_id, latest_fail_reason FROM {self.system('mutations')} WHERE {_OURS} AND NOT is_done",  # noqa: S608 - ours
                database=self.database,
                table=self.stored(table),
            )
            if not under_way:
                return
            for _, reason in under_way:
                if reason:
                    on = "" if self._settings.cluster is None else self._settings.cluster.on
                    self.command(
                        f"KILL MUTATION {on} WHERE {_OURS} AND NOT is_done",
                        database=self.database,
                        table=self.stored(table),
                    )
                    raise MutationFailed(table, str(reason).split("\n", 1)[0][:500])
            alive()
            time.sleep(_EVERY)
