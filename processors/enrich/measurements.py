"""Step 8: the numbers of a batch, without any text, as records for whoever watches a model."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from inferwatch import topics
from processors.enrich.enriched import Batch
from processors.enrich.mask_tree import Hits
from processors.producer import OutgoingRecord
from processors.records import Measurement, Position, model_key

_encode: Final = msgspec.json.Encoder().encode
_RECORD_BYTES: Final = 4 << 20


def measurements_of(batch: Batch, topic_id: str) -> list[Measurement]:
    """Return the numbers of each inference, in order. `topic_id` is the id of the inferences topic."""
    fields, masked, figures = batch.fields, batch.masked, batch.figures
    ends = fields.floats("started_at") + fields.floats("duration")
    per_token = figures.time_per_output_token
    return list(
        map(
            Measurement,
            fields["event_id"],
            ends.tolist(),
            itertools.repeat(topic_id),
            map(Position, batch.partitions.tolist(), batch.offsets.tolist(), batch.decoded.line_of.tolist()),
            masked.name("environment"),
            masked.models,
            masked.name("model_version"),
            masked.name("team"),
            fields["status"],
            fields["duration"],
            fields["time_to_first_token"],
            [None if math.isnan(value) else value for value in per_token.tolist()],
            figures.input_tokens,
            figures.output_tokens,
            [None if cost is None else cost / 1_000_000_000 for cost in figures.cost],
            _found(masked.hits, "input", batch.size),
            _found(masked.hits, "output", batch.size),
        )
    )


class Lines(defaultdict[tuple[str, str], list[bytes]]):
    """Encoded measurements by environment and model, in order."""

    def __init__(self, measurements: Iterable[Measurement] = ()) -> None:
        super().__init__(list)
        self.add(measurements)

    def add(self, measurements: Iterable[Measurement]) -> None:
        """Encode measurements and add them."""
        for measurement in measurements:
            self[measurement.environment, measurement.model].append(_encode(measurement))


def waves(lines: Lines) -> list[list[OutgoingRecord]]:
    """Return lines, in order, as records of one model each that Kafka's limit leaves room for.

    A wave holds at most one record of a model. One is acknowledged before the next is sent: of two under way the second
    may arrive although the first did not, and whoever watches would drop the first when it comes again.
    """
    records = [
        [OutgoingRecord(topics.MEASUREMENTS, value, model_key(*of)) for value in _values(encoded)]
        for of, encoded in lines.items()
    ]
    return [[record for record in wave if record] for wave in itertools.zip_longest(*records)]


def _values(lines: list[bytes]) -> Iterator[bytes]:
    start = size = 0
    for place, line in enumerate(lines):
        if size + len(line) > _RECORD_BYTES and place > start:
            yield b"\n".join(lines[start:place])
            start, size = place, 0
        size += len(line) + 1
    yield b"\n".join(lines[start:])


def _found(hits: dict[int, Hits], place: str, size: int) -> list[int]:
    counts = [0] * size
    for at, found in hits.items():
        counts[at] = sum(count for (_, where), count in found.items() if where == place)
    return counts
