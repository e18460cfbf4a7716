"""A batch of events with everything that the steps found out about them, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferwatch.events import InferenceEvent
from processors.enrich.decode import DeadLetter, Decoded
from processors.enrich.fields import Fields
from processors.enrich.figures import Figures
from processors.enrich.lengths import Lengths
from processors.enrich.masked import Masked


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some Kafka records: n good events as columns, in their order, and dead letters."""

    decoded: Decoded
    fields: Fields
    masked: Masked
    lengths: Lengths
    figures: Figures

    @property
    def size(self) -> int:
        """How many good events there are."""
        return self.fields.size

    @property
    def events(self) -> list[InferenceEvent]:
        """The good events as they came, unmasked."""
        return self.decoded.events

    @property
    def dead(self) -> list[DeadLetter]:
        """What could not be processed."""
        return self.decoded.dead

    @property
    def partitions(self) -> NDArray[np.uint32]:
        """Partition of each event."""
        records = self.decoded.records
        return np.array([record.partition for record in records], np.uint32)[self.decoded.record_of]

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """Offset of the record of each event."""
        records = self.decoded.records
        return np.array([record.offset for record in records], np.uint64)[self.decoded.record_of]
