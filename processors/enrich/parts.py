"""Step 9: what leaves the pipeline together, a part at a time.

The pipeline takes small batches: what it makes of one then still stands in the processor's cache when the next step
needs it. Inserts are large, since the store must merge each of them. So the rows of many batches become one part.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from processors.enrich.decode import DeadLetter, SourceRecord
from processors.enrich.enriched import Batch
from processors.enrich.measurements import Lines, measurements_of, waves
from processors.enrich.rows import rows_of
from processors.producer import OutgoingRecord
from storage.sink import Columns

CHUNK_BYTES: Final = 1 << 20
"""What goes through the pipeline at once, unless a single record is larger."""
PART_EVENTS: Final = 40_000
PART_BYTES: Final = 32 << 20
"""How much is enough for an insert. A part may have a chunk more."""


@dataclass(frozen=True, slots=True)
class Part:
    """What became of some records, ready to be sent and stored.

    Attributes:
        rows: of each partition that has some, columns of one length.
        measurements: to be sent wave by wave, see `waves`.
        dead: what could not be processed.
        fine: for each record whether at least half of it could.
        batches: all of it, for whoever wants to see events as they came.
    """

    rows: Sequence[tuple[int, Columns]]
    measurements: Sequence[Sequence[OutgoingRecord]]
    dead: Sequence[DeadLetter]
    fine: Sequence[bool]
    batches: Sequence[Batch]


def parts(
    records: Iterable[SourceRecord],
    enrich: Callable[[Sequence[SourceRecord]], Batch],
    topic_id: str,
    *,
    keep_batches: bool,
) -> Iterator[Part]:
    """Yield what becomes of records, in the order of each partition. Every part has whole records."""
    made = _Making()
    for chunk in chunks(records, CHUNK_BYTES):
        made.add(enrich(chunk), topic_id, keep_batches)
        if made.events >= PART_EVENTS or made.size >= PART_BYTES:
            yield made.part()
            made = _Making()
    if made.fine:
        yield made.part()


def chunks(records: Iterable[SourceRecord], most: int) -> Iterator[list[SourceRecord]]:
    """Yield records, each partition's together and in order, as many as have `most` bytes, or one that has more."""
    chunk: list[SourceRecord] = []
    size = 0
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        value = record.value or b""
        if chunk and size + len(value) > most:
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += len(value)
    if chunk:
        yield chunk


class _Making:
    """A part that is being made."""

    def __init__(self) -> None:
        self.events = self.size = 0
        self.fine: list[bool] = []
        self._partitions: list[NDArray[np.uint32]] = []
        self._rows: list[dict[str, pa.Array]] = []
        self._lines = Lines()
        self._dead: list[DeadLetter] = []
        self._batches: list[Batch] = []

    def add(self, batch: Batch, topic_id: str, keep: bool) -> None:
        """Add what became of a chunk."""
        self.events += batch.size + len(batch.dead)
        self.size += sum([len(record.value or b"") for record in batch.decoded.records])
        self.fine += fine(batch)
        self._dead += batch.dead
        if batch.size:
            self._partitions.append(batch.partitions)
            self._rows.append(rows_of(batch))
            self._lines.add(measurements_of(batch, topic_id))
        if keep:
            self._batches.append(batch)

    def part(self) -> Part:
        """Return the part."""
        return Part(list(self._by_partition()), waves(self._lines), self._dead, self.fine, self._batches)

    def _by_partition(self) -> Iterator[tuple[int, Columns]]:
        if not self._rows:
            return
        rows = {name: joined([one[name] for one in self._rows]) for name in self._rows[0]}
        for partition, start, end in runs(np.concatenate(self._partitions)):
            yield partition, {name: values[start:end] for name, values in rows.items()}


def runs(values: NDArray[Any]) -> Iterator[tuple[int, int, int]]:
    """Yield each value that stands some times in a row, from where to where."""
    ends = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for start, end in itertools.pairwise(ends):
        yield int(values[start]), start, end


def joined(columns: Sequence[pa.Array]) -> pa.Array:
    """Return columns behind each other. Those of few different texts may come as such or as plain texts."""
    if len({column.type for column in columns}) > 1:
        columns = [one.dictionary_decode() if isinstance(one, pa.DictionaryArray) else one for one in columns]
    return pa.concat_arrays(columns)


def fine(batch: Batch) -> list[bool]:
    """Tell for each record whether it has at least as many good events as bad ones."""
    records = batch.decoded.records
    good = np.bincount(batch.decoded.record_of, minlength=len(records)).tolist()
    dead: Mapping[tuple[int, int], int] = Counter(
        (letter.position.partition, letter.position.offset) for letter in batch.dead
    )
    return [many >= dead[one.partition, one.offset] for one, many in zip(records, good, strict=True)]
