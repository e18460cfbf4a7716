"""Would this become a dead letter again? Asked before a replay: enough of those stop a worker."""

from __future__ import annotations

from processors.enrich.decode import SourceRecord, decode
from processors.enrich.validate import invalid_because
from processors.settings import EnrichSettings


def fails_because(value: bytes, settings: EnrichSettings, now: float) -> str | None:
    """Return why the enrich step would set something in a record apart again, or None."""
    decoded = decode([SourceRecord(0, 0, value)])
    if decoded.dead:
        return decoded.dead[0].reason
    reasons = (invalid_because(event, now, settings.past_days, settings.future_seconds) for event in decoded.events)
    return next((reason for reason in reasons if reason is not None), None)
