"""The comparison: the ledger against Kafka, ClickHouse, messages and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.demo import audit
from app.demo.ledger import Ledger
from app.demo.observer import Seen
from app.demo.report import Report, alerts_of, freshness_of, latency_of, sources_of
from app.demo.topic import mirrored
from app.local.stack import StackSettings
from storage.client import connect


def verdict(settings: StackSettings, ledger: Ledger, seen: Seen) -> Report:
    """Compare; everything must be running still."""
    client = connect(settings.loaded.store)
    try:
        stored = audit.stored_rows(client)
        sources = sources_of(ledger, mirrored(settings.loaded.kafka), stored)
        planted = ledger.planted()
        in_clear = audit.found_in_clear(client, [value.value for value in planted])
        rolled_up = audit.rolled_up(client)
        runs = audit.retraining_runs(client)
        return Report(
            sources=sources,
            lost=sum(row["lost"] for row in sources.values()) + max(len(stored) - rolled_up, 0),
            repeated=sum(row["duplicated"] for row in sources.values()) + max(rolled_up - len(stored), 0),
            unmasked=len(in_clear),
            missing=missing_of(ledger, seen, sources, runs),
            latency=latency_of(ledger.entries, stored),
            cost=audit.cost(client),
            pii={"hits": audit.pii_hits(client), "planted": len(planted), "found_in_clear": len(in_clear)},
            alerts=alerts_of(ledger, seen),
            retraining=runs,
            freshness=freshness_of(ledger, seen),
        )
    finally:
        client.close()


def missing_of(
    ledger: Ledger, seen: Seen, sources: Mapping[str, Mapping[str, int]], runs: list[dict[str, object]]
) -> list[str]:
    """Return, in words, what should have happened and did not."""
    missing = [f"traffic from {name}" for name in ("sdk", "sidecar-http", "sidecar-grpc") if name not in sources]
    for name, row in sources.items():
        if row["unasked"]:
            missing.append(f"the making of {row['unasked']} stored events of {name}")
        astray = row["made"] - row["lost"] - row["stored"]
        if astray:
            missing.append(f"the right source of {astray} stored events of {name}")
    for rule, cause in ledger.incidents.items():
        if seen.alert_at(rule, cause) is None:
            missing.append(f"a message about {rule}")
    if not any(Path(str(run["dataset"])).is_file() and run["rows"] for run in runs):
        missing.append("a retraining run with a dataset")
    return missing
