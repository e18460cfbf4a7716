"""The whole path on this machine, as `inferwatch demo --once` plays it."""

from __future__ import annotations

import os
import time

from app.bench.result import Outcome, Say
from app.demo.run import once
from app.demo.scenario import REFERENCE_EVENTS, WINDOW_EVENTS


def run(say: Say) -> Outcome:
    """Play the demo and flatten its report."""
    began = time.monotonic()
    report = once(os.environ, None, say)
    figures: dict[str, float] = {
        "inferences": sum(row["made"] for row in report.sources.values()),
        "lost_events": report.lost,
        "repeated_events": report.repeated,
        "unmasked_values": report.unmasked,
        "missing_outcomes": len(report.missing),
        "planted_values": report.pii["planted"],
        "run_seconds": time.monotonic() - began,
    }
    for name, pair in report.latency.items():
        for side in ("client", "stored"):
            for quantile, seconds in pair[side].items():
                if seconds is not None:
                    figures[f"{name}_{side}_{quantile}_ms"] = seconds * 1000
    for quantile, wait in report.freshness.items():
        if wait is not None:
            figures[f"freshness_{quantile}_seconds"] = wait
    for alert in report.alerts:
        after = alert["seconds_after_cause"]
        if after is not None:
            figures.setdefault(f"alert_{alert['rule'].replace('-', '_')}_seconds", after)
    figures["retraining_rows"] = sum(run["rows"] for run in report.retraining)
    return Outcome({"reference_events": REFERENCE_EVENTS, "window_events": WINDOW_EVENTS}, figures)
