"""What masking leaves of the free texts of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from processors.enrich.mask_tree import Hits


@dataclass(frozen=True, slots=True)
class Masked:
    """The free texts of n events after masking; every list has n entries.

    Attributes:
        names: each field of `mask.NAMES` and `mask.IDENTITY` as Arrow texts, "" where an event has none.
        texts: `input_messages`, `output_messages`, `parameters` and `error_message`: UTF-8, the first three JSON.
        attributes: as they were given.
        finish_reasons: as they were given.
        tensors: JSON, or empty.
        users: keyed hashes, "" where there is none.
        hits: what was found, by event; counted by entity type and place, where a place is `input`, `output`, `error`,
            `parameters`, `attributes` or `identity`.
        unreadable: events that nobody can look through, because they are nested too deeply.
        models: the model that answered or, where the response did not say, the one that was asked for.
    """

    names: dict[str, pa.Array]
    texts: dict[str, list[bytes]]
    attributes: list[dict[str, str]]
    finish_reasons: list[tuple[str, ...]]
    tensors: list[bytes]
    users: list[str]
    hits: dict[int, Hits]
    unreadable: frozenset[int]

    models: list[str]

    def name(self, name: str) -> list[str]:
        """Return one of `names` as texts of Python."""
        return texts_of(self.names[name])


def texts_of(column: pa.Array) -> list[str]:
    """Return a column of texts as texts of Python; fast where many are the same."""
    if not isinstance(column, pa.DictionaryArray):
        return list(column.to_pylist())
    different = column.dictionary.to_pylist()
    return [different[code] for code in column.indices.to_numpy().tolist()]
