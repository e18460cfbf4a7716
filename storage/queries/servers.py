"""What model servers say of their models: how much each did, and how long requests waited and were computed.

Each sample says what was added since the one before, so sums over samples are exact, whatever their intervals; a sample
counts in the step in which its interval ended. Times are of requests that succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from storage.queries.reader import Reader
from storage.queries.records import moment
from storage.queries.scope import ANY, Filters, TimeRange, from_micros, micros
from storage.queries.statement import Where, of_model, select

PARTS: Final = ("queue_time", "compute_input_time", "compute_infer_time", "compute_output_time")
"""Of the time of a request, in their order: waiting, taking the input over, the model, giving the output back."""

_AT: Final = "intDiv(toInt64(toUnixTimestamp(t.at)), {step:Int64}) * {step:Int64}"
# All samples of one look at a server have its time and its interval.
_SECONDS: Final = "arraySum(look -> look.2, groupUniqArray((t.at, t.interval_seconds)))"
_COUNTS: Final = ("requests", "inferences", "executions")
_TIMES: Final = ("request_time", *PARTS)


@dataclass(frozen=True, slots=True)
class Load:
    """What a model did on all of its servers.

    Attributes:
        requests: requests that succeeded.
        rate: those a second, added up over servers, each while it was heard; None without samples.
        failures: requests that failed, by reason.
        inferences: inferences, several in a request that is a batch.
        executions: executions of the model, each of one inference or more.
        pending: requests that waited for execution, on average, added up over servers; None where no server tells.
        request_time: seconds of all requests together, and so on; None where no server tells.
        timed: requests that these are of: those of servers that tell.
    """

    requests: int = 0
    rate: float | None = None
    failures: Mapping[str, int] = field(default_factory=dict)
    inferences: int = 0
    executions: int = 0
    pending: float | None = None
    request_time: float | None = None
    queue_time: float | None = None
    compute_input_time: float | None = None
    compute_infer_time: float | None = None
    compute_output_time: float | None = None
    timed: int = 0

    @property
    def failed(self) -> int:
        """Requests that failed."""
        return sum(self.failures.values())

    @property
    def compute_time(self) -> float | None:
        """Seconds of computing, of all requests together: input, inference and output."""
        parts = [getattr(self, name) for name in PARTS[1:]]
        return None if None in parts else sum(parts)

    @property
    def queue(self) -> float | None:
        """Seconds that a request waited, on average; None where none succeeded or no server tells."""
        return self.each(self.queue_time)

    @property
    def compute(self) -> float | None:
        """Seconds that a request was computed, on average; None where none succeeded or no server tells."""
        return self.each(self.compute_time)

    @property
    def queue_share(self) -> float | None:
        """Waiting among waiting and computing, 0 to 1; None where there was neither."""
        if self.queue_time is None or self.compute_time is None or not self.queue_time + self.compute_time:
            return None
        return self.queue_time / (self.queue_time + self.compute_time)

    @property
    def batch(self) -> float | None:
        """Inferences in one execution, on average; None without one."""
        return self.inferences / self.executions if self.executions else None

    def each(self, seconds: float | None) -> float | None:
        """Return seconds of all requests as seconds of one of those whose times are told."""
        return None if seconds is None or not self.timed else seconds / self.timed


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """What a model did in the step that starts at `at`."""

    at: datetime
    load: Load


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model in one environment, and when its servers were heard last."""

    environment: str
    model: str
    load: Load
    heard: datetime


def served_models(reader: Reader, range: TimeRange, filters: Filters = ANY) -> list[ServedModel]:
    """Return each model that servers told of, most requests first. Of the filters, environment and model apply."""
    group = {"environment": "t.environment", "model": "t.model"}
    rows = _rows(reader, range, filters, group, rest="ORDER BY requests DESC, model, environment")
    return [ServedModel(row["environment"], row["model"], _load(row), from_micros(row["heard"])) for row in rows]


def total_load(reader: Reader, range: TimeRange, filters: Filters = ANY) -> Load:
    """Return what was done in the whole range. Of the filters, environment and model apply."""
    rows = _rows(reader, range, filters, {})
    return _load(rows[0]) if rows and rows[0]["samples"] else Load()


def load_series(reader: Reader, range: TimeRange, step: timedelta, filters: Filters = ANY) -> list[LoadPoint]:
    """Return what was done in every step, oldest first; steps without a sample are there, empty.

    Raises:
        ValueError: a step that is not whole seconds.
    """
    if step < timedelta(seconds=1) or step % timedelta(seconds=1):
        raise ValueError(f"A step must be whole seconds, not {step}")
    rows = _rows(reader, range, filters, {"step": _AT}, step)
    found = {from_micros(row["step"] * 1_000_000): _load(row) for row in rows}
    return [LoadPoint(at, found.get(at, Load())) for at in range.steps(step)]


def _rows(
    reader: Reader,
    range: TimeRange,
    filters: Filters,
    group: Mapping[str, str],
    step: timedelta | None = None,
    rest: str = "",
) -> list[dict[str, Any]]:
    """Return figures as they are called in `Load`, for each of the groups: first by server, then together.

    A rate, and what waits, is of one server: of all its versions, in the time of all its looks. Those of several add
    up, whatever their intervals.
    """
    where = of_model(range, filters).add("t.model != ''")
    if step is not None:
        where.bind(step=micros(step) // 1_000_000)
    of_server = {
        **group,
        **{name: f"sum(t.{name})" for name in (*_COUNTS, *_TIMES)},
        "timed": "sumIf(t.requests, isNotNull(t.queue_time))",
        "rate": f"sum(t.requests) / {_SECONDS}",
        "pending": "sum(t.pending) / uniqExactIf(t.at, isNotNull(t.pending))",
        "failures": "sumMap(t.failure_reasons, t.failure_counts)",
        "heard": moment("max(t.at)"),
        "samples": "count()",
    }
    by_server = ", ".join((*group, "t.instance"))
    inner = select(of_server, "server_samples", where, f"GROUP BY {by_server}")
    together = {
        **{name: f"t.{name}" for name in group},
        **{name: f"sum(t.{name})" for name in (*_COUNTS, *_TIMES, "timed", "rate", "pending", "samples")},
        "failures": "sumMap(t.failures)",
        "heard": "max(t.heard)",
    }
    grouped = f"GROUP BY {', '.join(group)} {rest}" if group else rest
    return reader.rows(select(together, f"({inner})", Where(), grouped), where.parameters)


def _load(row: Mapping[str, Any]) -> Load:
    reasons, counts = row["failures"]
    figures = {name: row[name] for name in (*_COUNTS, *_TIMES, "timed", "rate", "pending")}
    return Load(**figures, failures=dict(zip(reasons, counts, strict=True)))
