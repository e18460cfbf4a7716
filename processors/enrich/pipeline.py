"""The enrich pipeline in one place: what happens to an event between the inferences topic and a row.

decode -> validate -> count tokens -> price -> latency figures -> mask   (here, pure)
       -> measurements to Kafka -> rows to ClickHouse -> acknowledge   (`worker`, with I/O)
       -> a sample of prompts to the embedder and on to Kafka   (`embed`, beside all that; nothing waits for it)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from detectors.protocols import PiiScanner
from inferwatch.events import InferenceEvent
from inferwatch.truncation import truncate
from processors.enrich.decode import DeadLetter, SourceRecord, decode
from processors.enrich.enriched import Enriched
from processors.enrich.latency import time_per_output_token
from processors.enrich.mask import Masker
from processors.enrich.price import PriceBook, Pricer
from processors.enrich.tokens import count_tokens
from processors.enrich.validate import invalid_because
from processors.records import Position
from processors.settings import EnrichSettings

MOST_TEXT_CHARACTERS: Final = 65_536


@dataclass(slots=True)
class Batch:
    """What became of some Kafka records: enriched events in their order, and dead letters."""

    items: list[Enriched] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


class Pipeline:
    """The pure steps, assembled once."""

    def __init__(self, settings: EnrichSettings, scanner: PiiScanner, book: PriceBook) -> None:
        self._settings = settings
        self._masker = Masker(scanner, settings.user_hash_secret)
        self._pricer = Pricer(book)

    def enrich(self, records: Sequence[SourceRecord], now: float) -> Batch:
        """Take Kafka records, return rows-to-be and dead letters. `now` is Unix time in seconds."""
        decoded = decode(records)
        batch = Batch(dead=decoded.dead)
        for position, event, line in decoded.events:
            reason = invalid_because(event, now, self._settings.past_days, self._settings.future_seconds)
            if reason is None:
                try:
                    batch.items.append(self._enrich_one(position, event))
                    continue
                except RecursionError:
                    reason = "nested too deeply"
            batch.dead.append(DeadLetter(position, reason, line))
        return batch

    def _enrich_one(self, position: Position, event: InferenceEvent) -> Enriched:
        event = self._masker.mask_names(event)
        # Before anything is cut: half of a value is not recognised any more.
        text = self._masker.mask_event(event, MOST_TEXT_CHARACTERS)
        event = truncate(event, MOST_TEXT_CHARACTERS)
        tokens = count_tokens(event)
        # What a failed request is not known to have used, it is not charged for.
        unknown = 0 if event.status == "error" else None
        cost, price = self._pricer.cost(
            event.model,
            event.started_at,
            unknown if tokens.input is None else tokens.input,
            unknown if tokens.output is None else tokens.output,
            event.cache_read_tokens,
        )
        return Enriched(
            position=position,
            event=event,
            tokens=tokens,
            cost=cost,
            price=price,
            time_per_output_token=time_per_output_token(event.duration, event.time_to_first_token, tokens.output),
            text=text,
            user=self._masker.hash_user(event.user),
        )
