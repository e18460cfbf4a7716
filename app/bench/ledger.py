"""Traffic of which every number is known beforehand, and a ledger of where in Kafka each event came to stand.

What figures should be is worked out here from the ledger alone, so that nothing of the platform judges itself.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from confluent_kafka import Producer

from inferwatch import topics
from processors.settings import KafkaSettings

PRICES: Final = """currency: EUR
hosted_prices: false
prices:
  - {name: small, model: ledger-small, effective_from: 2020-01-01, input_per_million_tokens: "0.3", output_per_million_tokens: "0.7"}
  - {name: large, model: ledger-large, effective_from: 2020-01-01, input_per_million_tokens: "11", output_per_million_tokens: "33", per_request: "0.001"}
"""  # noqa: E501 - one entry a line
"""A price book for this traffic; `ledger-free` has no price."""

_BILLIONTHS: Final[Mapping[str, tuple[int, int, int] | None]] = {
    "ledger-small": (300, 700, 0),
    "ledger-large": (11_000, 33_000, 1_000_000),
    "ledger-free": None,
}
"""Of the currency: for a token of input, a token of output, a request."""

_LARGE_RECORD: Final = 50
_BAD_LINES: Final = (b'{"event_id": tr', b"[1, 2]", b'{"event_id":"7","started_at":1,"duration":-1,"source":"sdk"}')
_DELIVERED_SECONDS: Final = 240.0

Place = tuple[int, int, int]
"""Partition, offset, line."""

Bucket = tuple[int, str]
"""Start in Unix seconds, and model."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event and what is to come of it. `started_at` is in thousandths of Unix seconds."""

    event_id: str
    started_at: int
    model: str
    status: str
    input_tokens: int
    output_tokens: int
    input_mails: int
    output_mails: int

    @property
    def cost(self) -> Decimal | None:
        """Return what it costs, exactly."""
        prices = _BILLIONTHS[self.model]
        if prices is None:
            return None
        return Decimal(prices[0] * self.input_tokens + prices[1] * self.output_tokens + prices[2]).scaleb(-9)

    def line(self) -> bytes:
        """Return it as it is sent."""
        return json.dumps(
            {
                "event_id": self.event_id,
                "started_at": self.started_at / 1000,
                "duration": 0.25,
                "source": "sdk",
                "environment": "ledger",
                "request_model": self.model,
                "status": self.status,
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
                "token_source": "reported",
                "input_messages": [_message("user", self.event_id, self.input_mails)],
                "output_messages": [_message("assistant", self.event_id, self.output_mails)],
            }
        ).encode()


@dataclass(slots=True)
class Figures:
    """Sums over events, named like the columns of the rollups."""

    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    requests_without_cost: int = 0
    requests_with_pii: int = 0

    def add(self, event: Event) -> None:
        """Count an event."""
        self.requests += 1
        self.errors += event.status == "error"
        self.cancelled += event.status == "cancelled"
        self.input_tokens += event.input_tokens
        self.output_tokens += event.output_tokens
        self.cost += event.cost or 0
        self.requests_without_cost += event.cost is None
        self.requests_with_pii += event.input_mails + event.output_mails > 0


@dataclass
class Ledger:
    """What Kafka has: events by place, and lines or records that are none."""

    events: dict[Place, Event] = field(default_factory=dict)
    poison: dict[Place, bytes] = field(default_factory=dict)

    def note(self, partition: int, offset: int, record: Record) -> None:
        """Note a record that Kafka has."""
        if not record.lines:
            self.poison[partition, offset, 0] = b""
        for index, line in enumerate(record.lines):
            if isinstance(line, Event):
                self.events[partition, offset, index] = line
            else:
                self.poison[partition, offset, index] = line

    def figures(self, seconds: int) -> dict[Bucket, Figures]:
        """Return what there is to count in each stretch of so many seconds."""
        found: dict[Bucket, Figures] = {}
        for event in self.events.values():
            found.setdefault((_floor(event.started_at, seconds), event.model), Figures()).add(event)
        return found

    def hits(self) -> dict[tuple[int, str, str], tuple[int, int]]:
        """Return addresses found and inferences that had some, by minute, model and place."""
        found: dict[tuple[int, str, str], tuple[int, int]] = {}
        for event in self.events.values():
            for place, mails in (("input", event.input_mails), ("output", event.output_mails)):
                if mails:
                    key = (_floor(event.started_at, 60), event.model, place)
                    hits, inferences = found.get(key, (0, 0))
                    found[key] = (hits + mails, inferences + 1)
        return found


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record: events and poison, line by line; without lines it is empty, which is poison too."""

    lines: tuple[Event | bytes, ...]

    def value(self) -> bytes:
        """Return it as it is sent."""
        return b"\n".join(line.line() if isinstance(line, Event) else line for line in self.lines)


def records(rng: random.Random) -> Iterator[Record]:
    """Yield records of 1 and of 50 lines without end. One line of 60 and one record of 80 are poison."""
    while True:
        if rng.random() < 1 / 80:
            yield Record(())
            continue
        lines = rng.choice((1, _LARGE_RECORD))
        yield Record(tuple(rng.choice(_BAD_LINES) if rng.random() < 1 / 60 else _event(rng) for _ in range(lines)))


class Traffic:
    """Produces records, round the partitions, until it is stopped; its ledger is complete then."""

    def __init__(self, kafka: KafkaSettings, seed: int, records_per_second: float) -> None:
        self.ledger = Ledger()
        self._rng = random.Random(seed)  # noqa: S311 - traffic, not a secret
        self._partitions = kafka.partitions
        self._pause = 1 / records_per_second
        self._lost: list[str] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._producer = Producer(
            {
                **kafka.security,
                "bootstrap.servers": kafka.bootstrap_servers,
                # So that an answer that a broker took along to its end costs neither a record nor a second one.
                "enable.idempotence": True,
                "message.timeout.ms": int(_DELIVERED_SECONDS * 1000),
                "linger.ms": 5,
                "log_level": 2,
            }
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Produce nothing more."""
        self._ending.set()
        self._thread.join()

    def finish(self) -> Ledger:
        """Stop; return the ledger once Kafka has everything.

        Raises:
            TimeoutError: Kafka did not take everything, so that nobody knows what there should be.
        """
        self.stop()
        left = self._producer.flush(_DELIVERED_SECONDS)
        if left or self._lost:
            raise TimeoutError(f"Kafka did not take {left + len(self._lost)} records: {self._lost[:3]}")
        return self.ledger

    def _run(self) -> None:
        for number, record in enumerate(records(self._rng)):
            self._produce(number % self._partitions, record)
            self._producer.poll(0)
            if self._ending.wait(self._pause):
                return

    def _produce(self, partition: int, record: Record) -> None:
        def delivered(error: object, message: Any) -> None:
            if error is None:
                self.ledger.note(message.partition(), message.offset(), record)
            else:
                self._lost.append(str(error))

        self._producer.produce(topics.INFERENCES, record.value(), partition=partition, on_delivery=delivered)


def _event(rng: random.Random) -> Event:
    return Event(
        event_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        # Of this minute, the one before and the hour before.
        started_at=int(time.time() * 1000) - rng.choice((1_000, 61_000, 3_601_000)),
        model=rng.choice(tuple(_BILLIONTHS)),
        status=rng.choices(("ok", "error", "cancelled"), (8, 1, 1))[0],
        input_tokens=rng.randrange(1, 2_000),
        output_tokens=rng.randrange(1, 1_000),
        input_mails=rng.choice((0, 0, 0, 1, 2)),
        output_mails=rng.choice((0, 0, 0, 0, 1)),
    )


def _message(role: str, event_id: str, mails: int) -> dict[str, Any]:
    addresses = ", ".join(f"{role}{number}@mail.example.org" for number in range(mails))
    text = f"As to {event_id[:4]}, write to {addresses} today." if mails else "Nothing of anybody in here."
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _floor(thousandths: int, seconds: int) -> int:
    return thousandths // 1000 // seconds * seconds
