"""From rows to frozen dataclasses: one column a field, of the same name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from storage.queries.scope import from_micros

Record = TypeVar("Record")

MOMENTS: Final = ("at", "started_at", "ingested_at")


def columns(kind: type[Any], but: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the expression of each field: the column of its name, or what `but` says instead.

    Moments are asked for as microseconds, because drivers differ in what zone they give times.
    """
    expressions = {name: moment(f"t.{name}") if name in MOMENTS else f"t.{name}" for name in names(kind)}
    return expressions | dict(but or {})


def names(kind: type[Any]) -> list[str]:
    """Return the names of the fields."""
    return [field.name for field in fields(kind)]


def record(kind: Callable[..., Record], row: Mapping[str, Any], **instead: Any) -> Record:
    """Return the row as a record; arrays become tuples."""
    return kind(**{name: _value(name, value) for name, value in row.items() if name not in instead}, **instead)


def moment(expression: str) -> str:
    """Return a time of any precision as microseconds since 1970."""
    return f"toUnixTimestamp64Micro(toDateTime64({expression}, 6, 'UTC'))"


def _value(name: str, value: Any) -> Any:
    if name in MOMENTS:
        return from_micros(value)
    return tuple(value) if isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping) else value
