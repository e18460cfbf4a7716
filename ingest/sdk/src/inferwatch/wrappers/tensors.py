"""Tensors of tritonclient's objects: names and shapes, content where it means something, a sample of other numbers.

The sample is what the caller's time allows; the mirror's thread makes a summary of it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inferwatch.events import TensorSummary
from inferwatch.tensors import TensorSample, sample

_FORMATS: Final[dict[str, str]] = {
    "BOOL": "<?",
    "INT8": "<b",
    "INT16": "<h",
    "INT32": "<i",
    "INT64": "<q",
    "UINT8": "<B",
    "UINT16": "<H",
    "UINT32": "<I",
    "UINT64": "<Q",
    "FP16": "<e",
    "FP32": "<f",
    "FP64": "<d",
}
TEXTS: Final = ("text_input", "system_prompt", "text")
"""Inputs whose texts are the prompt."""
READ: Final = ("text_output", "finish_reason", "num_input_tokens", "num_output_tokens")
"""Outputs whose values say something."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor; `values` (flat) is None where it was not looked at, `available` False where nobody could have.

    `sampled` are some of the numbers of a tensor that is not text.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: tuple[Any, ...] | None = None
    available: bool = True
    sampled: Any = None

    @property
    def texts(self) -> tuple[str, ...] | None:
        """The content of a tensor of texts."""
        return self.values if self.datatype == "BYTES" else None

    def scalars(self) -> tuple[Any, ...]:
        """The content as plain values."""
        return self.values or ()

    def summary(self) -> TensorSummary | TensorSample:
        """What an event carries of it, or will, once the mirror's thread has looked at the sample."""
        if self.sampled is not None:
            return TensorSample(self.name, self.datatype, self.shape, self.sampled)
        return TensorSummary(name=self.name, datatype=self.datatype, shape=self.shape, count=math.prod(self.shape))


def input_tensor(given: Any) -> Tensor:
    """Return an `InferInput` of tritonclient, HTTP or gRPC, as it is now."""
    name, datatype, shape = given.name(), given.datatype(), tuple(int(size) for size in given.shape())
    if hasattr(given, "_get_content"):
        raw, data = given._get_content(), None
    else:
        raw, data = given._get_binary_data(), given._get_tensor().get("data")
    if raw is None and data is None:
        return Tensor(name, datatype, shape, available=False)
    if name not in TEXTS and math.prod(shape) != 1:
        return Tensor(name, datatype, shape, sampled=_sampled(datatype, raw, data))
    values = _decoded(datatype, raw) if raw is not None else tuple(_flat(data))
    return Tensor(name, datatype, shape, _as_texts(values) if datatype == "BYTES" else values)


def output_tensors(result: Any) -> list[Tensor]:
    """Return the outputs of an `InferResult` of tritonclient, HTTP or gRPC."""
    response = result.get_response()
    if isinstance(response, Mapping):
        outputs = response.get("outputs") or ()
        return [
            _output(result, given["name"], given["datatype"], given["shape"], given.get("parameters") or {})
            for given in outputs
        ]
    return [_output(result, given.name, given.datatype, given.shape, given.parameters) for given in response.outputs]


def _output(result: Any, name: str, datatype: str, shape: Iterable[int], parameters: Mapping[str, Any]) -> Tensor:
    dimensions = tuple(int(size) for size in shape)
    if "shared_memory_region" in parameters:
        return Tensor(name, datatype, dimensions, available=False)
    if name not in READ:
        numbers = datatype in _FORMATS or datatype == "BF16"
        return Tensor(name, datatype, dimensions, sampled=sample(result.as_numpy(name)) if numbers else None)
    values = tuple(result.as_numpy(name).ravel().tolist())
    return Tensor(name, datatype, dimensions, _as_texts(values) if datatype == "BYTES" else values)


def _sampled(datatype: str, raw: bytes | None, data: Any) -> Any:
    """Return some of the numbers of an input, None of one that has none."""
    import numpy as np

    if raw is None:
        return sample(np.asarray(data)) if datatype in _FORMATS else None
    if datatype == "BF16":
        return (sample(np.frombuffer(raw, "<u2")).astype(np.uint32) << 16).view(np.float32)
    return sample(np.frombuffer(raw, np.dtype(_FORMATS[datatype]))) if datatype in _FORMATS else None


def _decoded(datatype: str, raw: bytes) -> tuple[Any, ...] | None:
    if datatype == "BYTES":
        return tuple(_elements(raw))
    if datatype == "BF16":
        return struct.unpack("<f", b"\0\0" + raw)
    return struct.unpack(_FORMATS[datatype], raw) if datatype in _FORMATS else None


def _elements(raw: bytes) -> Iterator[bytes]:
    """Yield the elements of a tensor of texts: each is its length as 4 bytes, then its content."""
    at = 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        yield raw[at + 4 : end]
        at = end


def _as_texts(values: Sequence[Any] | None) -> tuple[str, ...] | None:
    if values is None:
        return None
    return tuple(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values)


def _flat(data: object) -> Iterator[Any]:
    if isinstance(data, list | tuple):
        for item in data:
            yield from _flat(item)
    else:
        yield data
