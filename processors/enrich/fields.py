"""Events turned round: one sequence a field, so that later steps work on columns and not on events."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inferwatch.events import InferenceEvent

_NAMES: Final = InferenceEvent.__struct_fields__
_all_of: Final = attrgetter(*_NAMES)
_SAMPLE: Final = 64


class Fields:
    """The fields of n events by name, each a tuple of n values."""

    def __init__(self, events: Sequence[InferenceEvent]) -> None:
        columns = zip(*map(_all_of, events), strict=True) if events else ((),) * len(_NAMES)
        self._columns: dict[str, tuple[Any, ...]] = dict(zip(_NAMES, columns, strict=True))
        self._texts: dict[str, pa.Array] = {}
        self.size = len(events)

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        """Return one field of all events."""
        return self._columns[name]

    def texts(self, name: str) -> pa.Array:
        """Return a field of texts as Arrow, "" where there is none; as a dictionary where many are the same."""
        if name not in self._texts:
            self._texts[name] = texts(self[name])
        return self._texts[name]

    def floats(self, name: str) -> NDArray[np.float64]:
        """Return a field of numbers; NaN where there is none, which JSON itself cannot say."""
        return np.asarray(pa.array(self[name], pa.float64()).to_numpy(zero_copy_only=False))

    def micros(self, name: str) -> NDArray[np.int64]:
        """Return a field of seconds as whole microseconds."""
        return np.asarray(np.rint(self.floats(name) * 1e6), np.int64)

    def integers(self, name: str) -> pa.Array:
        """Return a field of whole numbers, null where there is none.

        Raises:
            OverflowError: a number has more than 64 bits.
        """
        return pa.array(self[name], pa.int64())

    def has_any(self, name: str) -> bool:
        """Tell whether any event has something in a field."""
        return any(self[name])


def texts(values: Sequence[str | None]) -> pa.Array:
    """Return texts as Arrow, "" for None; as a dictionary unless most of the first few are different."""
    if values and values.count(values[0]) == len(values):
        alike = pa.array(np.zeros(len(values), np.int32))
        return pa.DictionaryArray.from_arrays(alike, pa.array([values[0] or ""], pa.string()))
    column = pa.array(values, pa.string())
    if column.null_count:
        column = column.fill_null("")
    sample = values[:_SAMPLE]
    return column if len(set(sample)) > max(1, len(sample) // 2) else column.dictionary_encode()
