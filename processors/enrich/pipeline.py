"""The enrich pipeline in one place: what happens to events between the inferences topic and their rows.

decode -> validate -> measure lengths -> mask -> count tokens, price, latency figures   (here, pure, in batches)
       -> measurements to Kafka -> rows to ClickHouse -> acknowledge   (`worker`, with I/O)
       -> rollups, from stored rows   (`rollup`, beside all that; no acknowledgement waits for it)
       -> a sample of prompts to the embedder and on to Kafka   (`embed`, beside all that too)

Steps work on columns of a batch and not on events: that is what makes an event cost microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from detectors.protocols import PiiScanner
from processors.enrich.decode import DeadLetter, Decoded, SourceRecord, decode
from processors.enrich.enriched import Batch
from processors.enrich.fields import Fields
from processors.enrich.figures import figures_of
from processors.enrich.lengths import measure
from processors.enrich.mask import Masker
from processors.enrich.price import PriceBook, Pricer
from processors.enrich.validate import invalid_because, suspects
from processors.settings import EnrichSettings

MOST_TEXT_CHARACTERS: Final = 65_536


class Pipeline:
    """The pure steps, assembled once."""

    def __init__(self, settings: EnrichSettings, scanner: PiiScanner, book: PriceBook) -> None:
        self._settings = settings
        self._masker = Masker(scanner, settings.user_hash_secret)
        self._pricer = Pricer(book)

    def enrich(self, records: Sequence[SourceRecord], now: float) -> Batch:
        """Take Kafka records, return rows-to-be and dead letters. `now` is Unix time in seconds."""
        decoded = decode(records)
        fields = Fields(decoded.events)
        decoded, fields = _without(self._invalid(decoded, fields, now), decoded, fields)
        masked = self._masker.mask(fields, MOST_TEXT_CHARACTERS)
        if masked.unreadable:
            reasons = dict.fromkeys(masked.unreadable, "nested too deeply")
            decoded, fields = _without(reasons, decoded, fields)
            masked = self._masker.mask(fields, MOST_TEXT_CHARACTERS)
        return Batch(
            decoded=decoded,
            fields=fields,
            masked=masked,
            lengths=measure(decoded.events, fields, MOST_TEXT_CHARACTERS),
            figures=figures_of(decoded.events, fields, masked.models, masked.name("provider"), self._pricer),
        )

    def _invalid(self, decoded: Decoded, fields: Fields, now: float) -> dict[int, str]:
        bounds = (now, self._settings.past_days, self._settings.future_seconds)
        suspected = np.flatnonzero(suspects(fields, *bounds)).tolist()
        reasons = {at: invalid_because(decoded.events[at], *bounds) for at in suspected}
        return {at: reason for at, reason in reasons.items() if reason is not None}


def _without(reasons: Mapping[int, str], decoded: Decoded, fields: Fields) -> tuple[Decoded, Fields]:
    """Return a batch without some of its events, which become dead letters."""
    if not reasons:
        return decoded, fields
    lines = decoded.lines(sorted(reasons))
    decoded.dead.extend(
        DeadLetter(decoded.position(at), reasons[at], line) for at, line in zip(sorted(reasons), lines, strict=True)
    )
    kept = np.ones(fields.size, np.bool_)
    kept[list(reasons)] = False
    rest = decoded.only(kept)
    return rest, Fields(rest.events)
