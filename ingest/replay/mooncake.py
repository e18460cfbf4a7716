"""Mooncake's traces: JSON, one request a line (R. Qin et al., "Mooncake", FAST '25; github.com/kvcache-ai/Mooncake).

`{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]}`: milliseconds, tokens, and
the blocks of 512 tokens that the prompt is made of.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ingest.replay.arrival import Arrival
from ingest.replay.errors import BadLineError
from ingest.replay.lines import Line
from ingest.replay.moments import LATEST

BLOCK_TOKENS: Final = 512

_Tokens = Annotated[int, msgspec.Meta(ge=0, lt=10**9)]


class _Row(msgspec.Struct):
    timestamp: float
    input_length: _Tokens
    output_length: _Tokens
    hash_ids: tuple[int | str, ...] = ()


_decoder: Final = msgspec.json.Decoder(_Row)


def read_mooncake(line: Line) -> Arrival:
    """Return the request of a line. Raises `BadLineError`."""
    try:
        row = _decoder.decode(line.data)
    except msgspec.ValidationError as error:
        raise BadLineError(line.number, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadLineError(line.number, "not JSON") from error
    # Counted from the beginning of the trace, or from 1970.
    if not 0 <= row.timestamp <= LATEST * 1000:
        raise BadLineError(line.number, "timestamp is not between 0 and 2100, in milliseconds")
    return Arrival(
        at=row.timestamp / 1000,
        line=line.number,
        size=len(line.data),
        place=line.place,
        input_tokens=row.input_length,
        output_tokens=row.output_length,
        blocks=row.hash_ids,
    )
