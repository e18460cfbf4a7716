"""What the telemetry topic holds, and how it becomes rows of `server_samples` and `drop_reports`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from detectors.pii.mask import mask
from detectors.protocols import PiiScanner
from inferwatch import topics
from inferwatch.events import DropReport, ServerSample, TelemetryEvent
from inferwatch.validity import Bounds
from inferwatch.validity_telemetry import telemetry_invalid
from inferwatch.wire import decode_telemetry
from processors.enrich.decode import DeadLetter, SourceRecord
from processors.enrich.mask import DEFAULT_ENVIRONMENT
from processors.lines import read_lines
from processors.records import Position
from processors.settings import EnrichSettings
from storage.sink import Columns, Table

if TYPE_CHECKING:
    from processors.stored_step import Contents

Given = tuple[Position, TelemetryEvent]

_TABLES: Final[Mapping[type[DropReport] | type[ServerSample], Table]] = {
    ServerSample: "server_samples",
    DropReport: "drop_reports",
}
_AS_IT_IS: Final = (
    *("sample_id", "requests", "inferences", "executions", "pending", "request_time", "queue_time"),
    *("compute_input_time", "compute_infer_time", "compute_output_time", "cache_hits", "cache_misses"),
    *("utilisation", "memory_used", "memory_total", "power", "power_limit", "energy"),
)
_REMEMBERED: Final = 8_192


class Telemetry:
    """What mirrors lost and what servers say, for `processors.stored_step.StoredStep`. Names are masked.

    The address of a server or a mirror stays an address: it names a machine that its operators set up.
    """

    topic: Final = topics.TELEMETRY
    tables: Sequence[Table] = tuple(_TABLES.values())

    def __init__(self, settings: EnrichSettings, scanner: PiiScanner) -> None:
        self._settings = settings

        @lru_cache(maxsize=_REMEMBERED)
        def masked(name: str) -> str:
            return mask(name, scanner.scan(name)) if name else ""

        @lru_cache(maxsize=_REMEMBERED)
        def machine(name: str) -> str:
            return mask(name, [span for span in scanner.scan(name) if span.entity_type != "IP_ADDRESS"])

        self._masked: Callable[[str], str] = masked
        self._machine: Callable[[str], str] = machine

    def read(self, records: Iterable[SourceRecord], now: float) -> tuple[dict[Table, list[Given]], list[DeadLetter]]:
        """Return samples and reports, with where they stood, and what is neither."""
        bounds = Bounds(now, self._settings.past_days, self._settings.future_seconds)
        good, dead = read_lines(records, decode_telemetry, lambda event: telemetry_invalid(event, bounds))
        found: dict[Table, list[Given]] = {table: [] for table in self.tables}
        for given in good:
            found[_TABLES[type(given[1])]].append(given)
        return found, dead

    def rows_of(self, table: Table, given: Sequence[Given]) -> Columns:
        """Return the columns of samples or of reports, of which there is at least one."""
        rows = [self._row(event) for _, event in given]
        return {
            "source_offset": [position.offset for position, _ in given],
            "source_index": [position.index for position, _ in given],
            **{name: [row[name] for row in rows] for name in rows[0]},
        }

    def _row(self, event: TelemetryEvent) -> dict[str, Any]:
        common = {
            "at": round(event.at * 1e6),
            "environment": self._masked(event.environment or DEFAULT_ENVIRONMENT),
            "instance": self._machine(event.instance),
        }
        return common | (self._report(event) if isinstance(event, DropReport) else self._sample(event))

    def _sample(self, event: ServerSample) -> dict[str, Any]:
        failures = self._counted(event.failures)
        return {
            **{name: getattr(event, name) for name in _AS_IT_IS},
            **{name: self._masked(getattr(event, name)) for name in ("model", "model_version", "device")},
            "interval_seconds": event.interval,
            "failure_reasons": list(failures),
            "failure_counts": list(failures.values()),
        }

    def _report(self, event: DropReport) -> dict[str, Any]:
        reasons = self._counted(event.reasons)
        return {
            **{name: self._masked(getattr(event, name)) for name in ("report_id", "source", "service", "team")},
            "since": round(event.since * 1e6),
            "dropped": event.dropped,
            "failed": event.failed,
            "reasons": list(reasons),
            "reason_counts": list(reasons.values()),
        }

    def _counted(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return counts by masked name; names that are the same once they are masked count together."""
        found: Counter[str] = Counter()
        for name in sorted(counts):
            found[self._masked(name)] += counts[name]
        return {name: count for name, count in found.items() if count}


if TYPE_CHECKING:
    _: type[Contents] = Telemetry
