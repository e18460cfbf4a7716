"""The Azure LLM inference traces: CSV, one request a line (github.com/Azure/AzurePublicDataset).

`TIMESTAMP,ContextTokens,GeneratedTokens`, the time as `2023-11-16 18:17:03.9799600` or with an offset from UTC.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from ingest.replay.arrival import Arrival
from ingest.replay.errors import BadLineError
from ingest.replay.lines import Line
from ingest.replay.moments import moment

_COLUMNS: Final = ("timestamp", "contexttokens", "generatedtokens")


class AzureReader:
    """Reads line after line. The first may name the columns, in any order and among others."""

    def __init__(self) -> None:
        self._places = (0, 1, 2)
        self._first = True

    def __call__(self, line: Line) -> Arrival | None:
        """Return the request of a line, None for the header. Raises `BadLineError`."""
        fields = [field.strip() for field in line.data.decode("utf-8", "replace").split(",")]
        first, self._first = self._first, False
        if first and (places := header_places(fields)) is not None:
            self._places = places
            return None
        if len(fields) <= max(self._places):
            raise BadLineError(line.number, f"{len(fields)} columns; expected {max(self._places) + 1} or more")
        at, asked, answered = (fields[place] for place in self._places)
        return Arrival(
            at=_seconds(at, line.number),
            line=line.number,
            size=len(line.data),
            place=line.place,
            input_tokens=_count(asked, "ContextTokens", line.number),
            output_tokens=_count(answered, "GeneratedTokens", line.number),
        )


def header_places(fields: list[str]) -> tuple[int, int, int] | None:
    """Return where the three columns stand, None where these are not the names of columns."""
    names = [field.lower() for field in fields]
    try:
        at, asked, answered = (names.index(column) for column in _COLUMNS)
    except ValueError:
        return None
    return at, asked, answered


def _seconds(text: str, line: int) -> float:
    try:
        given = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise BadLineError(line, "TIMESTAMP is not a time such as 2023-11-16 18:17:03.9799600") from error
    seconds = (given if given.tzinfo else given.replace(tzinfo=dt.UTC)).timestamp()
    return moment(seconds, line, "TIMESTAMP is")


def _count(text: str, column: str, line: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadLineError(line, f"{column} is not a whole number of tokens")
    return int(text)
