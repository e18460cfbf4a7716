"""How much processor time the engine has taken: what other work on the machine does not change."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client


def engine_seconds(client: Client) -> float:
    """Return the processor time of everything the engine has done until now, in seconds."""
    rows = client.query("SELECT value FROM system.events WHERE event = 'OSCPUVirtualTimeMicroseconds'").result_rows
    return float(rows[0][0]) / 1e6 if rows else 0.0
