"""Which format a file has, by its content; and its lines as arrivals."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from ingest.replay.arrival import Arrival
from ingest.replay.azure import AzureReader, header_places
from ingest.replay.errors import BadLineError, UnknownFormatError
from ingest.replay.lines import LONGEST_LINE, Line
from ingest.replay.mooncake import read_mooncake
from ingest.replay.recorded import read_recorded

Format = Literal["azure", "mooncake", "events"]
Read = Callable[[Line], Arrival | None]

_LINES_LOOKED_AT: Final = 20
_CSV_ROW: Final = re.compile(rb"\d{4}-\d\d-\d\d[ T][^,]+,\s*\d+\s*,\s*\d+\s*")


def recognise(path: str, lines: Iterator[Line]) -> tuple[Format, Iterator[Line]]:
    """Return the format of a file and all of its lines, of which at most 20 were looked at.

    Raises:
        UnknownFormatError: none of these is a line of a known format.
    """
    held: list[Line] = []
    for line in itertools.islice(lines, _LINES_LOOKED_AT):
        held.append(line)
        found = _format_of(line.data)
        if found is not None:
            return found, itertools.chain(held, lines)
    empty = not any(line.data.strip() for line in held)
    raise UnknownFormatError(path, "it is empty" if empty else f"none of its first {len(held)} lines is recognised")


def reader_of(form: Format) -> Read:
    """Return what reads lines of a format, from its first line on."""
    readers: dict[Format, Read] = {"azure": AzureReader(), "mooncake": read_mooncake, "events": read_recorded}
    return readers[form]


def arrivals(lines: Iterable[Line], read: Read, bad: Callable[[BadLineError], None]) -> Iterator[Arrival]:
    """Yield the arrival of each line that has one. `bad` is told of a line that is not of the format, and may raise."""
    for line in lines:
        if not line.data.strip():
            continue
        try:
            if len(line.data) > LONGEST_LINE:
                raise BadLineError(line.number, f"longer than {LONGEST_LINE >> 20} MiB")
            arrival = read(line)
        except BadLineError as error:
            bad(error)
        else:
            if arrival is not None:
                yield arrival


def _format_of(data: bytes) -> Format | None:
    if header_places(data.decode("utf-8", "replace").replace(" ", "").split(",")) or _CSV_ROW.fullmatch(data):
        return "azure"
    try:
        given: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    if "event_id" in given and "started_at" in given:
        return "events"
    if "timestamp" in given and "input_length" in given:
        return "mooncake"
    return None
