"""Summaries of tensors, readable: quantiles instead of the sketch that they are told from."""

from __future__ import annotations

import json
from typing import Final

from inferwatch.tensors import quantile

PERCENTILES: Final = (1, 25, 50, 75, 99)


def with_quantiles(tensors: str) -> str:
    """Return the stored JSON of an inference's tensors with quantiles in place of each sketch."""
    if not tensors:
        return tensors
    sides = json.loads(tensors)
    for summary in (summary for side in sides.values() for summary in side if "sketch" in summary):
        sketch = {int(key): count for key, count in summary.pop("sketch").items()}
        told = {f"p{percent}": quantile(sketch, percent / 100) for percent in PERCENTILES}
        summary["quantiles"] = {name: float(f"{value:.4g}") for name, value in told.items() if value is not None}
    return json.dumps(sides)
