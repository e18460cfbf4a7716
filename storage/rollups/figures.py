"""What the rollups hold, as SQL over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

RollupName = Literal["metrics_1m", "metrics_1h", "pii_hits"]

FINGERPRINT: Final = "sum(cityHash64(r.source_topic_id, r.source_partition, r.source_offset, r.source_index))"
"""Equal for the same rows, whatever their order, and practically only then; wraps at 2^64."""

_DIGEST: Final = "quantilesTDigest(0.5, 0.95, 0.99)"
_NO_DIGEST: Final = "defaultValueOfTypeName('AggregateFunction({digest}, {type})')"


@dataclass(frozen=True, slots=True)
class Rollup:
    """One rollup.

    Attributes:
        bucket: start of the stretch of time that a row belongs to.
        keys: columns that figures are kept apart by, with what they are of a row.
        figures: column to its aggregate over rows.
        nothing: column to what stands there in a mark.
        joined: what has to be joined to rows `r`.
    """

    name: RollupName
    bucket: str
    keys: Mapping[str, str]
    figures: Mapping[str, str]
    nothing: Mapping[str, str]
    joined: str = ""

    def step(self, target: str) -> str:
        """Return the insert of one step: figures of the rows of a span, and marks at its end, as one block.

        Parameters: `day`, `since`, `until` (arrival), `topic`, `partitions`, `afters`, `uptos` (offsets, a span is
        behind the first and up to the second), `least`, `most` (of all of them), `generation`.
        """
        keys = ", ".join(self.keys.values())
        figures = _named([self.bucket, "{day:Date}", *self.keys.values(), "''", *"000", *self.figures.values()])
        marks = self._marks("{topic:String}", "{partitions:Array(UInt32)}", "{uptos:Array(UInt64)}")
        return self._insert(
            target,
            f"SELECT {figures} FROM inferences AS r {self.joined} WHERE {_OF_SPAN}"  # noqa: S608 - names of our own
            f" GROUP BY {self.bucket}, {keys} UNION ALL {marks}",
        )

    def marks(self, target: str) -> str:
        """Return the insert of marks without figures.

        Parameters: `day`, `topics`, `partitions`, `uptos`, `generation`.
        """
        marks = self._marks("mark.3", "{partitions:Array(UInt32)}", "{uptos:Array(UInt64)}", "{topics:Array(String)}")
        return self._insert(target, marks)

    def _insert(self, target: str, rows: str) -> str:
        columns = ["bucket", "ingested_on", *self.keys, *_MARK, *self.figures]
        values = ", ".join(f"row.{number}" for number in range(1, len(columns) + 1))
        # By way of an array the rows are one chunk, whatever they were made in: see `storage.connection`.
        return (
            f"INSERT INTO {target} ({', '.join(columns)}) SELECT {values}"  # noqa: S608 - names of our own
            f" FROM (SELECT arrayJoin(groupArray(tuple(*))) AS row FROM ({rows}))"
        )

    def _marks(self, topic: str, *of_each: str) -> str:
        mark = [topic, "mark.1", "mark.2", "{generation:UInt64}"]
        nothing = [self.nothing[name] for name in self.figures]
        values = _named(["toDateTime(0)", "{day:Date}", *["''"] * len(self.keys), *mark, *nothing])
        return f"SELECT {values} FROM (SELECT arrayJoin(arrayZip({', '.join(of_each)})) AS mark)"  # noqa: S608 - ours


def _named(expressions: Sequence[str]) -> str:
    # Two columns of a SELECT with one name would have to be of one type.
    return ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(expressions))


_MARK: Final = ("mark_topic_id", "mark_partition", "mark_offset", "mark_generation")
_OF_SPAN: Final = (
    "toDate(r.ingested_at) = {day:Date} AND r.ingested_at >= toDateTime64({since:UInt32}, 3, 'UTC')"
    " AND r.ingested_at < toDateTime64({until:UInt32}, 3, 'UTC') AND r.source_topic_id = {topic:String}"
    # The first two are for the index, the others for each partition.
    " AND r.source_offset > {least:Int64} AND r.source_offset <= {most:Int64}"
    " AND r.source_offset"
    " > transform(r.source_partition, {partitions:Array(UInt32)}, {afters:Array(Int64)}, {most:Int64})"
    " AND r.source_offset"
    " <= transform(r.source_partition, {partitions:Array(UInt32)}, {uptos:Array(Int64)}, toInt64(-1))"
)
_SUMS: Final = {
    "requests": "count()",
    "errors": "countIf(r.status = 'error')",
    "cancelled": "countIf(r.status = 'cancelled')",
    "input_tokens": "sum(toUInt64(ifNull(r.input_tokens, 0)))",
    "output_tokens": "sum(toUInt64(ifNull(r.output_tokens, 0)))",
    "cache_read_tokens": "sum(toUInt64(ifNull(r.cache_read_tokens, 0)))",
    "cache_creation_tokens": "sum(toUInt64(ifNull(r.cache_creation_tokens, 0)))",
    "reasoning_tokens": "sum(toUInt64(ifNull(r.reasoning_tokens, 0)))",
    "cost": "sum(toDecimal128(ifNull(r.cost, 0), 9))",
    "requests_without_cost": "countIf(isNull(r.cost))",
    "requests_without_tokens": "countIf(isNull(r.output_tokens))",
    "requests_with_pii": "countIf(notEmpty(r.pii))",
    "fingerprint": FINGERPRINT,
}
_TIMES: Final = {
    "duration": "Float64",
    "time_to_first_token": "Nullable(Float64)",
    "time_per_output_token": "Nullable(Float64)",
    "queue_time": "Nullable(Float64)",
}
_KEYS: Final = (
    *("environment", "model", "model_version", "service", "team", "prompt_name", "prompt_version"),
    *("source", "status"),
)
_MINUTE: Final = "toStartOfMinute(toDateTime(r.started_at))"
_HITS: Final = {"hits": "sum(toUInt64(hit.3))", "inferences": "count()", "fingerprint": FINGERPRINT}


def _metrics(name: RollupName, bucket: str) -> Rollup:
    return Rollup(
        name,
        bucket,
        keys={key: f"r.{key}" for key in _KEYS},
        figures={**_SUMS, **{time: f"{_DIGEST.replace('(', 'State(', 1)}(r.{time})" for time in _TIMES}},
        nothing={
            **dict.fromkeys(_SUMS, "0"),
            **{time: _NO_DIGEST.format(digest=_DIGEST, type=type_name) for time, type_name in _TIMES.items()},
        },
    )


ROLLUPS: Final[Mapping[RollupName, Rollup]] = {
    "metrics_1m": _metrics("metrics_1m", _MINUTE),
    "metrics_1h": _metrics("metrics_1h", "toStartOfHour(toDateTime(r.started_at))"),
    "pii_hits": Rollup(
        "pii_hits",
        _MINUTE,
        keys={
            "environment": "r.environment",
            "model": "r.model",
            "team": "r.team",
            "entity_type": "hit.1",
            "place": "hit.2",
        },
        figures=_HITS,
        nothing=dict.fromkeys(_HITS, "0"),
        joined="ARRAY JOIN r.pii AS hit",
    ),
}
"""Every rollup by its table's name."""
