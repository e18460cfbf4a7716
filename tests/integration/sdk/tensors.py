"""Inputs for the models of the tests' Triton, for either protocol of tritonclient."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

_TYPES = {"text": "BYTES", "text_input": "BYTES", "system_prompt": "BYTES", "stream": "BOOL", "temperature": "FP32"}


def inputs(protocol: ModuleType, **values: Any) -> list[Any]:
    """Return one input a name; `protocol` is `tritonclient.http` or `tritonclient.grpc`."""
    return [_input(protocol, name, value if isinstance(value, list) else [value]) for name, value in values.items()]


def _input(protocol: ModuleType, name: str, values: list[Any]) -> Any:
    datatype = _TYPES.get(name, "INT32")
    kinds: dict[str, Any] = {"BYTES": np.object_, "BOOL": np.bool_, "INT32": np.int32, "FP32": np.float32}
    given = [value.encode() if isinstance(value, str) else value for value in values]
    tensor = protocol.InferInput(name, [len(values)], datatype)
    tensor.set_data_from_numpy(np.array(given, dtype=kinds[datatype]))
    return tensor
