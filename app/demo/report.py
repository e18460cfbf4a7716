"""The demo's report: the ledger beside what is stored."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.demo.audit import StoredRow
from app.demo.ledger import Entry, Ledger
from app.demo.observer import Seen


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo found; the keys of its JSON form are these fields.

    `lost`, `repeated` and `unmasked` count events and planted values, `missing` says what did not happen.
    """

    sources: dict[str, dict[str, int]]
    lost: int
    repeated: int
    unmasked: int
    missing: list[str]
    latency: dict[str, Any]
    cost: dict[str, Any]
    pii: dict[str, Any]
    alerts: list[dict[str, Any]]
    retraining: list[dict[str, Any]]
    freshness: dict[str, float | None]

    @property
    def passed(self) -> bool:
        """Whether everything that was promised held."""
        return not (self.lost or self.repeated or self.unmasked or self.missing)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dataclasses.asdict(self)


def sources_of(ledger: Ledger, mirrored: Mapping[str, int], stored: Sequence[StoredRow]) -> dict[str, dict[str, int]]:
    """Return, by source, how many inferences were made, mirrored, stored, lost, duplicated, and stored unasked."""
    rows = Counter(row.event_id for row in stored)
    stored_source = {row.event_id: row.source for row in stored}
    made: dict[str, set[str]] = {}
    anonymous: Counter[str] = Counter()
    for entry in ledger.entries:
        made.setdefault(entry.source, set())
        if entry.event_id:
            made[entry.source].add(entry.event_id)
        else:
            anonymous[entry.source] += 1
    known = set().union(*made.values()) if made else set()
    return {
        source: {
            "made": len(ids) + anonymous[source],
            "mirrored": mirrored.get(source, 0),
            "stored": sum(1 for event_id in ids if stored_source.get(event_id) == source),
            "lost": sum(1 for event_id in ids if event_id not in rows) + anonymous[source],
            "duplicated": sum(rows[event_id] - 1 for event_id in ids if event_id in rows),
            "unasked": sum(1 for event_id, of in stored_source.items() if of == source and event_id not in known),
        }
        for source, ids in sorted(made.items())
    }


def latency_of(entries: Sequence[Entry], stored: Sequence[StoredRow]) -> dict[str, Any]:
    """Return p50 and p95 of the client's own clock beside the stored ones, in seconds, over the same inferences."""
    rows = {row.event_id: row for row in stored}
    pairs = [(entry, rows[entry.event_id]) for entry in entries if entry.event_id in rows and not entry.failed]
    figures = {}
    for name in ("time_to_first_token", "time_per_output_token", "duration"):
        both = [
            (client, kept)
            for entry, row in pairs
            if (client := getattr(entry, name)) is not None and (kept := getattr(row, name)) is not None
        ]
        figures[name] = {
            "inferences": len(both),
            "client": _quantiles([client for client, _ in both], (50, 95)),
            "stored": _quantiles([kept for _, kept in both], (50, 95)),
        }
    return figures


def alerts_of(ledger: Ledger, seen: Seen) -> list[dict[str, Any]]:
    """Return every message, with its seconds after the cause where it has one."""
    return [
        {"message": text, "rule": rule, "seconds_after_cause": None if cause is None else at - cause}
        for at, text, rule, cause in (_explained(message, ledger) for message in seen.messages)
    ]


def _explained(message: dict[str, Any], ledger: Ledger) -> tuple[float, str, str, float | None]:
    at, text = float(message["received_at"]), str(message["payload"]["text"])
    rule = text.split(": ", 1)[1].split(" on ", 1)[0]
    cause = ledger.incidents.get(rule)
    return at, text, rule, cause if cause is not None and at >= cause and not text.startswith("Resolved") else None


def freshness_of(ledger: Ledger, seen: Seen) -> dict[str, float | None]:
    """Return p50 and p99 of the seconds from the end of an inference to when it could be queried."""
    waits = [seen.events[e.event_id] - e.ended_at for e in ledger.entries if e.event_id in seen.events]
    return _quantiles(waits, (50, 99))


def _quantiles(values: Sequence[float], percents: tuple[int, ...]) -> dict[str, float | None]:
    if not values:
        return {f"p{percent}": None for percent in percents}
    return {f"p{percent}": float(np.percentile(values, percent)) for percent in percents}


def as_text(report: Report) -> str:
    """Return the report for a reader."""
    lines = ["source          made  mirrored  stored  lost  duplicated"]
    for source, row in report.sources.items():
        figures = "".join(f"{row[name]:>{width}}" for name, width in _WIDTHS)
        lines.append(f"{source:<14}{figures}")
    for name, figures_of in report.latency.items():
        client, kept = figures_of["client"], figures_of["stored"]
        lines.append(
            f"{name}: p50 {_ms(client['p50'])} by the client's clock, {_ms(kept['p50'])} stored;"
            f" p95 {_ms(client['p95'])} and {_ms(kept['p95'])}"
        )
    lines.append(f"cost: {report.cost['total']} {report.cost['currency']}, {report.cost['unknown_share']:.0%} unknown")
    lines.append(f"PII: {report.pii['planted']} values planted, {report.unmasked} found in clear")
    lines += [f"alert: {alert['message']}" for alert in report.alerts]
    lines += [f"retraining: {run['rows']} conversations in {run['dataset']}" for run in report.retraining]
    lines.append(f"freshness: p50 {_ms(report.freshness['p50'])}, p99 {_ms(report.freshness['p99'])}")
    lines += [f"MISSING: {what}" for what in report.missing]
    lines.append("Everything held." if report.passed else "Something did not hold.")
    return "\n".join(lines)


_WIDTHS = (("made", 6), ("mirrored", 10), ("stored", 8), ("lost", 6), ("duplicated", 12))


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"
