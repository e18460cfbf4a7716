"""Whether rollups hold what rows give."""

from __future__ import annotations

from typing import Any

from clickhouse_connect.driver.client import Client

from storage.rollups import ROLLUPS


def differences(client: Client) -> list[Any]:
    """Return the groups of which a rollup holds other sums than the rows give, by rollup."""
    found = []
    for name, rollup in ROLLUPS.items():
        sums = {figure: expression for figure, expression in rollup.figures.items() if "State(" not in expression}
        held = client.query(
            f"SELECT bucket, ingested_on, {', '.join(rollup.keys)}, {', '.join(f'sum({figure})' for figure in sums)}"
            f" FROM {name} WHERE environment != '' GROUP BY ALL"
        ).result_rows
        keys = ", ".join([rollup.bucket, "toDate(r.ingested_at)", *rollup.keys.values()])
        rows = client.query(
            f"SELECT {keys}, {', '.join(sums.values())} FROM inferences AS r {rollup.joined} GROUP BY {keys}"
        ).result_rows
        if set(held) != set(rows):
            found.append((name, set(held) ^ set(rows)))
    return found
