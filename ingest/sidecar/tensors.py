"""Tensors as Triton sends them (KServe v2 with the binary extension), and their numeric summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inferwatch.events import TensorSummary
from inferwatch.tensors import summarise
from ingest.errors import ContentError

_NUMPY_TYPES: Final[dict[str, str]] = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_FLOATS: Final = ("FP16", "BF16", "FP32", "FP64")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that passed; `values` (flat, numeric) or `texts` hold its content, neither where it is not available."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[Any] | None = None
    texts: tuple[str, ...] | None = None

    @property
    def available(self) -> bool:
        """Whether the content is here: not in shared memory and not beyond the capture."""
        return self.values is not None or self.texts is not None

    def scalars(self) -> list[Any]:
        """Return the content as plain Python values."""
        if self.texts is not None:
            return list(self.texts)
        return [] if self.values is None else list(self.values.tolist())

    def summary(self) -> TensorSummary:
        """Return what an event carries of it."""
        return summarise(self.name, self.datatype, self.shape, self.values)


def from_binary(name: str, datatype: str, shape: Sequence[int], data: bytes | None) -> Tensor:
    """Return a tensor from its little-endian bytes; None for bytes that are not available.

    Raises:
        ContentError: the bytes do not hold values of that datatype.
    """
    dimensions = tuple(int(size) for size in shape)
    if data is None:
        return Tensor(name, datatype, dimensions)
    if datatype == "BYTES":
        return Tensor(name, datatype, dimensions, texts=tuple(_texts(name, data)))
    if datatype == "BF16":
        widened = np.frombuffer(_whole(name, data, 2), dtype="<u2").astype(np.uint32) << 16
        return Tensor(name, datatype, dimensions, values=widened.view(np.float32))
    code = _NUMPY_TYPES.get(datatype)
    if code is None:
        return Tensor(name, datatype, dimensions)
    width = np.dtype(code).itemsize
    return Tensor(name, datatype, dimensions, values=np.frombuffer(_whole(name, data, width), dtype=code))


def from_values(name: str, datatype: str, shape: Sequence[int], data: object) -> Tensor:
    """Return a tensor from plain values, nested or flat.

    Raises:
        ContentError: the values are neither numbers nor text throughout.
    """
    dimensions = tuple(int(size) for size in shape)
    try:
        flat = list(_flat(data))
    except RecursionError as error:
        raise ContentError(f"tensor {name}", "nested too deeply") from error
    if datatype == "BYTES":
        texts = tuple(_text(item) if isinstance(item, bytes) else str(item) for item in flat)
        return Tensor(name, datatype, dimensions, texts=texts)
    code = "<f8" if datatype in _FLOATS else _NUMPY_TYPES.get(datatype, "<f8")
    try:
        values = np.asarray(flat, dtype=code)
    except (TypeError, ValueError, OverflowError) as error:
        raise ContentError(f"tensor {name}", f"values that are not of type {datatype}") from error
    return Tensor(name, datatype, dimensions, values=values)


def _whole(name: str, data: bytes, width: int) -> bytes:
    if len(data) % width:
        raise ContentError(f"tensor {name}", f"{len(data)} bytes are not a multiple of {width}")
    return data


def _texts(name: str, data: bytes) -> Iterator[str]:
    """Yield the elements of a BYTES tensor: each is its length as 4 bytes, then its content."""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data) or at + 4 > len(data):
            raise ContentError(f"tensor {name}", "an element is longer than the tensor")
        yield _text(data[at + 4 : end])
        at = end


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _flat(data: object) -> Iterator[object]:
    if isinstance(data, list | tuple):
        for item in data:
            yield from _flat(item)
    else:
        yield data
