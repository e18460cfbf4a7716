"""Triton's entry point for all-MiniLM-L6-v2: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import triton_python_backend_utils as pb
from sentences import SentenceEncoder, model_folder


class TritonPythonModel:
    """One instance of the model; Triton finds it by this name."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Loads the weights, and runs once so that the first request is not the slow one."""
        del args
        self._encoder = SentenceEncoder(model_folder())
        self._encoder.encode(["ready"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request, in order; texts that are not UTF-8 fail their own request only."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        raw = pb.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
        try:
            texts = [text if isinstance(text, str) else bytes(text).decode("utf-8") for text in raw]
        except UnicodeDecodeError as error:
            message = f"input 'text' holds a text that is not UTF-8 ({error.reason} at byte {error.start})"
            return pb.InferenceResponse(error=pb.TritonError(message, pb.TritonError.INVALID_ARG))
        vectors = self._encoder.encode(texts)
        return pb.InferenceResponse(output_tensors=[pb.Tensor("embedding", vectors)])
