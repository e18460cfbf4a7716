"""Step 7: a batch of enriched events to rows of table `inferences`, as Arrow columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa

from processors.enrich.enriched import Batch
from processors.enrich.fields import texts
from processors.enrich.figures import SUB_TOKENS_CLAMPED
from processors.enrich.mask_tree import Hits

_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens")
TEXT_CUT: Final = "text_cut"
"""Flag: a text was longer than is kept; its length and hash are there."""
_DECIMAL: Final = pa.decimal128(18, 9)
_HIT: Final = pa.struct([("entity_type", pa.string()), ("place", pa.string()), ("hits", pa.uint32())])
_TEXT: Final = pa.string()


def rows_of(batch: Batch) -> dict[str, pa.Array]:
    """Return rows as columns of one length, but for those that the sink adds: where they come from, and when they came.

    Times are UTC; costs are decimals with nine places.
    """
    fields, figures, lengths, size = batch.fields, batch.figures, batch.lengths, batch.size
    columns: dict[str, Any] = {
        "event_id": uuids(fields["event_id"]),
        "source_offset": pa.array(batch.offsets),
        "source_index": pa.array(batch.decoded.line_of),
        "started_at": pa.array(fields.micros("started_at")).cast(pa.timestamp("us", "UTC")),
        **{name: values for name, values in batch.masked.names.items() if name != "response_model"},
        "model": texts(batch.masked.models),
        "source": fields.texts("source"),
        "status": fields.texts("status"),
        "user": texts(batch.masked.users),
        "stream": pa.array(fields["stream"], pa.bool_()),
        "duration": pa.array(fields["duration"], pa.float64()),
        "time_per_output_token": pa.array(figures.time_per_output_token, from_pandas=True),
        **{name: pa.array(getattr(figures, name), pa.uint32()) for name in _TOKENS},
        "token_source": texts(figures.token_source),
        "cost": decimals(figures.cost),
        "price": texts(figures.price),
        "finish_reasons": _repeated(batch.masked.finish_reasons, pa.list_(_TEXT)),
        "input_characters": pa.array(lengths.characters["input"], pa.uint32()),
        "output_characters": pa.array(lengths.characters["output"], pa.uint32()),
        "input_sha256": texts(lengths.hashes["input"]),
        "output_sha256": texts(lengths.hashes["output"]),
        "truncated": pa.array(lengths.cut, pa.bool_()),
        "content_unavailable": pa.array(fields["content_unavailable"], pa.bool_()),
        "pii": _hits(batch.masked.hits, size),
        "tensors": pa.array(batch.masked.tensors, pa.binary()),
        "attributes": _map(batch.masked.attributes),
        "flags": _repeated(flags_of(batch), pa.list_(_TEXT)),
    }
    for name in ("time_to_first_token", "queue_time", "compute_time"):
        columns[name] = pa.array(fields[name], pa.float64())
    for name, contents in batch.masked.texts.items():
        columns[name] = pa.array(contents, pa.binary())
    return columns


def flags_of(batch: Batch) -> list[tuple[str, ...]]:
    """Return for each event what was corrected in it."""
    flags: list[tuple[str, ...]] = [()] * batch.size
    for at in batch.lengths.cut_here:
        flags[at] += (TEXT_CUT,)
    for at in batch.figures.clamped:
        flags[at] += (SUB_TOKENS_CLAMPED,)
    return flags


def uuids(texts: Sequence[str]) -> pa.Array:
    """Return UUIDs of 36 characters as 16 bytes each."""
    joined = bytes.fromhex("".join(texts).replace("-", ""))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(joined)])


def decimals(billionths: Sequence[int | None]) -> pa.Array:
    """Return whole billionths, of 63 bits, as decimals with nine places; None stays unknown."""
    whole = pa.array(billionths, pa.int64())
    words = np.zeros((len(whole), 2), np.int64)
    words[:, 0] = whole.fill_null(0).to_numpy()
    words[:, 1] = words[:, 0] >> 63
    buffers = [whole.buffers()[0], pa.py_buffer(words.tobytes())]
    return pa.Array.from_buffers(_DECIMAL, len(whole), buffers, whole.null_count)


def _repeated(values: Sequence[tuple[str, ...]], kind: pa.DataType) -> pa.Array:
    different = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return pa.array(list(different), kind).take(pa.array([different[value] for value in values], pa.int32()))


def _hits(found: dict[int, Hits], size: int) -> pa.Array:
    """Return lists of (type, place, number), sorted, most of them empty."""
    counts = np.zeros(size + 1, np.int32)
    flat: list[dict[str, Any]] = []
    for at in sorted(found):
        counts[at + 1] = len(found[at])
        flat += [{"entity_type": kind, "place": where, "hits": n} for (kind, where), n in sorted(found[at].items())]
    return pa.ListArray.from_arrays(pa.array(np.cumsum(counts, dtype=np.int32)), pa.array(flat, _HIT))


def _map(values: Sequence[dict[str, str]]) -> pa.Array:
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    keys = pa.array(list(chain.from_iterable(values)), _TEXT)
    items = pa.array(list(chain.from_iterable(value.values() for value in values)), _TEXT)
    return pa.MapArray.from_arrays(pa.array(ends), keys, items)
