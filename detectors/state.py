"""Reading and writing snapshots: typed access to plain JSON values, arrays as base64 of little-endian numbers."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from detectors.errors import BadSnapshot
from detectors.protocols import JSON, Snapshot

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def pack(array: NDArray[Any]) -> JSON:
    """An array as ``{"dtype", "shape", "base64"}``; several times smaller than a list of decimals, and exact."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    shape = cast("list[JSON]", list(array.shape))
    return {"dtype": little.dtype.str, "shape": shape, "base64": base64.b64encode(little.tobytes()).decode()}


def header(detector: str, version: int, settings: object) -> Snapshot:
    """The fields every snapshot starts with."""
    return {"detector": detector, "version": version, "settings": _plain(settings)}


def _plain(settings: object) -> JSON:
    fields = dataclasses.asdict(cast("DataclassInstance", settings))
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


class Reader:
    """Takes typed fields out of a snapshot, or says which one is wrong."""

    def __init__(self, detector: str, version: int, settings: object, state: Snapshot) -> None:
        """Check that `state` is of this detector, version and settings. Raises `BadSnapshot`."""
        self._detector = detector
        self._state = state
        if state.get("detector") != detector:
            raise BadSnapshot(detector, f"it is a snapshot of {state.get('detector')!r}")
        if state.get("version") != version:
            raise BadSnapshot(detector, f"its version is {state.get('version')!r}, this program reads {version}")
        if state.get("settings") != _plain(settings):
            raise BadSnapshot(detector, f"it was taken with {state.get('settings')!r}, now {_plain(settings)!r}")

    def refuse(self, reason: str) -> BadSnapshot:
        """The error to raise for a reason found by the caller."""
        return BadSnapshot(self._detector, reason)

    def integer(self, name: str) -> int:
        """A whole number, zero or above."""
        value = self._state.get(name)
        if type(value) is not int or value < 0:
            raise self.refuse(f"{name} is {value!r}, not a whole number")
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        value = self._state.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.refuse(f"{name} is {value!r}, not a finite number")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._state.get(name)
        if not isinstance(value, bool):
            raise self.refuse(f"{name} is {value!r}, not true or false")
        return value

    def text(self, name: str) -> str:
        """A string."""
        value = self._state.get(name)
        if not isinstance(value, str):
            raise self.refuse(f"{name} is {value!r}, not a string")
        return value

    def numbers(self, name: str) -> list[float]:
        """A list of finite numbers."""
        return self.numbers_of(name, self._state.get(name))

    def rows(self, name: str, width: int) -> list[list[float]]:
        """A list of lists of `width` finite numbers."""
        return self.rows_of(name, self._state.get(name), width)

    def records(self, name: str, width: int) -> list[list[JSON]]:
        """A list of lists of `width` values of any kind."""
        value = self._state.get(name)
        if not isinstance(value, list):
            raise self.refuse(f"{name} is not a list")
        return [self._record(name, item, width) for item in value]

    def numbers_of(self, name: str, value: JSON) -> list[float]:
        """`value`, a part of `name`, as a list of finite numbers."""
        if not isinstance(value, list):
            raise self.refuse(f"{name} is not a list")
        return [self._item(name, item) for item in value]

    def rows_of(self, name: str, value: JSON, width: int) -> list[list[float]]:
        """`value`, a part of `name`, as a list of lists of `width` finite numbers."""
        if not isinstance(value, list):
            raise self.refuse(f"{name} is not a list")
        return [self.numbers_of(name, cast("JSON", self._record(name, item, width))) for item in value]

    def child(self, name: str) -> Snapshot:
        """A snapshot within the snapshot."""
        value = self._state.get(name)
        if not isinstance(value, dict):
            raise self.refuse(f"{name} is not a snapshot")
        return value

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._state.get(name) is not None

    def array(self, name: str, dtype: str, columns: int | None = None) -> NDArray[Any]:
        """A two-dimensional array written by `pack`, of `columns` columns where given."""
        value = self._state.get(name)
        if not isinstance(value, dict) or value.get("dtype") != dtype:
            raise self.refuse(f"{name} is not an array of {dtype}")
        try:
            raw = base64.b64decode(str(value.get("base64")), validate=True)
            shape = [int(cast("int", side)) for side in cast("list[JSON]", value.get("shape"))]
            array = np.frombuffer(raw, dtype=dtype).reshape(shape)
        except (binascii.Error, TypeError, ValueError) as error:
            raise self.refuse(f"{name} is damaged ({error})") from error
        if array.ndim != 2 or (columns is not None and array.shape[1] != columns):
            raise self.refuse(f"{name} has shape {array.shape}, not [n, {columns}]")
        return array.astype(array.dtype.newbyteorder("="))

    def _record(self, name: str, value: JSON, width: int) -> list[JSON]:
        if not isinstance(value, list) or len(value) != width:
            raise self.refuse(f"{name} is not a list of rows of {width}")
        return value

    def _item(self, name: str, value: JSON) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.refuse(f"{name} holds {value!r}, not a finite number")
        return value
