"""An event with everything that the steps found out about it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from inferwatch.events import InferenceEvent
from processors.enrich.mask import MaskedText
from processors.enrich.tokens import Tokens
from processors.records import Measurement, Position


@dataclass(slots=True)
class Enriched:
    """One inference on its way to a row and a measurement."""

    position: Position
    event: InferenceEvent
    tokens: Tokens
    cost: Decimal | None
    price: str
    time_per_output_token: float | None
    text: MaskedText
    user: str

    def measurement(self, source: str) -> Measurement:
        """Return the numbers of this inference, without any text. `source` is the id of the inferences topic."""
        event = self.event
        return Measurement(
            event_id=event.event_id,
            at=event.started_at + event.duration,
            source=source,
            position=self.position,
            environment=event.environment,
            model=event.model,
            model_version=event.model_version or "",
            team=self.text.team,
            status=event.status,
            duration=event.duration,
            time_to_first_token=event.time_to_first_token,
            time_per_output_token=self.time_per_output_token,
            input_tokens=self.tokens.input,
            output_tokens=self.tokens.output,
            cost=None if self.cost is None else float(self.cost),
            input_pii=self.text.found("input"),
            output_pii=self.text.found("output"),
        )
