"""The same migrations for a cluster: replicated tables, and a sharded one where rows are many.

A migration says `ENGINE = MergeTree`. On a cluster each table becomes a replicated one:

- Where the cluster is not sharded, every table is a `Replicated…MergeTree`, one copy on each replica.
- Where it is, tables with a shard key become `<name>_local`, replicated within each shard, below a `Distributed` table
  `<name>`. All others, which are small, have a copy on every node, so that one insert stays one atomic part.

A shard key must send the rows of one insert to one shard, or a repeated insert would no longer be recognised as one.
Statements of kinds that are not known here are refused: a guess would leave nodes that differ from one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from storage.errors import ClusterRefused

_BY_RECORD: Final = "cityHash64(source_topic_id, source_partition)"
SHARD_KEYS: Final = (
    ("inferences", _BY_RECORD),
    ("feedback", _BY_RECORD),
    ("embeddings", "cityHash64(event_id)"),
)
"""Tables with many rows, and what decides on which shard a row is: the Kafka partition that an insert is about."""

# A token must be known for longer than any writer can be late; the server's default is an hour.
_REMEMBERED_SECONDS: Final = 7 * 86_400

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]+")
_MACRO: Final = re.compile(r"[A-Za-z0-9_.{}-]+")
_PATH: Final = re.compile(r"(/[A-Za-z0-9_.{}-]+)+")

_STATEMENT: Final = re.compile(
    r"(?P<verb>CREATE DATABASE IF NOT EXISTS|CREATE TABLE IF NOT EXISTS|CREATE MATERIALIZED VIEW IF NOT EXISTS"
    r"|ALTER TABLE|DROP TABLE IF EXISTS)\s+(?P<name>\w+|`[^`]+`)(?P<rest>(?:\s.*|\(.*)?)",
    re.DOTALL,
)
_ENGINE: Final = re.compile(r"\bENGINE\s*=\s*(?P<family>\w*)MergeTree\b")
_REPLICATED: Final = frozenset({"", "Replacing", "Aggregating", "Summing", "Collapsing", "VersionedCollapsing"})
_VIEW: Final = re.compile(r"\s+TO\s+(?P<target>\w+)\s+AS\s")
_SOURCE: Final = re.compile(r"\b(FROM|JOIN)\s+(\w+)")
_ACTION: Final = re.compile(
    r"\s*(?P<verb>ADD|DROP|CLEAR|MODIFY|RENAME|COMMENT|MATERIALIZE|ALTER|RESET|REMOVE|DELETE|UPDATE)\s+(?P<of>[A-Z]+)"
)
_ACTIONS: Final = frozenset(
    {
        *(f"{verb} COLUMN" for verb in ("ADD", "DROP", "CLEAR", "MODIFY", "RENAME", "COMMENT", "MATERIALIZE")),
        *(f"{verb} {what}" for verb in ("ADD", "DROP", "CLEAR", "MATERIALIZE") for what in ("INDEX", "PROJECTION")),
        *(f"{verb} {what}" for verb in ("MODIFY", "RESET") for what in ("SETTING",)),
        *("MODIFY TTL", "MODIFY ORDER", "MODIFY COMMENT", "MATERIALIZE TTL", "REMOVE TTL"),
    }
)
_WINDOW: Final = re.compile(r"\bnon_replicated_deduplication_window\s*=\s*(\d+)")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """A cluster as its nodes' configuration describes it.

    Attributes:
        name: the cluster's name in `remote_servers`; statements run `ON CLUSTER` it.
        replica: what tells replicas of one shard apart, as a macro of each node or a part of a name.
        shard: the same for shards; looked at only where `sharded`.
        path: where in Keeper the tables are.
        sharded: whether tables with a shard key are spread over the shards.
        shard_keys: tables whose rows are spread, each with the expression by which they are.

    Raises:
        ClusterRefused: a name that would not be one in SQL.
    """

    name: str
    replica: str = "{replica}"
    shard: str = "{shard}"
    path: str = "/clickhouse/tables"
    sharded: bool = False
    shard_keys: tuple[tuple[str, str], ...] = SHARD_KEYS

    def __post_init__(self) -> None:
        """Look at every part that becomes SQL."""
        for what, value, form in (
            ("name", self.name, _WORD),
            ("replica", self.replica, _MACRO),
            ("shard", self.shard, _MACRO),
            ("path", self.path, _PATH),
            *(("table with a shard key", table, _NAME) for table, _ in self.shard_keys),
        ):
            if not form.fullmatch(value):
                raise ClusterRefused(value, f"is not a cluster's {what} of the form {form.pattern}")

    @property
    def on(self) -> str:
        """The clause that makes a statement run on every node."""
        return f"ON CLUSTER '{self.name}'"

    def is_sharded(self, table: str) -> bool:
        """Whether `table` is spread over the shards."""
        return self.sharded and table in dict(self.shard_keys)

    def stored(self, table: str) -> str:
        """Name of the table that holds rows on each node: what mutations and partitions are about."""
        return f"{table}_local" if self.is_sharded(table) else table

    def session(self) -> dict[str, str | int]:
        """Settings with which a writer reads what was acknowledged, whichever replica answers.

        An insert is acknowledged when a majority of replicas has it, and a reader waits for what was acknowledged:
        without both, a position that is read back could be older than the insert before.
        """
        settings: dict[str, str | int] = {
            "insert_quorum": "auto",
            "insert_quorum_parallel": 0,
            "select_sequential_consistency": 1,
            "alter_sync": 2,
        }
        if self.sharded:
            # Rows are with their shard when an insert is answered; a join sees the rows of all shards.
            settings |= {"distributed_foreground_insert": 1, "distributed_product_mode": "global"}
        return settings


def render(statement: str, cluster: ClusterSettings, database: str) -> tuple[str, ...]:
    """Return what to run on one node so that `statement` of a migration holds on the whole cluster.

    Raises:
        ClusterRefused: a kind of statement, engine or change that is not known here.
    """
    match = _STATEMENT.fullmatch(statement.strip())
    if match is None:
        raise ClusterRefused(statement, "is of a kind that is not known to hold on a whole cluster")
    verb, name, rest = match["verb"], match["name"], match["rest"] or ""
    outside = _outside(rest, statement)
    match verb:
        case "CREATE DATABASE IF NOT EXISTS":
            return (f"{verb} {name} {cluster.on}{rest}",)
        case "DROP TABLE IF EXISTS":
            if rest.strip():
                raise ClusterRefused(statement, "drops a table in a way that is not known here")
            # A name may be used again at once, and with it the path in Keeper.
            faces = (name, cluster.stored(name)) if cluster.is_sharded(name) else (name,)
            return tuple(f"{verb} {face} {cluster.on} SYNC" for face in faces)
        case "CREATE TABLE IF NOT EXISTS":
            made = f"{verb} {cluster.stored(name)} {cluster.on}{_replicated(rest, outside, name, cluster, statement)}"
            return (made, _face(name, cluster, database)) if cluster.is_sharded(name) else (made,)
        case "CREATE MATERIALIZED VIEW IF NOT EXISTS":
            return (f"{verb} {name} {cluster.on}{_view(rest, outside, cluster, statement)}",)
        case _:
            return _altered(name, rest, outside, cluster, database, statement)


def _replicated(rest: str, outside: str, name: str, cluster: ClusterSettings, statement: str) -> str:
    engine = _ENGINE.search(outside)
    if engine is None or engine["family"] not in _REPLICATED:
        raise ClusterRefused(statement, "makes a table of an engine that has no replicated form")
    # Under a table's own id, a copy of a table, or one made again under its name, has a place of its own.
    path = f"{cluster.path}/{{uuid}}"
    replica = cluster.replica
    if cluster.is_sharded(name):
        path = f"{path}/{cluster.shard}"
    elif cluster.sharded:
        replica = f"{cluster.shard}-{replica}"
    after = rest[engine.end() :]
    given = re.match(r"\s*\((?P<arguments>[^()]*)\)", after)
    more = ", " + given["arguments"] if given and given["arguments"].strip() else ""
    rest_of_it = after[given.end() :] if given else after
    made = f"ENGINE = Replicated{engine['family']}MergeTree('{path}', '{replica}'{more})"
    return rest[: engine.start()] + made + _renamed(rest_of_it)


def _face(name: str, cluster: ClusterSettings, database: str) -> str:
    # Replaced at once, so that a change of columns holds for it too, and nobody finds it missing.
    stored, key = cluster.stored(name), dict(cluster.shard_keys)[name]
    return (
        f"CREATE OR REPLACE TABLE {name} {cluster.on} AS {stored}\n"
        f"ENGINE = Distributed('{cluster.name}', '{database}', '{stored}', {key})"
    )


def _view(rest: str, outside: str, cluster: ClusterSettings, statement: str) -> str:
    head = _VIEW.match(outside)
    if head is None:
        raise ClusterRefused(statement, "makes a view that keeps its rows itself; it needs TO and a table")
    # It follows the rows that a node keeps; what it makes of them goes to the table that all nodes see.
    return rest[: head.end()] + _SOURCE.sub(lambda found: f"{found[1]} {cluster.stored(found[2])}", rest[head.end() :])


def _altered(
    name: str, rest: str, outside: str, cluster: ClusterSettings, database: str, statement: str
) -> tuple[str, ...]:
    actions = list(_actions(outside))
    if not actions or not _ACTIONS.issuperset(actions):
        raise ClusterRefused(statement, "changes a table in a way that is not known to hold on a whole cluster")
    if not cluster.is_sharded(name):
        # Replicas tell one another of it; told to each of them, it would run several times.
        return (f"ALTER TABLE {name}{_renamed(rest)}",)
    changed = f"ALTER TABLE {cluster.stored(name)} {cluster.on}{_renamed(rest)}"
    columns = any(action.endswith(" COLUMN") for action in actions)
    return (changed, _face(name, cluster, database)) if columns else (changed,)


def _actions(outside: str) -> Iterator[str]:
    """The kinds of change in an ALTER; a comma may also part settings of one change."""
    for position, part in enumerate(outside.split(",")):
        action = _ACTION.match(part)
        if action is not None:
            yield f"{action['verb']} {action['of']}"
        elif position == 0 or not re.match(r"\s*\w+\s*=", part):
            yield part.strip()


def _renamed(rest: str) -> str:
    return _WINDOW.sub(
        rf"replicated_deduplication_window = \1, replicated_deduplication_window_seconds = {_REMEMBERED_SECONDS}", rest
    )


def _outside(text: str, statement: str) -> str:
    """`text` with everything in brackets and quotes blanked, at the same positions."""
    shown = []
    depth = 0
    for token in re.finditer(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|\"[^\"]*\"|.", text, re.DOTALL):
        mark = token[0]
        depth -= mark == ")"
        if depth < 0 or mark in ("'", "`", '"'):
            raise ClusterRefused(statement, "has brackets or quotes without a partner")
        shown.append(mark if depth == 0 and len(mark) == 1 and mark != ")" else " " * len(mark))
        depth += mark == "("
    if depth:
        raise ClusterRefused(statement, "has brackets or quotes without a partner")
    return "".join(shown)
