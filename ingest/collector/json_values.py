"""JSON bodies as what they hold: one object, an array of them, or one a line."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from ingest.errors import Invalid, Malformed

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
MEDIA_TYPES: Final = (JSON, NDJSON)

T = TypeVar("T")

_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`")
_AT: Final = re.compile(r" - at `([^`]*)`$")
_QUOTED: Final = re.compile(r"""["'].*["']|["'].*""", re.DOTALL)


def objects_in(body: bytes, media_type: str) -> list[dict[str, Any]]:
    """Return the objects of a body.

    Raises:
        Malformed: it is not what its media type says; the line is named where there are lines.
        Invalid: an element is not an object.
    """
    if media_type == NDJSON:
        lines = [line for line in body.split(b"\n") if line.strip()]
        values = [_decoded(line, index) for index, line in enumerate(lines)]
    else:
        value = _decoded(body, None)
        values = value if isinstance(value, list) else [value]
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise Invalid(index, "$", "expected an object")
    return values


def converted(value: dict[str, Any], kind: Any, index: int) -> Any:
    """Return a decoded object as a struct; numbers and texts are not taken for each other.

    Raises:
        Invalid: a field is missing or of another type; its path is named.
    """
    try:
        return msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError as error:
        path, reason = _path_and_reason(str(error))
        raise Invalid(index, path, reason) from error
    except RecursionError as error:
        raise Invalid(index, "$", "nested too deeply") from error


def _decoded(text: bytes, index: int | None) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("not JSON", index) from error
    except RecursionError as error:
        raise Malformed("nested too deeply", index) from error


def _path_and_reason(message: str) -> tuple[str, str]:
    """Take msgspec's message apart; a value that it quotes may be anything, also somebody's text."""
    at = _AT.search(message)
    path = "$" if at is None else at[1]
    reason = message if at is None else message[: at.start()]
    missing = _MISSING.fullmatch(reason)
    if missing is not None:
        return f"{path}.{missing[1]}", "required"
    return path, _QUOTED.sub("'…'", reason)
