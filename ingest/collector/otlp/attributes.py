"""Attributes of OTLP as plain values, and what is asked of them. One of another type is as if it were not there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Attributes = Mapping[str, Any]

_MOST_ITEMS: Final = 10_000


def plain(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes by name."""
    return {pair.key: _value(pair.value) for pair in pairs}


def text(attributes: Attributes, names: Iterable[str]) -> str | None:
    """Return the first text that is not empty, None where there is none."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def whole(attributes: Attributes, names: Iterable[str]) -> int | None:
    """Return the first whole number, None where there is none."""
    value = number(attributes, names)
    return None if value is None or value != int(value) else int(value)


def number(attributes: Attributes, names: Iterable[str]) -> float | None:
    """Return the first finite number, None where there is none."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
    return None


def truth(attributes: Attributes, names: Iterable[str]) -> bool | None:
    """Return the first yes or no, None where there is none."""
    for name in names:
        if isinstance(value := attributes.get(name), bool):
            return value
    return None


def texts(attributes: Attributes, names: Iterable[str]) -> tuple[str, ...]:
    """Return the first list of texts, or one text as such a list."""
    for name in names:
        value = attributes.get(name)
        items = [value] if isinstance(value, str) else value
        found = tuple(item for item in items if isinstance(item, str) and item) if isinstance(items, list) else ()
        if found:
            return found
    return ()


def from_json(value: Any) -> Any:
    """Return what a text holds as JSON, None where it holds none; what is no text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return None


def as_text(value: Any) -> str:
    """Return a value as a text: texts as they are, anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (RecursionError, TypeError, ValueError):
        return ""


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values[:_MOST_ITEMS]]
    if kind == "kvlist_value":
        return plain(value.kvlist_value.values)
    if kind == "bytes_value":
        return f"{len(value.bytes_value)} bytes"
    return getattr(value, kind)
