"""One answer of the model as its client measures it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Answer:
    """Stamps the times of one request; `begin` is the moment that it is made."""

    begin: float = field(default_factory=time.perf_counter)
    began_at: float = field(default_factory=time.time)
    first: float | None = None
    end: float = 0.0
    tokens: int = 0
    input_tokens: int = 0
    event_id: str = ""
    failed: bool = False

    def chunk(self, text: str, tokens: int) -> None:
        """Take a piece of streamed output."""
        if text and self.first is None:
            self.first = time.perf_counter()
        self.tokens += tokens

    def finish(self) -> None:
        """Stamp the end."""
        self.end = time.perf_counter()

    @property
    def duration(self) -> float:
        """Seconds from begin to end."""
        return self.end - self.begin

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds to the first piece of streamed output."""
        return None if self.first is None else self.first - self.begin

    @property
    def time_per_output_token(self) -> float | None:
        """Seconds a token after the first."""
        if self.first is None or self.tokens < 2:
            return None
        return (self.end - self.first) / (self.tokens - 1)
